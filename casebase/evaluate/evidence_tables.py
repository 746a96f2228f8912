"""What the neighbours say beyond the vote, as tables: finding errors, contradicting them, staying, and hubs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.fidelity_tables import NO_ERROR, SPACE, known
from casebase.evaluate.resampling import Draws
from casebase.evaluate.stability import Stability
from casebase.evaluate.twin_study import TwinStudy
from casebase.evaluations import Cell, Column, Table
from casebase.spaces import NETWORK_SPACE

TWO_CLASSES = (
    "With two classes only the other one can be the truth of an error: the second class and the predicted class of an "
    "unlike case are the truth by construction, and an unlike case drawn blindly carries it as often as the network is "
    "right on the cases it calls so."
)
SHOWN = 5
"""Hubs listed per space."""


def evidence_tables(found: TwinStudy) -> list[Table]:
    """Error detection, contradictions, who names the truth, stability, hubness and the hubs themselves."""
    made = [_detection(found), _risk(found), _alarms(found), _namings(found)]
    if found.stability is not None:
        made.append(_stability(found, found.stability))
    hubs = _hubs(found)
    return [*made, _hubness(found), *([hubs] if hubs.rows else [])]


def _detection(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {
            "score": one.score.title, "source": one.score.source, "errors": one.errors, "n": one.n,
            "auroc": one.figures["auroc"], "auroc_gain": one.against.get("auroc"), "fpr95": one.figures["fpr95"],
        }
        for one in found.detections
    ]  # fmt: skip
    notes = [
        (
            "The differences are paired: the same images, the same bootstrap draws. An interval on both sides of 0 "
            "means that these images do not tell the two apart."
        ),
        _of_softmax(found),
    ]
    trust, by_label = (one.score.values for one in found.detections[:2])
    if np.array_equal(trust, by_label, equal_nan=True):
        notes.append("The network answers with the label on every case that counts, so both trust scores are the same.")
    return Table(
        "detection",
        "Which score finds the wrong answers?",
        "A good score is low where the network is wrong. The network's own scores stand below those of the neighbours; "
        "they cost nothing, so a score of the neighbours has to beat them to be worth its search.",
        [
            Column("score", "score"),
            Column("errors", "errors", "count", "wrong answers among the images that have this score"),
            Column("auroc", "AUROC", "share", "chance that a wrong answer scores below a right one; 50 % is blind"),
            Column("auroc_gain", "against softmax", "points",
                   "AUROC minus that of max-softmax, in percentage points; above 0 is better"),
            Column("fpr95", "FPR@95", "share", "wrong answers still trusted where 95 % of the right ones are; low"),
        ],
        rows,
        notes,
    )  # fmt: skip


def _of_softmax(found: TwinStudy) -> str:
    if found.head:
        return (
            "Max-softmax and its relatives are ranked by the logits in double precision, so that answers stored as "
            "exactly 100 % do not tie."
        )
    return (
        "The network has no linear head, so its scores rest on probabilities as stored; answers of exactly 100 % tie, "
        "which may hold max-softmax down."
    )


def _risk(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {
            "score": one.score.title, "source": one.score.source, "errors": one.errors, "n": one.n,
            "augrc": one.figures["augrc"], "augrc_gain": one.against.get("augrc"), "aurc": one.figures["aurc"],
        }
        for one in found.detections
    ]  # fmt: skip
    return Table(
        "risk",
        "What gets through when only the surest answers are kept?",
        "Unlike AUROC these also count how often the network is right. Both are low where the score is good. Under "
        f"{FEWEST_ERRORS} errors they are told with their intervals, but not which score is better.",
        [
            Column("score", "score"),
            Column("errors", "errors", "count", "wrong answers among the images that have this score"),
            Column("augrc", "AUGRC", "share", "errors let through per image, on average over how many are kept"),
            Column("augrc_gain", "against softmax", "points",
                   "AUGRC minus that of max-softmax, in percentage points; below 0 is better"),
            Column("aurc", "AURC", "share", "error rate among the answers kept, on average over how many are kept"),
        ],
        rows,
    )  # fmt: skip


def _alarms(found: TwinStudy) -> Table:
    wrong = found.queries.wrong
    on_errors, on_right = found.draws.of_rows(wrong), found.draws.of_rows(~wrong)
    rows: list[Mapping[str, Cell]] = [
        {
            "sign": alarm.title,
            "errors": on_errors.mean(alarm.raised[wrong], NO_ERROR),
            "right": on_right.mean(alarm.raised[~wrong], "no right answer"),
        }
        for alarm in found.alarms
    ]
    return Table(
        "alarms",
        "Do the neighbours contradict wrong answers?",
        "A sign is of use where it is frequent on errors and rare on right answers. Lists filtered to twins cannot "
        "show it: they agree with the network by construction.",
        [
            Column("sign", f"sign in {NETWORK_SPACE}"),
            Column("errors", "on errors", "share", "how often it shows where the network is wrong"),
            Column("right", "on right answers", "share", "how often it shows where the network is right: false alarms"),
        ],
        rows,
    )


def _namings(found: TwinStudy) -> Table:
    wrong = found.queries.wrong
    draws = found.draws.of_rows(wrong)
    rows: list[Mapping[str, Cell]] = []
    for naming in found.namings:
        values = naming.right[wrong]
        whole = bool(np.isin(values, (0.0, 1.0)).all())
        sure = two_classes(found) and naming.key in ("runner_up", "nun_predicted")
        who = f"{naming.title} (by construction)" if sure else naming.title
        rows.append({"who": who, "truth": draws.mean(values > 0.5 if whole else values, NO_ERROR)})
    return Table(
        "naming",
        "Who names the true class of an error?",
        "The nearest unlike case is shown as the counterfactual; it helps where it carries the true class more often "
        "than the network's own second class does.",
        [Column("who", "who"), Column("truth", "names the truth", "share", "share of the errors whose label it is")],
        rows,
        [TWO_CLASSES] if two_classes(found) else [],
    )


def two_classes(found: TwinStudy) -> bool:
    """Whether every error has one class left to be, so that naming it is no achievement."""
    classes = len(found.queries.probabilities[0])
    labels = np.union1d(found.queries.labels, found.sides.cases.labels)
    return classes == 2 and len(labels) <= 2


def _stability(found: TwinStudy, held: Stability) -> Table:
    draws = Draws(found.draws.counts[:, held.rows], found.draws.cluster[held.rows])
    rows: list[Mapping[str, Cell]] = [
        {
            "change": turn.change.title,
            "nearest": draws.mean(turn.nearest),
            "twins": draws.mean(turn.twins),
            "answer": draws.mean(turn.answer_changed),
            "accuracy": draws.mean(turn.right),
        }
        for turn in held.turnovers
    ]
    missing = held.missing.told()
    return Table(
        "stability",
        "Do the neighbours stay when the picture hardly changes?",
        f"Overlap@{found.k}: the share of a list that is still in it, after one small change to the query. Where the "
        "network changes its answer, its twins must change too.",
        [
            Column("change", "change"),
            Column("nearest", "nearest", "share", "overlap of the nearest lists; 80 % and more is good"),
            Column("twins", "twins", "share", "overlap of the twin lists"),
            Column("answer", "new answer", "share", "how often the network now says another class"),
            Column("accuracy", "accuracy", "share", "how often it is right under the change"),
        ],
        rows,
        [
            f"{len(held.rows)} images, seed {found.seed}. Shifts move what the network sees by one pixel.",
            *([f"Left out: {missing}."] if missing else []),
        ],
    )


def _hubness(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = []
    for space in found.spaces:
        hub, sources = found.hubs[space.space], found.sources[space.space]
        rows.append(
            {
                "space": space.space, "skewness": hub.skewness, "skewness_by_chance": hub.skewness_by_chance,
                "antihubs": hub.antihubs, "antihubs_by_chance": hub.antihubs_by_chance, "per_case": hub.per_case,
                "per_slot": hub.per_slot, "hubs": len(hub.hubs), "slots_of_hubs": hub.slots_of_hubs,
                "sources": known(sources, np.ones(len(sources), bool), found.draws),
            }
        )  # fmt: skip
    grouped = any(group is not None for group in found.sides.cases.groups)
    return Table(
        "hubness",
        "Are the same cases shown again and again?",
        f"Counted over the {found.k} nearest of {len(found.queries)} images among {len(found.sides.cases)} cases, "
        "beside what as many cases drawn blindly would give.",
        [
            SPACE,
            Column("skewness", "skewness", "number", "of how often each case is shown; above 1.5 a few cases dominate"),
            Column("skewness_by_chance", "by chance", "number", "the same for cases drawn blindly"),
            Column("antihubs", "never shown", "share", "cases that are in no list"),
            Column("antihubs_by_chance", "by chance", "share", "the same for cases drawn blindly"),
            Column("per_case", "shown", "share", "distinct cases shown, per case of the base"),
            Column("per_slot", "distinct", "share", "distinct cases shown, per place in all lists"),
            Column("hubs", "hubs", "count", "cases shown over 5 times as often as expected, and at least 5 times"),
            Column("slots_of_hubs", "places of hubs", "share", "places in all lists that hubs take"),
            Column("sources", "sources per list", "share",
                   "distinct groups (animals, patients, videos) per list" if grouped
                   else "distinct images per list; the base knows no groups"),
        ],
        rows,
        ["Skewness and never-shown shares have no interval: resampled queries come several times and would add hubs."],
    )  # fmt: skip


def _hubs(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = []
    for space in found.spaces:
        hub = found.hubs[space.space]
        for row in hub.hubs[:SHOWN].tolist():
            case = found.sides.cases.cases[row]
            rows.append(
                {
                    "space": space.space, "id": case.id, "path": case.path, "label": case.label,
                    "predicted": case.predicted, "shown": int(hub.counts[row]),
                    "times": float(hub.counts[row] / hub.expected),
                }
            )  # fmt: skip
    return Table(
        "hubs",
        "The cases shown most often",
        "A case that is near to everything explains nothing; look at these images first.",
        [
            SPACE, Column("id", "case"), Column("path", "image"), Column("label", "label"),
            Column("predicted", "predicted"), Column("shown", "lists", "count", "lists it is in"),
            Column("times", "times expected", "number", "how many times as often as a case is shown on average"),
        ],
        rows,
        detail=True,
    )  # fmt: skip
