"""The course study's published rows, as printed, with the values that its own columns give where they slipped.

50 images (ImageNet50), the predicted class, Grad-CAM and SHAP on three networks. Four slips: (1) ROAD combined is half
of b minus s: DenseNet-121 / SHAP is printed -0.643 where its columns give -6.43, DenseNet-121 / Grad-CAM 19.44 where
they give 19.26; (2) the worst value stands in bold in two rows (SHAP's 66.73 in drop b, 2.00 in increase s);
(3) the printed formula of the drop lacks 1/N, which the tables must have used; (4) the ROAD columns are headed
"% increase in confidence" and hold signed mean changes in points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casebase.evaluate.saliency.marks import Row
from casebase.evaluate.saliency.summary import Summary
from casebase.evaluations import Cell, Column, Table
from casebase.explanations import Level, Statement

IMAGES = 50
FIGURES = (
    ("occlusion", "increase_b", "% ↑ b", "share"), ("occlusion", "drop_b", "% ↓ b", "share"),
    ("occlusion", "increase_s", "% ↑ s", "share"), ("occlusion", "drop_s", "% ↓ s", "share"),
    ("road", "road_lerf", "ROAD b", "points"), ("road", "road_morf", "ROAD s", "points"),
    ("road", "road_combined", "ROAD combined", "points"), ("iou", "iou", "mIoU", "share"),
)  # fmt: skip
"""Metric, key, title and kind of the deck's columns."""
CAVEATS = (
    (
        "The deck's threshold, fill, target layer, SHAP background and sample count, and its masks drawn by hand are "
        "unknown, so its rows cannot be reproduced exactly: compare the shape of the table and its order, not digits."
    ),
    (
        "Corrected: ROAD combined is half of b minus s. DenseNet-121 / SHAP gives −6.43 (printed −0.643, a decimal "
        "point), DenseNet-121 / Grad-CAM 19.26 (printed 19.44). In bold stand the worst SHAP values, 66.73 of % ↓ b "
        "and 2.00 of % ↑ s, and one of two equal 4.00 in % ↑ b. The printed drop formula lacks 1/N; the tables must "
        "have used it. The ROAD columns are headed “% ↑ in Confidence” but hold signed mean changes in points."
    ),
    (
        "How to read it: SHAP maps are scattered, so any hard mask ruins the image (b and s both drop by about 65 % or "
        "more), and ROAD shows that they barely separate subject from background. At n = 50 an increase of 26 % "
        "carries about ±12 points, so the deck's order of networks in that column is not decided."
    ),
    "LIME was tried in the deck and left out: for most images its superpixels were not captured.",
)


@dataclass(frozen=True, slots=True)
class Printed:
    """One network and method of the deck: its values as printed, by column; ``corrected`` where they slipped."""

    network: str
    title: str
    method: str
    values: Sequence[str]
    corrected: Mapping[str, str] | None = None


ROWS = (
    Printed("vgg16", "VGG-16", "gradcam", ("16.00", "36.08", "8.00", "33.11", "−13.33", "−17.78", "2.22", "12.28")),
    Printed("vgg16", "VGG-16", "shap", ("4.00", "66.04", "0.0", "86.62", "−20.54", "−19.84", "−0.355", "19.48")),
    Printed(
        "resnet50", "ResNet-50", "gradcam", ("26.00", "15.64", "2.00", "56.72", "−3.00", "−26.10", "11.55", "31.78"),
    ),
    Printed("resnet50", "ResNet-50", "shap", ("4.00", "64.66", "2.00", "85.47", "−32.39", "−31.12", "−0.636", "26.24")),
    Printed(
        "densenet121", "DenseNet-121", "gradcam",
        ("14.00", "15.13", "2.00", "50.73", "−2.97", "−41.48", "19.44", "38.75"), {"road_combined": "19.26"},
    ),
    Printed(
        "densenet121", "DenseNet-121", "shap",
        ("2.00", "66.73", "0.0", "75.98", "−48.26", "−35.40", "−0.643", "27.65"), {"road_combined": "−6.43"},
    ),
)  # fmt: skip
ENDS = ("", "_number")
"""Printed values are texts, as printed; beside each stands its number, in the files."""
_TITLES = {"gradcam": "Grad-CAM", "shap": "SHAP"}


def tables(summary: Summary) -> list[Table]:
    """The deck's rows, and this run's beside those of the same network and method; other rows of this run follow.

    Two tables, since eight columns with intervals fit no terminal: occlusion, then ROAD and the masks.
    """
    rows = _rows(summary)
    halves = (("deck", "occlusion", FIGURES[:4], CAVEATS), ("deck-road", "ROAD and masks", FIGURES[4:], ()))
    return [_table(key, of, rows, figures, notes) for key, of, figures, notes in halves]


def _table(
    key: str, of: str, rows: Sequence[Mapping[str, Cell]], figures: Sequence[tuple[str, ...]], notes: Sequence[str]
) -> Table:
    columns = [
        Column("row", "Network, method"), Column("whose", "Whose"),
        *(Column(name, title, kind) for _, name, title, kind in figures), Column("images", "Images", "count"),
    ]  # fmt: skip
    lead = (
        "The course study's table and this run in its columns: b hides the background, s the subject; ROAD in points. "
        "Higher is better for ↑ b, ↓ s, ROAD b, combined and mIoU, lower for the others."
    )
    kept = {"row", "whose", "network", "method", "images", *(f"{name}{end}" for _, name, *_ in figures for end in ENDS)}
    slipped = {name for one in ROWS for name in one.corrected or ()} & {name for _, name, *_ in figures}
    cut = [
        {name: cell for name, cell in row.items() if name in kept}
        for row in rows
        if row["whose"] != "corrected" or slipped
    ]
    return Table(key, f"Beside the course study: {of}", lead, columns, cut, notes)


def _rows(summary: Summary) -> list[Mapping[str, Cell]]:
    rows: list[Mapping[str, Cell]] = []
    used: set[int] = set()
    for printed in ROWS:
        title = f"{printed.title}, {_TITLES[printed.method]}"
        rows.append({"row": title, "whose": "as printed", **_shown(printed, {})})
        if printed.corrected:
            rows.append({"row": title, "whose": "corrected", **_shown(printed, printed.corrected)})
        for place, row in enumerate(summary.outcome.rows):
            if row.refused is None and row.method == printed.method and _is(row.network, printed.network):
                used.add(place)
                rows.append({"row": f"{row.network}, {row.title}", "whose": "here", **_own(summary, row)})
    for place, row in enumerate(summary.outcome.rows):
        if place not in used and row.refused is None:
            rows.append({"row": f"{row.network}, {row.title}", "whose": "here", **_own(summary, row)})
    return rows


def statements(summary: Summary) -> list[Statement]:
    """What must be said beside such a comparison, and where the deck's order is turned round here."""
    found = [Statement(f"Beside the course study: {CAVEATS[0]}", Level.CAUTION)]
    for network in summary.outcome.networks:
        rows = {row.method: row for row in summary.outcome.of(network)}
        for metric, figure in summary.outcome.figures():
            if figure.key == "road_combined" and {"gradcam", "shap"} <= set(rows):
                against = summary.against(rows["gradcam"], rows["shap"], metric, figure)
                if against.behind:
                    found.append(
                        Statement(
                            f"On {network} SHAP is ahead of Grad-CAM in ROAD combined: the deck has it the other way "
                            f"round on all three networks (n = {against.difference.n}).",
                            Level.CAUTION,
                        )
                    )
    return found


def _is(network: str, name: str) -> bool:
    """Whether a row's network is the deck's architecture, from whatever library or file."""
    words = network.lower().replace(":", " ").replace("/", " ").replace("(", " ").split()
    return any(word == name or word.startswith(f"{name}.") for word in words)


def _shown(printed: Printed, corrected: Mapping[str, str]) -> dict[str, Cell]:
    found: dict[str, Cell] = {"network": printed.network, "method": printed.method, "images": IMAGES}
    for (_, key, _, kind), value in zip(FIGURES, printed.values, strict=True):
        told = corrected.get(key, value)
        found[key] = f"{told} %" if kind == "share" else told
        found[f"{key}_number"] = float(told.replace("−", "-")) / 100
    return found


def _own(summary: Summary, row: Row) -> dict[str, Cell]:
    known = {(metric.name, figure.key): (metric, figure) for metric, figure in summary.outcome.figures()}
    found: dict[str, Cell] = {"network": row.network, "method": row.method}
    n = 0
    for of, key, _, _ in FIGURES:
        cell = summary.mean(row, *known[of, key]) if (of, key) in known else None
        found[key] = cell
        n = max(n, 0 if cell is None else cell.n)
    return {**found, "images": n}
