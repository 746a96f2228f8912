"""The demo: a set drawn, a network trained on it, indexed and asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casebase import settings, wiring
from casebase.api.base import Base
from casebase.api.inputs import IndexOptions
from casebase.commands import typed
from casebase.errors import UsageError
from casebase.explanations import Explanation
from casebase.indexer import (
    IndexSummary,
    Progress,
    write_lesions,
    write_set,
)
from casebase.wiring import ModelChoice

SYNTHETIC = "These birds were drawn by casebase. They show how a report reads, not how good a network is."
OF_LESIONS = (
    "These pictures were drawn by casebase: bodies with a bright spot, and without. They show nothing that exists."
)
BIRDS, LESIONS, PETS = "birds", "lesions", "pets"
DATASETS = (BIRDS, LESIONS, PETS)
DRAWN = 240
DRAWN_SPLITS = {"train": 0.75, "val": 0.125, "test": 0.125}


@dataclass(frozen=True)
class Demo:
    """What ``demo`` made: a base, and one explanation of a right answer and one of a wrong one, if there was one."""

    folder: Path
    base: Path
    summary: IndexSummary
    explanations: Sequence[Explanation]
    reports: Sequence[Path]

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.demo/1``."""
        return {
            "schema": "casebase.demo/1", "folder": str(self.folder), "index": self.summary.to_dict(),
            "queries": [seen.to_dict() for seen in self.explanations], "reports": [str(path) for path in self.reports],
        }  # fmt: skip

    def closing(self) -> list[str]:
        """The last lines: what to try, and last of all the page to open."""
        lines = [*typed("stats", base=self.base), *typed("verify", "--deep", base=self.base)]
        told = [f"{'     ' if place else 'try: '}{line}" for place, line in enumerate(lines)]
        return [*told, *(str(path.resolve()) for path in self.reports)]


def demo(
    folder: Path,
    chosen: settings.Settings,
    *,
    dataset: str = BIRDS,
    shortcut: bool = False,
    announce: Callable[[str], None] = lambda line: None,
    progress: bool | Progress = False,
) -> Demo:
    """Draw birds or lesions (or fetch pets), train, index, ask about a right answer and a wrong one.

    Everything is written below ``folder``; what an earlier demo of the same kind left there is used again. Raises
    ``UsageError`` for an unknown data set, ``DataError`` where pets cannot be downloaded.
    """
    if dataset not in DATASETS:
        raise UsageError(f"no demo data set {dataset!r}; there is {', '.join(DATASETS)}")
    if shortcut and dataset != BIRDS:
        raise UsageError(f"--shortcut is about the birds' scenery; {dataset} have none to draw")
    name = "birds-shortcut" if shortcut else dataset
    options = IndexOptions()
    if dataset == PETS:
        announce("downloading Oxford-IIIT Pet")
        data = wiring.fetch_pets(folder / name)
    else:
        data = folder / name
        if not data.exists():
            _draw(data, dataset, chosen, announce, shortcut=shortcut)
        model = folder / f"model-{name}"
        if not (model / "model.json").exists():
            announce("training a ten-layer residual network from scratch")
            wiring.train_drawn(data, model, chosen, announce)
        options = IndexOptions(model=ModelChoice(model=str(model)))
    chosen = replace(chosen, base=folder / f"base-{name}" if name != BIRDS else folder / "base")
    with Base(chosen, create=True) as base:
        if dataset != PETS:
            base.mark_synthetic(OF_LESIONS if dataset == LESIONS else SYNTHETIC + (SHORTCUT if shortcut else ""))
        summary = base.index(data, options, progress=progress, announce=announce)
        seen = [base.explain(path, command="casebase demo") for path in base.examples()]
        reports_at = [
            explanation.save(base.folder / "reports" / f"{kind}.html")
            for kind, explanation in zip(("right", "wrong"), seen, strict=False)
        ]
    return Demo(folder, chosen.base, summary, seen, reports_at)


def _draw(
    data: Path, dataset: str, chosen: settings.Settings, announce: Callable[[str], None], *, shortcut: bool
) -> None:
    if dataset == LESIONS:
        announce(f"drawing {2 * DRAWN} bodies with and without a bright spot (synthetic)")
        write_lesions(data, per_class=DRAWN, seed=chosen.seed, splits=DRAWN_SPLITS)
        return
    announce(f"drawing {4 * DRAWN} birds of four species (synthetic)")
    write_set(
        data, per_class=DRAWN, seed=chosen.seed, shortcut=shortcut, splits=DRAWN_SPLITS,
        processes=wiring.workers(chosen),
    )  # fmt: skip


SHORTCUT = " Each species keeps to its own scenery: a shortcut that the maps and neighbours should give away."
