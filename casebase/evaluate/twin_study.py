"""What ``casebase evaluate twins`` measures, before anything is put into tables or words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Status
from casebase.evaluate import contradiction, error_detection, hubness, random_control, stability, twin_fidelity
from casebase.evaluate.images import Images, Sides, features, load
from casebase.evaluate.model_scores import resamples_of
from casebase.evaluate.pictures import Disk, Progress, Tally
from casebase.evaluate.resampling import Draws
from casebase.evaluate.twin_fidelity import Asked, Fidelity, Head, Logits
from casebase.evaluate.twin_options import TwinOptions
from casebase.parts import Part
from casebase.ports import CaseBase, Embedder
from casebase.reading import DEFAULT_MEGAPIXELS
from casebase.spaces import CONTRIBUTION, NETWORK_SPACE

Values = NDArray[np.float64]


def silent(done: int, total: int, skipped: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class TwinRun:
    """The seed of everything random, the largest image to be read, and who is told of forward passes."""

    seed: int = 0
    megapixels: float = DEFAULT_MEGAPIXELS
    progress: Progress = silent


@dataclass(frozen=True, eq=False)
class TwinNetworks:
    """The base's own network, its linear ``head`` (None: it has none), and the same architecture untrained.

    All are functions, so that nothing is loaded that is not asked for. ``fingerprint`` names network and classes.
    """

    fingerprint: str
    head: Head | None
    embedder: Callable[[], Embedder]
    untrained: Callable[[], Embedder]


@dataclass(frozen=True, eq=False)
class TwinStudy:
    """Everything measured, image by image; ``draws`` are the bootstrap draws that every figure shares."""

    part: Part
    options: TwinOptions
    seed: int
    k: int
    sides: Sides
    draws: Draws
    fingerprint: str
    spaces: Sequence[Fidelity]
    left_out: Mapping[str, str]
    copies: int
    head: bool
    evidence: error_detection.Evidence
    percentile: Values | None
    detections: Sequence[error_detection.Detection]
    alarms: Sequence[contradiction.Alarm]
    namings: Sequence[contradiction.Naming]
    hubs: Mapping[str, hubness.Hubness]
    sources: Mapping[str, Values]
    controls: random_control.Controls | None
    stability: stability.Stability | None

    @property
    def queries(self) -> Images:
        """The images that were asked about."""
        return self.sides.queries

    @property
    def errors(self) -> int:
        """How many of them the network gets wrong."""
        return int(self.queries.wrong.sum())

    def space(self, name: str) -> Fidelity | None:
        """One space, if it was measured."""
        return next((found for found in self.spaces if found.space == name), None)


def study(base: CaseBase, part: Part, options: TwinOptions, networks: TwinNetworks, run: TwinRun) -> TwinStudy:
    """Measure the twins of ``part`` against the active cases. Raises ``EmptyCaseBase``, ``UsageError``."""
    sides = load(base, part)
    asked = Asked(options.k, run.seed)
    head = networks.head
    if head is not None and head.weight.shape != (sides.cases.probabilities.shape[1], sides.cases.features.shape[1]):
        head = None  # a head on other features than the stored ones has nothing to say of them
    logits = None if head is None else Logits.of(head, sides)
    spaces, left_out = _spaces(base, part, sides, asked, head, logits)
    own = spaces[0]

    evidence = error_detection.Evidence.gather(sides, options.k)
    percentile = _percentiles(base, sides.queries, evidence.twin)
    scores = [
        *error_detection.of_twins(sides, evidence, percentile),
        *(error_detection.of_space(found) for found in spaces[1:]),
        *error_detection.of_network(sides.queries, None if logits is None else logits.queries),
    ]
    draws = Draws.of(sides.queries.groups, run.seed, resamples_of(len(sides.queries)))
    weighted = next((found for found in spaces if found.contrast is not None), None)
    contrast = None if weighted is None or weighted.contrast is None else weighted.contrast.hard

    controls, steady = _from_disk(sides, options, networks, run)
    return TwinStudy(
        part=part,
        options=options,
        seed=run.seed,
        k=own.lists.index.shape[1],
        sides=sides,
        draws=draws,
        fingerprint=networks.fingerprint,
        spaces=spaces,
        left_out=left_out,
        copies=_copies(sides),
        head=head is not None,
        evidence=evidence,
        percentile=percentile,
        detections=error_detection.detect(scores, sides.queries.wrong, draws),
        alarms=contradiction.alarms(own.lists, sides.cases, sides.queries, contrast),
        namings=contradiction.namings(evidence.unlike_case, sides.cases, sides.queries),
        hubs={found.space: hubness.measure(found.lists, len(sides.cases)) for found in spaces},
        sources={found.space: hubness.distinct_sources(found.lists, sides.cases) for found in spaces},
        controls=controls,
        stability=steady,
    )


def _from_disk(
    sides: Sides, options: TwinOptions, networks: TwinNetworks, run: TwinRun
) -> tuple[random_control.Controls | None, stability.Stability | None]:
    """What needs images and networks: the controls on pixels, and stability. One count of forward passes for both."""
    drawn = random_control.Drawn.of(sides, options.control_cases, run.seed) if options.random_network else None
    chosen = stability.sampled(len(sides.queries), options.sample, run.seed)
    passes = (0 if drawn is None else drawn.passes) + len(chosen) * len(stability.CHANGES)
    disk = Disk(run.megapixels, Tally(passes, run.progress))
    controls = None
    if drawn is not None:
        controls = random_control.measure(sides, options.k, networks.untrained(), drawn, run.seed, disk)
    steady = stability.measure(sides, options.k, networks.embedder(), chosen, disk) if options.sample else None
    return controls, steady


def _spaces(
    base: CaseBase, part: Part, sides: Sides, asked: Asked, head: Head | None, logits: Logits | None
) -> tuple[list[Fidelity], dict[str, str]]:
    """The network's own space first, its weighted form where there is a head, then every other space of the base."""
    found = [twin_fidelity.plain(NETWORK_SPACE, sides, asked, logits)]
    left_out: dict[str, str] = {}
    if head is None:
        left_out[CONTRIBUTION] = "the network's head is not one linear layer on these features"
    else:
        found.append(twin_fidelity.weighted(CONTRIBUTION, sides, asked, head, logits))
    for space in base.spaces():
        if space == NETWORK_SPACE:
            continue
        cases = features(base, space, Status.ACTIVE, sides.cases)
        queries = features(base, space, part.status, sides.queries)
        if cases is None or queries is None:
            left_out[space] = "some images have no vector there"
            continue
        found.append(twin_fidelity.plain(space, sides.seen_as(cases, queries), asked, logits))
    return found, left_out


def _percentiles(base: CaseBase, queries: Images, twin: Values) -> Values | None:
    """Percentile of each nearest twin among its class's own pairs, 0..100; NaN where there is none."""
    found = [
        base.percentile(NETWORK_SPACE, case.predicted, 1.0 - distance) if np.isfinite(distance) else None
        for case, distance in zip(queries.cases, twin.tolist(), strict=True)
    ]
    values = np.array([np.nan if one is None else one for one in found], np.float64)
    return values if np.isfinite(values).any() else None


def _copies(sides: Sides) -> int:
    """Queries with an exact copy of their pixels among the cases (their own case aside)."""
    pixels = {case.pixel_hash for case in sides.cases.cases}
    ids = {case.id for case in sides.cases.cases}
    return sum(query.pixel_hash in pixels and query.id not in ids for query in sides.queries.cases)
