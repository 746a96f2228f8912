"""A dossier on disk: pages are written as they are made, so that memory does not grow with the number of mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from casebase.commands import named
from casebase.dossiers import DATA, INDEX, SCHEMA, TABLE, Dossier, Entry, table
from casebase.errors import StorageFailed
from casebase.explain import mapping, places
from casebase.explain.dossier import entry_commands
from casebase.explain.dossier_index import IndexPage, Surroundings
from casebase.explain.encoding import jpeg
from casebase.explain.figures import saliency_drawn
from casebase.explain.places import Kind
from casebase.explain.render_html import HtmlRenderer
from casebase.explain.render_json import dumps
from casebase.explain.report import compose
from casebase.explain.service import Explainer, Wanted
from casebase.explanations import QUERY_ID, Around, Explanation, Level, Link, Report, Statement
from casebase.reading import printable

OVERLAY_QUALITY = 90
_FRAME_HEIGHT = 900

KIND = Kind(
    "dossier", DATA, SCHEMA, frozenset({INDEX, TABLE}),
    {"errors": frozenset({".html"}), "right": frozenset({".html"}), "overlays": frozenset({".jpg"})},
)  # fmt: skip

NewFolder = Callable[[Path], AbstractContextManager[Path]]


@dataclass(frozen=True, eq=False)
class Pages:
    """Writes dossiers: the port ``DossierWriter``. ``new_folder`` gives a folder that appears whole or not at all.

    ``progress`` is called with (pages made, pages in all, 0).
    """

    explainer: Explainer
    wanted: Wanted
    new_folder: NewFolder
    base: str
    progress: Callable[[int, int, int], None] = lambda done, total, skipped: None

    def write(self, dossier: Dossier, folder: Path) -> Path:
        """Index, pages, overlays, JSON and CSV; all or nothing."""
        target = folder.resolve()
        places.check(target, KIND)
        with self.new_folder(target) as aside:
            try:
                self._fill(dossier, aside, folder)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise StorageFailed(
                    f"the dossier could not be written to {folder} ({reason}); name another folder with --out"
                ) from None
        return folder

    def inline(self, dossier: Dossier) -> str:
        """The index without pictures, in a frame of its own, for a notebook cell."""
        index = IndexPage(dossier, self._surroundings(dossier), linked=False)
        parts = [index.head(), *(index.entry(one, None) for one in dossier.entries), index.between()]
        parts += [*(index.entry(one, None) for one in dossier.contrasts), index.tail()]
        page = escape("".join(parts), quote=True)
        return (
            f'<iframe title="Misclassification dossier" srcdoc="{page}" sandbox="allow-scripts allow-modals" '
            f'width="100%" height="{_FRAME_HEIGHT}" frameborder="0" loading="lazy"></iframe>'
        )

    def _fill(self, dossier: Dossier, aside: Path, folder: Path) -> None:
        entries = [*dossier.entries, *dossier.contrasts]
        index = IndexPage(dossier, self._surroundings(dossier), linked=True)
        for name in {Path(entry.page).parent for entry in entries}:
            (aside / name).mkdir()
        if self.wanted.method is not None and entries:
            (aside / "overlays").mkdir()
        renderer = HtmlRenderer()
        seen = self.explainer.explain(((e.retrieval, e.case) for e in entries), self.wanted, dossier.facts)
        with (aside / INDEX).open("w", encoding="utf-8") as page, (aside / DATA).open("w", encoding="utf-8") as data:
            record = _Record(data, dossier)
            page.write(index.head())
            for done, (entry, one) in enumerate(zip(entries, seen, strict=True), start=1):
                if entry.right and done == len(dossier.entries) + 1:
                    page.write(index.between())
                overlays = self._overlays(aside, entry, one)
                found = replace(one, overlays={name: None if p is None else Path(p) for name, p in overlays.items()})
                report = self._report(dossier, entry, found)
                (aside / entry.page).write_text(renderer.page(report), encoding="utf-8")
                page.write(index.entry(entry, one))
                record.add(entry, {**_explained(found), "overlays": overlays, "page": entry.page})
                self.progress(done, len(entries), 0)
            if not dossier.contrasts:
                page.write(index.between())
            page.write(index.tail())
            record.close()
        (aside / TABLE).write_text(table(entries, written=True), encoding="utf-8")

    def _overlays(self, aside: Path, entry: Entry, seen: Explanation) -> dict[str, str | None]:
        """The query's maps for the answer and for the label as files; None where there is no map."""
        found: dict[str, str | None] = {}
        shown = seen.shown.get(QUERY_ID)
        method = self.wanted.method or mapping.DEFAULT
        for name, target, suffix in (
            (method, entry.predicted, "predicted"), (f"{method}_label", entry.case.label, "label"),
        ):  # fmt: skip
            map_ = seen.saliency.get((QUERY_ID, target))
            found[name] = None
            if map_ is None or map_.degenerate is not None or shown is None or (entry.right and suffix == "label"):
                continue
            kind = "right" if entry.right else "error"
            path = f"overlays/{kind}-{entry.place:04d}-{suffix}.jpg"
            drawn = saliency_drawn(shown.view, map_)
            (aside / path).write_bytes(jpeg(drawn, OVERLAY_QUALITY))
            found[name] = path
        return found

    def _report(self, dossier: Dossier, entry: Entry, seen: Explanation) -> Report:
        facts = dossier.facts
        report = compose(
            seen, base=self.base, network=facts.get("network", ""), date=facts.get("date", ""),
            provenance=list(facts.items()), synthetic=dossier.synthetic,
        )  # fmt: skip
        name = printable(named(entry.case))
        return replace(
            report, title=f"{name}: called {report.called}", file_name=name, around=around(dossier, entry),
            notes=notes(entry), next_commands=entry_commands(entry, self.base),
        )  # fmt: skip

    def _surroundings(self, dossier: Dossier) -> Surroundings:
        facts = {**dossier.facts, **{f"Setting {k}": "–" if v is None else str(v) for k, v in dossier.settings.items()}}
        first = next(iter(dossier.entries), None)
        return Surroundings(
            base=printable(self.base), network=printable(facts.get("network", "")),
            date=printable(facts.get("date", "")),
            provenance=[(printable(name), printable(value)) for name, value in facts.items()],
            next_commands=[] if first is None else entry_commands(first, self.base),
        )  # fmt: skip


class _Record:
    """``errors.json``, one entry after the other: ``Dossier.to_dict()`` with what explaining added."""

    def __init__(self, out: TextIO, dossier: Dossier) -> None:
        self._out, self._key, self._first = out, "errors", True
        out.write(dumps(dossier.head(), indent=None)[:-1] + ', "errors": [')

    def add(self, entry: Entry, written: Mapping[str, Any]) -> None:
        if entry.right and self._key == "errors":
            self._turn()
        self._out.write(("" if self._first else ",") + "\n" + dumps(entry.to_dict(written), indent=None))
        self._first = False

    def close(self) -> None:
        if self._key == "errors":
            self._turn()
        self._out.write("]}\n")

    def _turn(self) -> None:
        self._out.write('], "correct": [')
        self._key, self._first = "correct", True


def _explained(seen: Explanation) -> dict[str, Any]:
    """What explaining added to the query's object."""
    whole = seen.to_dict()
    added = ("where", "deletion", "maps", "prototypes", "walk", "no_walk", "warnings", "seconds")
    return {name: whole[name] for name in added}


def around(dossier: Dossier, entry: Entry) -> Around:
    """Where a page stands in its dossier; paths are relative to the page's own folder."""
    row: Sequence[Entry] = dossier.contrasts if entry.right else dossier.entries
    at = entry.place - 1
    pages = {one.case.id: one for one in chain(dossier.entries, dossier.contrasts)}
    beside = [_link(pages[name]) for name in (entry.alike if entry.right else entry.contrast) if name in pages]
    what = "Right answer" if entry.right else "Mistake"
    return Around(
        position=f"{what} {entry.place} of {len(row)}",
        index=f"../{INDEX}#{'r' if entry.right else 'e'}-{entry.place}",
        previous=_link(row[at - 1]) if at > 0 else None,
        next=_link(row[at + 1]) if at + 1 < len(row) else None,
        beside_title="Beside the mistakes" if entry.right else "Right answers with similar evidence",
        beside=beside,
    )


def _link(entry: Entry) -> Link:
    names = f"{printable(entry.case.label)} → {printable(entry.predicted)}"
    return Link(f"{'right ' if entry.right else ''}#{entry.place} {names}", f"../{entry.page}")


def notes(entry: Entry) -> list[Statement]:
    """What to know before blaming the network."""
    if entry.right:
        return [Statement("This answer is right. It is shown for its evidence, which is like that of a mistake.")]
    told = [Statement(one.text, Level.CAUTION if one.kind == "label" else Level.PLAIN) for one in entry.suspicions]
    if entry.silent:
        told.append(
            Statement(
                "Without its label, this answer would have passed: nothing on this page speaks against it.",
                Level.CAUTION,
            )
        )
    return told
