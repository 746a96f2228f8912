"""What ``casebase evaluate prototypes`` measures, before anything is put into tables or words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.errors import DataError
from casebase.evaluate import outcomes, stability
from casebase.evaluate.model_scores import resamples_of
from casebase.evaluate.outcomes import Outcomes
from casebase.evaluate.pictures import Disk, Missing, Progress, Tally
from casebase.evaluate.prototypes import annotated
from casebase.evaluate.prototypes.annotated import Consistency
from casebase.evaluate.prototypes.census import Census, census, purity
from casebase.evaluate.prototypes.formats import Swap, swap
from casebase.evaluate.prototypes.gathering import Asked, Look, MaskOf
from casebase.evaluate.prototypes.looking import Looked, look
from casebase.evaluate.prototypes.options import PrototypeOptions
from casebase.evaluate.prototypes.part_file import PartPlaces
from casebase.evaluate.prototypes.sights import Candidate
from casebase.evaluate.prototypes.standing import Standing, standing
from casebase.evaluate.resampling import Draws
from casebase.parts import Part
from casebase.ports import CaseBase, Embedder
from casebase.prototypes import PrototypeSet
from casebase.reading import DEFAULT_MEGAPIXELS


def silent(done: int, total: int, skipped: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class PrototypeRun:
    """``network`` is the explained one; ``mask_of`` and ``parts`` are there where masks and parts are given.

    ``seed`` is that of everything random; larger images than ``megapixels`` are not read; ``progress`` is told of
    images looked at. ``mask_facts`` say how masks were read.
    """

    network: Embedder
    seed: int = 0
    megapixels: float = DEFAULT_MEGAPIXELS
    progress: Progress = silent
    mask_of: MaskOf | None = None
    mask_facts: Mapping[str, object] | None = None
    parts: PartPlaces | None = None


@dataclass(frozen=True, eq=False)
class Profile:
    """One set, measured. ``called (n,)`` are its answers by the numbers of ``outcomes``; ``owners (P,)`` its classes.

    ``earlier`` is how it stood after earlier stages of its training, on the same images. ``purity (P,)``, and
    ``consistency`` and ``part_purity (P,)`` where parts are known; ``swaps`` by quality.
    """

    found: PrototypeSet
    look: Look
    called: NDArray[np.intp]
    owners: NDArray[np.intp]
    standing: Standing
    earlier: Mapping[str, Standing]
    census: Census
    purity: NDArray[np.float64]
    swaps: Mapping[int | None, Swap]
    consistency: Consistency | None
    part_purity: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Study:
    """Everything measured over the n images that could be read; ``draws`` are those that every figure shares.

    ``sample`` are the same draws of the ``looked.sampled`` images.
    """

    part: Part
    options: PrototypeOptions
    run: PrototypeRun
    outcomes: Outcomes
    truth: NDArray[np.intp]
    network_called: NDArray[np.intp]
    network: Standing
    draws: Draws
    sample: Draws
    looked: Looked
    profiles: Sequence[Profile]

    @property
    def missing(self) -> Missing:
        """Images that are no longer what they were."""
        return self.looked.missing

    @property
    def n(self) -> int:
        """Images measured on."""
        return len(self.truth)

    @property
    def network_changed(self) -> Mapping[int | None, NDArray[np.bool_]]:
        """Whether the network's own answer is another one under each encoding, ``(s,)``, against the image as it is."""
        plain = self.looked.answers.get(None)
        if plain is None:
            return {}
        return {quality: answers != plain for quality, answers in self.looked.answers.items()}


def study(
    base: CaseBase, part: Part, options: PrototypeOptions, candidates: Sequence[Candidate], run: PrototypeRun
) -> Study:
    """Measure every candidate on ``part``. Raises ``DataError`` where no image can be read or no parts fit."""
    told = outcomes.read(base, part)
    sampled = stability.sampled(told.n, options.sample, run.seed)
    tally = Tally(told.n + len(sampled), run.progress)
    asked = Asked(run.network, sampled, run.seed, Disk(run.megapixels, tally), run.mask_of, run.parts)
    looked = look(told.cases, candidates, asked)
    if not len(looked.rows):
        raise DataError(
            f"none of the {told.n} images of {part.name} can be read as it was indexed ({looked.missing.told()}); "
            "restore them, or run `casebase index` again"
        )
    if run.parts is not None and not looked.annotated.any():
        raise DataError(
            f"none of the {len(looked.rows)} images of {part.name} has parts in {run.parts.facts['path']}; its images "
            f"go by paths such as {next(iter(run.parts.points))}"
        )
    truth, network = told.truth[looked.rows], told.called[looked.rows]
    groups = [told.cases[row].group for row in looked.rows.tolist()]
    draws = Draws.of(groups, run.seed, resamples_of(len(truth)))
    number = {name: place for place, name in enumerate(told.names)}
    return Study(
        part=part, options=options, run=run, outcomes=told, truth=truth, network_called=network,
        network=standing(truth, network, None, draws), draws=draws,
        sample=Draws(draws.counts[:, looked.sampled], draws.cluster[looked.sampled]), looked=looked,
        profiles=[
            _profile(one, seen, looked, truth, network, number, draws, run.parts)
            for one, seen in zip(candidates, looked.looks, strict=True)
        ],
    )  # fmt: skip


def _profile(
    candidate: Candidate, seen: Look, looked: Looked, truth: NDArray[np.intp], network: NDArray[np.intp],
    number: Mapping[str, int], draws: Draws, parts: PartPlaces | None,
) -> Profile:  # fmt: skip
    found = candidate.found
    codes = np.array([number[name] for name in found.classes], np.intp)
    called, owners = codes[seen.sight.called], codes[candidate.owners]
    steadfast, of_parts = None, None
    if parts is not None and seen.peaks is not None and looked.parts is not None:
        steadfast = annotated.consistency(seen.peaks, looked.parts, truth, owners)
        centres = (seen.sight.cells[..., ::-1] + 0.5) / np.array(found.grid[::-1], np.float64)
        _, groups = annotated.sides_joined(parts.names)
        of_parts = annotated.part_purity(seen.sight, centres, looked.parts, looked.annotated, groups)
    plain = seen.swaps.get(None)
    return Profile(
        found=found, look=seen, called=called, owners=owners, standing=standing(truth, called, network, draws),
        earlier={name: standing(truth, codes[one], network, draws) for name, one in seen.earlier.items()},
        census=census(found, candidate.vectors), purity=purity(seen.sight, truth, owners),
        swaps={} if plain is None else {quality: swap(plain, sight) for quality, sight in seen.swaps.items()},
        consistency=steadfast, part_purity=of_parts,
    )  # fmt: skip
