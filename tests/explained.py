"""Small explanations made of arrays, for tests of what a person is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from casebase.answers import (
    Asked,
    Comparable,
    ListSource,
    Neighbour,
    Prediction,
    Retrieval,
    Rival,
    Role,
    Search,
    Support,
)
from casebase.cases import Case
from casebase.correctness import Calibrated, Comparison
from casebase.explain.report import compose
from casebase.explanations import QUERY_ID, Deletion, Explanation, Report, SaliencyMap, Shown, WhereMap
from casebase.panel import Contender
from casebase.rerank import Reranked

GATE = Comparable(share=0.4, n=50, low=0.28, high=0.54, reference="held-out images")


def row(
    name: str, label: str, predicted: str, role: Role = Role.NEAREST, *, percentile: float | None = 37.0, group: int = 1
) -> Neighbour:
    """A neighbour called ``name``, at a distance that follows from nothing."""
    case = Case(
        id=name,
        path=f"train/{label}/{name}.jpg",
        file=Path("/nowhere") / name,
        label=label,
        predicted=predicted,
        confidence=0.9,
        split="train",
        group=None,
        pixel_hash=name,
        look_hash=0,
    )
    return Neighbour(case, rank=1, distance=0.25, percentile=percentile, group_size=group, role=role)


def ranked(rows: Sequence[Neighbour]) -> list[Neighbour]:
    """The rows with ranks 1, 2, … in the order given."""
    return [replace(one, rank=rank) for rank, one in enumerate(rows, start=1)]


def shown(image_id: str, side: int = 16) -> Shown:
    """A picture whose left half is dark and whose right half is light, cropped from a wider one."""
    view = np.zeros((side, side, 3), np.uint8)
    view[:, side // 2 :] = 200
    wide = side + 8
    return Shown(image_id, view, np.pad(view, ((0, 0), (4, 4), (0, 0))), (4 / wide, 0.0, (side + 4) / wide, 1.0))


def corner(target: str, image_id: str, degenerate: str | None = None) -> SaliencyMap:
    """A map that is 1 in the upper left cell of 2 x 2 and 0 elsewhere."""
    return SaliencyMap(np.array([[1, 0], [0, 0]], np.float32), "gradcam", target, image_id, "layer4", degenerate)


@dataclass(frozen=True)
class Made:
    """What a test wants to be different from a calm answer "cat" with one rival "dog"."""

    path: str = "query.jpg"
    probabilities: Mapping[str, float] = field(default_factory=lambda: {"cat": 0.9, "dog": 0.1})
    nearest: Sequence[Neighbour] = (row("n1", "cat", "cat"), row("n2", "cat", "cat"))
    twins: Sequence[Neighbour] = (row("n1", "cat", "cat", Role.TWIN), row("n2", "cat", "cat", Role.TWIN))
    counterfactuals: Sequence[Neighbour] = (row("d1", "dog", "dog", Role.COUNTERFACTUAL),)
    semi_factuals: Sequence[Neighbour] = (row("s1", "cat", "cat", Role.SEMI_FACTUAL),)
    rivals: Sequence[Rival] = (Rival("dog", 0.1, "runner-up", 7),)
    trust: float | None = 1.8
    comparable: Comparable | None = GATE
    known: str | None = None
    warnings: Sequence[str] = ()
    deletions: Sequence[Deletion] = ()
    gone: Sequence[str] = ()
    residual: float = 0.01
    degenerate: str | None = None
    correct: tuple[Calibrated | None, Calibrated | None] = (None, None)
    comparison: Comparison | None = None
    panel: Sequence[Contender] = ()
    side_by_side: bool = False
    reranked: Reranked | None = None

    @property
    def explanation(self) -> Explanation:
        """The explanation these make, with a picture and maps for every case but those ``gone``."""
        called = max(self.probabilities, key=lambda name: self.probabilities[name])
        rows = [*self.nearest, *self.twins, *self.counterfactuals, *self.semi_factuals]
        rows += [row for one in self.panel for row in (one.agreed, one.nearer) if row is not None]
        cases = {one.case.id: one.case for one in rows if one.case.id not in self.gone}
        signed = np.array([[0.9, -0.1], [0.0, -0.05]], np.float32)
        retrieval = Retrieval(
            query=Asked(self.path, "ab" * 32, self.known),
            prediction=Prediction(self.probabilities),
            nearest=ranked(self.nearest),
            twins=ranked(self.twins),
            counterfactuals=ranked(self.counterfactuals),
            semi_factuals=ranked(self.semi_factuals),
            rivals=self.rivals,
            trust=Support(
                self.trust, self.probabilities[called], 2, 0, 2, None, self.comparable, *self.correct, self.comparison
            ),
            search=Search("avgpool", "cosine", 90, {"nearest": ListSource("exact", 1.0)}),
            fingerprint="f" * 16,
            k=2,
            warnings=self.warnings,
            panel=self.panel,
            reranked=self.reranked,
        )
        saliency = {(QUERY_ID, name): corner(name, QUERY_ID, self.degenerate) for name in self.probabilities}
        return Explanation(
            retrieval=retrieval,
            shown={name: shown(name) for name in (QUERY_ID, *cases)},
            saliency=saliency | {(one.id, one.predicted): corner(one.predicted, one.id) for one in cases.values()},
            where={name: WhereMap(signed, signed, name, 0.75, self.residual) for name in cases},
            deletions=self.deletions,
            warnings=self.warnings,
            facts={"Seed": "0"},
            seconds={"explain": 0.5},
            panel=self.side_by_side,
        )

    @property
    def report(self) -> Report:
        """The explanation as it is read."""
        return read(self.explanation)


def read(
    explanation: Explanation, *, synthetic: str | None = None, provenance: Sequence[tuple[str, str]] = ()
) -> Report:
    """The report of an explanation, with fixed surroundings."""
    return compose(
        explanation,
        base="my base",
        network="resnet18",
        date="2026-11-21",
        provenance=provenance,
        synthetic=synthetic,
    )
