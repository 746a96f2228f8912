"""The demo: birds drawn, a network trained on them, indexed and asked about."""

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
    write_set,
)
from casebase.wiring import ModelChoice

SYNTHETIC = "These birds were drawn by casebase. They show how a report reads, not how good a network is."
DRAWN = 240
DRAWN_SPLITS = {"train": 0.75, "val": 0.125, "test": 0.125}


@dataclass(frozen=True)
class Demo:
    """What ``demo`` made: a base, and one explanation of a right answer and one of a wrong one, if there was one."""

    folder: Path
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
        base = self.folder / "base"
        lines = [*typed("stats", base=base), *typed("verify", "--deep", base=base)]
        told = [f"{'     ' if place else 'try: '}{line}" for place, line in enumerate(lines)]
        return [*told, *(str(path.resolve()) for path in self.reports)]


def demo(
    folder: Path,
    chosen: settings.Settings,
    *,
    dataset: str = "birds",
    shortcut: bool = False,
    announce: Callable[[str], None] = lambda line: None,
    progress: bool | Progress = False,
) -> Demo:
    """Draw birds (or fetch pets), train, index, ask about an image the network gets right and one it gets wrong.

    Everything is written below ``folder``; what an earlier demo of the same kind left there is used again. Raises
    ``UsageError`` for an unknown data set, ``DataError`` where pets cannot be downloaded.
    """
    if dataset not in ("birds", "pets"):
        raise UsageError(f"no demo data set {dataset!r}; there is birds, pets")
    name = "pets" if dataset == "pets" else "birds-shortcut" if shortcut else "birds"
    options = IndexOptions()
    if dataset == "pets":
        announce("downloading Oxford-IIIT Pet")
        data = wiring.fetch_pets(folder / name)
    else:
        data = folder / name
        if not data.exists():
            announce(f"drawing {4 * DRAWN} birds of four species (synthetic)")
            write_set(
                data, per_class=DRAWN, seed=chosen.seed, shortcut=shortcut, splits=DRAWN_SPLITS,
                processes=wiring.workers(chosen),
            )  # fmt: skip
        model = folder / f"model-{name}"
        if not (model / "model.json").exists():
            announce("training a ten-layer residual network from scratch")
            wiring.train_birds(data, model, chosen, announce)
        options = IndexOptions(model=ModelChoice(model=str(model)))
    chosen = replace(chosen, base=folder / f"base-{name}" if name != "birds" else folder / "base")
    with Base(chosen, create=True) as base:
        if dataset == "birds":
            base.mark_synthetic(SYNTHETIC + (SHORTCUT if shortcut else ""))
        summary = base.index(data, options, progress=progress, announce=announce)
        seen = [base.explain(path, command="casebase demo") for path in base.examples()]
        reports_at = [
            explanation.save(base.folder / "reports" / f"{kind}.html")
            for kind, explanation in zip(("right", "wrong"), seen, strict=False)
        ]
    return Demo(folder, summary, seen, reports_at)


SHORTCUT = " Each species keeps to its own scenery: a shortcut that the maps and neighbours should give away."
