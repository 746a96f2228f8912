"""The index page of a dossier, in pieces: head, one piece per entry as its page is made, tail. It loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from casebase.answers import Neighbour
from casebase.commands import named
from casebase.dossiers import Dossier, Entry
from casebase.explain import sentences
from casebase.explain.encoding import data_uri
from casebase.explain.figures import within
from casebase.explain.pages import environment, own, policy, trusted
from casebase.explanations import QUERY_ID, Bar, Explanation
from casebase.reading import percent, printable

THUMBNAIL = 124
QUALITY = 78
MOST_CLASSES = 24
"""A larger matrix cannot be read; then it shows the classes with the most mistakes."""
WIDE = 11
"""A larger matrix takes the whole width."""
MOST_GROUPS = 60
MOST_PLACES = 12
PICTURED = 400
"""Entries with neighbours beside the query; later ones, nobody's first concern, show the query alone."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What stands around a dossier: where it comes from, and what to type next. All of it safe to print."""

    base: str
    network: str
    date: str
    provenance: Sequence[tuple[str, str]]
    next_commands: Sequence[str]


def _render(name: str, **values: Any) -> str:
    return environment().get_template(name).render(**values)


class IndexPage:
    """The index of one dossier. ``linked`` says whether the pages of its entries are there."""

    def __init__(self, dossier: Dossier, around: Surroundings, *, linked: bool) -> None:
        self._dossier, self._around, self._linked = dossier, around, linked
        names = {*dossier.confusion, *(name for row in dossier.confusion.values() for name in row)}
        self._classes = sorted(names)
        self._number = {name: number for number, name in enumerate(self._classes)}
        self._places = {entry.case.id: entry.place for entry in (*dossier.entries, *dossier.contrasts)}
        self._pages = {entry.case.id: entry.page for entry in (*dossier.entries, *dossier.contrasts)}
        self._style, self._script = own("report.css") + own("index.css"), own("index.js")

    def head(self) -> str:
        """Everything before the list."""
        dossier = self._dossier
        worst, *also = dossier.statements
        rows, columns, lead = self._matrix()
        head = {
            "title": f"{dossier.wrong} of {dossier.total} answers are wrong: {dossier.split}",
            "base": self._around.base, "network": self._around.network, "date": self._around.date,
            "synthetic": None if dossier.synthetic is None else printable(dossier.synthetic),
            "worst": worst, "also": also, "rows": rows, "columns": columns, "matrix_lead": lead,
            "turned": len(columns) > 4 and max(len(one["name"]) for one in columns) > 6, "wide": len(columns) > WIDE,
            "groups": self._groups(), "classes": [printable(name) for name in self._classes],
        }  # fmt: skip
        return _render(
            "index_head.html.j2", dossier=dossier, head=head, style=trusted(self._style),
            policy=policy(self._style, self._script),
        )  # fmt: skip

    def between(self) -> str:
        """What stands between the mistakes and the right answers beside them."""
        return _render("index_between.html.j2", dossier=self._dossier)

    def tail(self) -> str:
        """Everything after the lists."""
        head = {"next_commands": self._around.next_commands, "provenance": self._around.provenance}
        return _render(
            "index_tail.html.j2", dossier=self._dossier, head=head, files=self._linked, script=trusted(self._script)
        )

    def entry(self, entry: Entry, seen: Explanation | None) -> str:
        """One entry; ``seen`` lends its pictures, which are not kept."""
        beside = [
            {
                "text": f"#{self._places[name]}",
                "href": self._pages[name] if self._linked else f"#e-{self._places[name]}",
            }
            for name in (entry.alike if entry.right else entry.contrast)
            if name in self._places
        ]
        trust = entry.retrieval.trust.trust_score
        shown = {
            "label": printable(entry.case.label), "predicted": printable(entry.predicted),
            "path": printable(named(entry.case)), "label_number": self._number[entry.case.label],
            "predicted_number": self._number[entry.predicted], "care_sort": f"{entry.care:.6f}",
            "confidence_sort": f"{entry.retrieval.prediction.confidence:.6f}",
            "trust_sort": f"{-1.0 if trust is None else trust:.6f}",
            "suspicions": [one.text for one in entry.suspicions], "bars": bars(entry), "beside": beside,
            "pictures": [] if seen is None else pictures(entry, seen),
        }  # fmt: skip
        return _render("index_entry.html.j2", entry=entry, shown=shown, href=entry.page if self._linked else None)

    def _matrix(self) -> tuple[list[dict[str, Any]], list[dict[str, str]], str]:
        confusion, names = self._dossier.confusion, self._classes
        lead = "Labels in rows, answers in columns. A number opens its mistakes."
        if len(names) > MOST_CLASSES:
            errors = dict.fromkeys(names, 0)
            for label, row in confusion.items():
                for called, n in row.items():
                    if called != label:
                        errors[label] += n
                        errors[called] += n
            worst = sorted(names, key=lambda name: (-errors[name], name))[:MOST_CLASSES]
            lead += f" The {MOST_CLASSES} of {len(names)} classes that take part in the most mistakes."
            names = sorted(worst)
        most = max((n for a, row in confusion.items() for b, n in row.items() if a != b), default=0)
        rows = []
        for label in names:
            row = confusion.get(label, {})
            total = sum(row.values())
            right = f"{percent(row.get(label, 0) / total)} of {total}" if total else "no image"
            rows.append(
                {"name": printable(label), "right": right, "cells": [self._cell(label, c, most) for c in names]}
            )
        return rows, [{"name": printable(name)} for name in names], lead

    def _cell(self, label: str, called: str, most: int) -> dict[str, Any]:
        count = self._dossier.confusion.get(label, {}).get(called, 0)
        cell: dict[str, Any] = {"count": count, "href": None, "kind": "diagonal" if label == called else ""}
        if label == called or not count:
            return cell
        a, b = self._number[label], self._number[called]
        level = 1 + min(3, int(4 * (count - 1) / max(most, 1)))
        shown = any(e.case.label == label and e.predicted == called for e in self._dossier.entries)
        title = f"{sentences.counted(count, 'image')} labelled {printable(label)}, called {printable(called)}"
        return {
            **cell, "kind": f"wrong heat-{level}", "href": f"#g-{a}-{b}" if shown else None, "label": a,
            "predicted": b, "title": title,
        }  # fmt: skip

    def _groups(self) -> list[dict[str, Any]]:
        found = []
        for group in self._dossier.groups[:MOST_GROUPS]:
            labelled = sum(self._dossier.confusion.get(group.label, {}).values())
            a, b = self._number[group.label], self._number[group.predicted]
            found.append(
                {
                    "key": f"g-{a}-{b}", "label": printable(group.label), "predicted": printable(group.predicted),
                    "label_number": a, "predicted_number": b, "total": group.total, "labelled": labelled,
                    "share": group.total / labelled if labelled else 0.0,
                    "places": [entry.place for entry in group.entries[:MOST_PLACES]],
                    "more": max(0, group.total - MOST_PLACES) if len(group.entries) > MOST_PLACES else 0,
                }
            )  # fmt: skip
        return found


def bars(entry: Entry) -> list[dict[str, Any]]:
    """The figures of an entry, each with its place on a bar."""
    said, trust = entry.retrieval.prediction, entry.retrieval.trust.trust_score
    total = len(entry.retrieval.nearest)
    label = entry.label_probability
    found = [
        Bar("softmax", said.confidence, percent(said.confidence), "", ""),
        Bar("of its label", label, "–" if label is None else percent(label), "", ""),
        Bar("trust score", None if trust is None else trust / (1 + trust), "–" if trust is None else
            sentences.times(trust), "", "", tick=0.5),
        Bar("agreeing", entry.agreeing / total if total else None, f"{entry.agreeing} of {total}", "", ""),
        _alike(entry),
        Bar("care", entry.care, f"{entry.care:.2f}", "", ""),
    ]  # fmt: skip
    shown = [
        {"name": b.name, "value": b.value, "figure": b.figure, "tick": b.tick, "role": "role-plain"} for b in found
    ]
    shown[0]["role"] = "role-predicted"
    return shown if not entry.right else [shown[0], *shown[2:5]]


def _alike(entry: Entry) -> Bar:
    """How often held-out answers with evidence like this were wrong, by trust score where it is calibrated."""
    trust = entry.retrieval.trust
    for found in (trust.trust_correct, trust.softmax_correct):
        if found is not None and found.p is not None and found.n:
            return Bar("wrong alike", found.n_errors / found.n, f"{found.n_errors} of {found.n}", "", "")
    return Bar("wrong alike", None, "–", "", "")


def pictures(entry: Entry, seen: Explanation) -> list[dict[str, Any]]:
    """The query, the nearest twin, and the nearest case of the label: the case against and the case for."""
    answer = entry.retrieval
    label, called = printable(entry.case.label), printable(entry.predicted)
    found = [_picture(seen, QUERY_ID, f"The image, labelled {label}, called {called}.", f"labelled {label}", "plain")]
    if entry.place > PICTURED:
        return found
    twin = next(iter(answer.twins), None)
    found.append(_case(seen, twin, f"No case is called {called}.", "nearest called", "predicted"))
    other = entry.case.label
    if entry.right:
        other = answer.rivals[0].name if answer.rivals else ""
    rows = answer.of_rival(other)
    agreed = next((row for row in rows if row.case.label == other), next(iter(rows), None))
    missing = f"No case is called {printable(other)}." if other else "No case of another class."
    found.append(_case(seen, agreed, missing, "nearest called", "rival"))
    return found


def _case(seen: Explanation, row: Neighbour | None, missing: str, what: str, role: str) -> dict[str, Any]:
    if row is None:
        return {"uri": None, "alt": missing, "caption": "", "role": role}
    called, label = printable(row.case.predicted), printable(row.case.label)
    names = f"{what} {called}" + (f", labelled {label}" if row.case.disputed else "")
    alt = f"The case {names}; labelled {label}, {sentences.detail(row)}, file {printable(named(row.case))}."
    return _picture(seen, row.case.id, alt, names, role)


def _picture(seen: Explanation, name: str, alt: str, caption: str, role: str) -> dict[str, Any]:
    shown = seen.shown.get(name)
    if shown is None:
        return {"uri": None, "alt": "no picture left", "caption": caption, "role": role}
    small = within(shown.view, THUMBNAIL)
    return {
        "uri": data_uri(small, QUALITY), "alt": alt, "caption": caption, "role": role, "height": small.shape[0],
        "width": small.shape[1],
    }  # fmt: skip
