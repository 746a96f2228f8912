"""The tables of ``casebase evaluate model``, and the rows behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from casebase.evaluate import scores
from casebase.evaluate.model_scores import TOP, ClassScores, Found
from casebase.evaluate.outcomes import Outcomes
from casebase.evaluations import Cell, Column, Table
from casebase.reading import percent
from casebase.shares import share

WIDE = 12
"""Up to this many classes the confusion matrix is also a table."""
SHOWN = 40
"""Rows of a table on page and screen; files have all of them."""


def tables(found: Found) -> list[Table]:
    """All tables in the order of the page."""
    made = [_overall(found), _classes(found), _averages(found)]
    if len(found.classes) <= WIDE:
        made.append(_confusion(found))
    made.append(_mistakes(found))
    return [*made, _calibration(found), _probabilities(found), *_bins(found), _balance(found)]


def _overall(found: Found) -> Table:
    present = sum(1 for one in found.classes if one.labelled)
    rows: list[Mapping[str, Cell]] = [
        {
            "metric": "accuracy", "figure": "accuracy", "value": found.accuracy, "control": found.usual_accuracy,
            "gain": found.gain, "reading": "share of right answers",
        },
        {
            "metric": "balanced_accuracy", "figure": "balanced accuracy",
            "value": found.averages["balanced accuracy"], "control": 1 / present, "gain": found.balanced_gain,
            "reading": "mean recall of the classes; each counts the same",
        },
    ]  # fmt: skip
    if found.top is not None:
        rows.append(
            {
                "metric": f"top{TOP}",
                "figure": f"top-{TOP} accuracy",
                "value": found.top,
                "control": found.usual_top,
                "gain": None,
                "reading": f"the label is among the {TOP} most probable classes",
            }
        )
    notes = []
    if found.outcomes.clustered:
        notes.append("Images of one group belong together; intervals are drawn by group, so they are wider.")
    return Table(
        "overall", "How often it is right",
        f"Beside each figure stands what always answering {found.usual} (the most frequent label here) would reach.",
        [
            Column("figure", "figure"),
            Column("value", "network", "share", "with its 95 % interval"),
            Column("control", "always the same", "share", f"always answering {found.usual}"),
            Column("gain", "gain", "points", "network minus that, in points, with its 95 % interval"),
            Column("reading", "reading"),
        ],
        rows, notes,
    )  # fmt: skip


def _classes(found: Found) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {
            "class": one.name, "images": one.labelled, "answers": one.called, "right": one.right,
            "precision": one.precision, "recall": one.recall, "f1": one.f1,
        }
        for one in sorted(found.classes, key=_worst_first)
    ]  # fmt: skip
    present = sum(1 for one in found.classes if one.labelled)
    return Table(
        "classes", "Class by class",
        "Recall: of the images of a class, how many are called that. Precision: of the answers naming a class, how "
        "many are right. F1 is their harmonic mean. The worst class stands first.",
        [
            Column("class", "class"),
            Column("images", "images", "count", "images with this label"),
            Column("answers", "answers", "count", "answers naming this class"),
            Column("right", "right", "count", "both"),
            Column("recall", "recall", "share", "of its images, how many are called that"),
            Column("precision", "precision", "share", "of the answers naming it, how many are right"),
            Column("f1", "F1", "share", "harmonic mean of precision and recall"),
        ],
        rows, shown=min(SHOWN, present),
    )  # fmt: skip


def _worst_first(one: ClassScores) -> tuple[bool, float]:
    return one.f1.value is None, one.f1.value if one.f1.value is not None else -one.called


def _averages(found: Found) -> Table:
    of = found.averages
    return Table(
        "averages", "Averages over the classes",
        "Macro: every class counts the same. Weighted: every class counts with its images. A class that is never "
        "predicted has precision 0 here; only classes with images are averaged.",
        [
            Column("average", "average"), Column("recall", "recall", "share"),
            Column("precision", "precision", "share"), Column("f1", "F1", "share"),
        ],
        [
            {
                "average": "macro", "recall": of["balanced accuracy"], "precision": of["macro precision"],
                "f1": of["macro F1"],
            },
            {
                "average": "weighted", "recall": of["weighted recall"], "precision": of["weighted precision"],
                "f1": of["weighted F1"],
            },
        ],
    )  # fmt: skip


def _confusion(found: Found) -> Table:
    names, matrix = shown_classes(found)
    rows: list[Mapping[str, Cell]] = [
        {"label": name, **{f"predicted {called}": int(n) for called, n in zip(names, row, strict=True)}}
        for name, row in zip(names, matrix, strict=True)
    ]
    columns = [Column(f"predicted {name}", name, "count", f"called {name}") for name in names]
    return Table(
        "confusion", "What is called what", "Rows are labels, columns what the network calls them; numbers of images.",
        [Column("label", "label"), *columns], rows,
    )  # fmt: skip


def shown_classes(found: Found) -> tuple[list[str], np.ndarray[Any, np.dtype[np.intp]]]:
    """The confusion matrix ``(c, c)`` of the classes that occur, and their names."""
    outcomes = found.outcomes
    whole = scores.confusion(outcomes.truth, outcomes.called, len(outcomes.names))
    place = {name: number for number, name in enumerate(outcomes.names)}
    rows = [place[one.name] for one in found.classes]
    return [one.name for one in found.classes], whole[np.ix_(rows, rows)]


def _mistakes(found: Found) -> Table:
    outcomes, confidence = found.outcomes, found.outcomes.confidence
    labelled = {one.name: one.labelled for one in found.classes}
    wrong = np.flatnonzero(~outcomes.right)
    pairs, inverse = np.unique(
        np.stack([outcomes.truth[wrong], outcomes.called[wrong]], axis=1), axis=0, return_inverse=True
    )
    rows: list[Mapping[str, Cell]] = []
    for number, (truth, called) in enumerate(pairs.tolist()):
        of_pair = wrong[inverse.reshape(-1) == number]
        label, n = outcomes.names[truth], len(of_pair)
        rows.append({
            "label": label, "predicted": outcomes.names[called], "images": n, "of_errors": share(n, len(wrong)),
            "of_label": share(n, labelled[label]), "confidence": float(confidence[of_pair].mean()),
        })  # fmt: skip
    rows.sort(key=lambda row: -int(str(row["images"])))
    lead = "Every kind of mistake, the most frequent first." if rows else "There is no wrong answer on these images."
    return Table(
        "mistakes", "The mistakes", lead,
        [
            Column("label", "label"), Column("predicted", "predicted"), Column("images", "images", "count"),
            Column("of_errors", "of all mistakes", "share"), Column("of_label", "of the label", "share"),
            Column("confidence", "confidence", "share", "mean confidence of these wrong answers"),
        ],
        rows, shown=SHOWN,
    )  # fmt: skip


def _calibration(found: Found) -> Table:
    chance = percent(found.calibrated_chance)
    rows: list[Mapping[str, Cell]] = [
        {
            "metric": "ece", "figure": f"ECE, {scores.BINS} bins of equal width", "value": found.width_error,
            "calibrated": found.width_if_calibrated,
        },
        {
            "metric": "ece_mass", "figure": _of_mass(len(found.mass.n)),
            "value": found.mass_error, "calibrated": found.mass_if_calibrated,
        },
    ]  # fmt: skip
    return Table(
        "calibration", "Does its confidence mean anything?",
        "Expected calibration error: how far, on average, the confidence of answers lies from how often such answers "
        "are right. Beside it, what a network that is right exactly as often as it says would show on as many images: "
        "chance alone lifts the error above zero.",
        [
            Column("figure", "figure"), Column("value", "network", "share"),
            Column("calibrated", "if it were calibrated", "share", "mean and range of 95 % of simulated networks"),
        ],
        rows,
        [
            f"A calibrated network shows an error as large as this one (equal width) in {chance} of simulations.",
            f"Bins of as many answers hold {scores.LEAST_OF_A_BIN} and more; with few answers there are fewer bins.",
        ],
    )  # fmt: skip


def _of_mass(bins: int) -> str:
    return "ECE, one bin of all answers" if bins == 1 else f"ECE, {bins} bins of as many answers each"


def _probabilities(found: Found) -> Table:
    notes = []
    if found.log_loss.n < found.outcomes.n:
        notes.append("Log-loss and Brier score leave out images whose label the network does not know.")
    return Table(
        "probabilities", "Quality of the probabilities",
        "Smaller is better for the first two. The control answers every image with the shares of the labels here.",
        [
            Column("figure", "figure"), Column("value", "network", "number"),
            Column("control", "shares of the labels", "number"), Column("reading", "reading"),
        ],
        [
            {
                "metric": "log_loss", "figure": "log-loss", "value": found.log_loss,
                "control": found.usual_log_loss, "reading": "minus log of the label's probability, in nats",
            },
            {
                "metric": "brier", "figure": "Brier score", "value": found.brier, "control": found.usual_brier,
                "reading": "squared error of all probabilities, 0 to 2",
            },
            {
                "metric": "gap", "figure": "confidence minus accuracy", "value": found.gap, "control": None,
                "reading": "above 0: too sure of itself",
            },
        ],
        notes,
    )  # fmt: skip


def _bins(found: Found) -> list[Table]:
    kinds = [
        ("bins", "Confidence and truth, bins of equal width", found.width, 1),
        ("bins_mass", "Confidence and truth, bins of as many answers each", found.mass, 2),
    ]
    columns = [
        Column("confidence", "confidence"), Column("n", "answers", "count"),
        Column("mean", "mean confidence", "share"), Column("right", "right", "share"),
    ]  # fmt: skip
    made = []
    for key, title, bins, digits in kinds:
        rows: list[Mapping[str, Cell]] = [
            {
                "confidence": f"{100 * bins.low[b]:.{digits}f}–{100 * bins.high[b]:.{digits}f} %", "n": int(bins.n[b]),
                "mean": float(bins.confidence[b]), "right": share(int(bins.right[b]), int(bins.n[b])),
                "low": float(bins.low[b]), "high": float(bins.high[b]),
            }
            for b in range(len(bins.n))
        ]  # fmt: skip
        made.append(Table(key, title, "Where confidence and share of right answers differ, one of them misleads.",
                          columns, rows, detail=True))  # fmt: skip
    return made


def _balance(found: Found) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {"class": one.name, "labels": one.label_share, "answers": one.answer_share}
        for one in sorted(found.classes, key=lambda one: -abs(one.called - one.labelled))
    ]
    return Table(
        "balance", "How often a class occurs and is named",
        "A class that is named more often than it occurs draws answers that belong elsewhere. The largest difference "
        "stands first.",
        [
            Column("class", "class"), Column("labels", "of the images", "share"),
            Column("answers", "of the answers", "share"),
        ],
        rows, shown=SHOWN, detail=True,
    )  # fmt: skip


def per_query(outcomes: Outcomes) -> list[dict[str, Any]]:
    """One row per image: what it is, what it was called, how sure the network was."""
    ranks = scores.ranks(outcomes.probabilities, outcomes.truth)
    rows = []
    for row, case in enumerate(outcomes.cases):
        truth = int(outcomes.truth[row])
        known = truth < outcomes.known
        rows.append({
            "id": case.id, "path": case.path, "label": case.label, "predicted": case.predicted,
            "right": bool(outcomes.right[row]), "confidence": float(outcomes.confidence[row]),
            "label_probability": float(outcomes.probabilities[row, truth]) if known else None,
            "label_rank": int(ranks[row]) + 1 if known else None, "split": case.split, "group": case.group,
        })  # fmt: skip
    return rows
