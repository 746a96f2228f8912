"""What ``casebase evaluate cae`` measures, before anything is put into tables or words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.association import GRAPH, Association
from casebase.cases import Case
from casebase.evaluate.cae import codes, swaps, walks
from casebase.evaluate.cae.codes import Readable
from casebase.evaluate.cae.looking import Looked, Sight, evenly, look
from casebase.evaluate.cae.options import CaeOptions
from casebase.evaluate.cae.swaps import Rebuilt, Swaps
from casebase.evaluate.cae.walks import Proximity, Walked
from casebase.evaluate.model_scores import resamples_of
from casebase.evaluate.resampling import Draws
from casebase.evaluate.saliency.summary import Summary
from casebase.evaluations import Measured
from casebase.parts import Part
from casebase.ports import CaseBase

Maps = Callable[[Sequence[Case]], Summary | None]
"""The saliency bench on some images, with the metrics of :mod:`casebase.evaluate.cae.removal`; None: no map made."""


@dataclass(frozen=True, eq=False)
class CaeRun:
    """``maps`` is there where maps are to be compared; ``mask_facts`` say how masks were read.

    ``seed`` is that of everything random.
    """

    sight: Sight
    seed: int = 0
    maps: Maps | None = None
    mask_facts: Mapping[str, object] | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """Everything measured. ``edit_draws`` resample the edits, ``draws`` the images, ``walk_draws`` those walked."""

    part: Part
    options: CaeOptions
    run: CaeRun
    looked: Looked
    swaps: Swaps
    rebuilt: Rebuilt
    readable: Readable
    walked: Walked
    near: Proximity
    maps: Summary | None
    edit_draws: Draws
    draws: Draws
    walk_draws: Draws

    @property
    def found(self) -> Association:
        """The embedding measured."""
        return self.run.sight.view.found

    @property
    def classes(self) -> Sequence[str]:
        """The classes that take part."""
        return self.run.sight.classes


def study(base: CaseBase, part: Part, options: CaeOptions, run: CaeRun) -> Study:
    """Measure an embedding on one part of a base. Raises ``DataError`` where nothing there can be swapped."""
    sight = run.sight
    looked = look(base, part, options.n, run.seed, sight)
    swapped = swaps.swap(looked, run.seed, sight)
    walked = walks.walk(base, looked, options.walks, run.seed, sight)
    groups = [case.group for case in looked.cases]
    shown = evenly(looked.called.tolist(), options.hidden, run.seed)
    return Study(
        part=part, options=options, run=run, looked=looked, swaps=swapped, rebuilt=swaps.rebuild(looked, sight),
        readable=codes.read(looked, sight.view.nodes, run.seed), walked=walked,
        near=walks.proximity(looked, walked, GRAPH, sight),
        maps=run.maps([looked.cases[row] for row in shown]) if run.maps is not None and shown else None,
        edit_draws=Draws.of(swapped.groups, run.seed, resamples_of(len(swapped.source))),
        draws=Draws.of(groups, run.seed, resamples_of(looked.n)),
        walk_draws=Draws.of([groups[row] for row in walked.rows.tolist()], run.seed, resamples_of(len(walked.rows))),
    )  # fmt: skip


def mean(values: NDArray[np.generic], draws: Draws, reason: str = "no image") -> Measured:
    """The mean of ``values (n,)``, NaN left out; counted values (0 and 1 alone) have Wilson's interval."""
    numbers = np.asarray(values, np.float64)
    there = np.isfinite(numbers)
    kept = numbers[there]
    counted = bool(np.isin(kept, (0.0, 1.0)).all())
    return draws.of_rows(there).mean(kept.astype(np.bool_) if counted else kept, reason)
