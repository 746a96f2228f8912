"""The bench: every method on every network for every image, every metric on every map, baselines beside them.

One network and one image are in memory at a time. What is made is remembered at once (:mod:`kept`), so that a run that
was stopped goes on. A method that cannot do a network says why in its row, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from casebase import clock, reading
from casebase.errors import ImageError, MissingExtra, ModelError, NoTargetLayer
from casebase.evaluate.saliency import baselines
from casebase.evaluate.saliency.kept import Kept
from casebase.evaluate.saliency.marks import Outcome, Row, Strip
from casebase.evaluate.saliency.metric import BenchSettings, Metric
from casebase.evaluate.saliency.scoring import MAPS, Explaining, Maker, Workplace
from casebase.evaluate.saliency.seeing import MaskPair, Seen, look
from casebase.explain.saliency.method import Method, MethodSettings
from casebase.networks.explained import ExplainedNetwork
from casebase.reading import printable

Progress = Callable[[int, int, int], None]
COSTLY_SECONDS = 60.0
"""From here on a run says beforehand how long it will take."""
TIMED = 8
"""Images of the pass that is timed for that."""
STRIPS = 4
"""Images on the contact sheet."""


@dataclass(frozen=True, eq=False)
class BenchImage:
    """An image to explain: ``mask`` gives the object's mask as the network sees the picture, None where unknown."""

    name: str
    read: Callable[[], reading.Picture]
    group: str | None = None
    mask: Callable[[reading.Picture, reading.Preprocess], MaskPair | None] | None = None


@dataclass(frozen=True, eq=False)
class BenchNetwork:
    """A network by the name of its rows; ``load`` may be called again when others were loaded in between."""

    name: str
    load: Callable[[], ExplainedNetwork]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done. ``asked`` methods were named by a person: a library that they lack is an error.

    Of those that nobody named, one whose library is absent is left out; with ``every`` its row says so.
    """

    methods: Sequence[Method]
    metrics: Sequence[Metric]
    chosen: MethodSettings = field(default_factory=MethodSettings)
    settings: BenchSettings = field(default_factory=BenchSettings)
    asked: bool = True
    every: bool = False


@dataclass(frozen=True, eq=False)
class Told:
    """Who hears of it: ``progress`` of (done, total, left out) maps and scores, ``announce`` of what takes long."""

    progress: Progress = field(default=lambda done, total, skipped: None)
    announce: Callable[[str], None] = field(default=lambda line: None)


def run(
    networks: Sequence[BenchNetwork], images: Sequence[BenchImage], plan: Plan, kept: Kept, told: Told | None = None
) -> Outcome:
    """Explain and score everything. ``kept`` remembers it.

    Raises ``MissingExtra`` where a method that was asked for lacks its library, ``NoTargetLayer`` or ``ModelError``
    where no method can do any network, or a network has one class; ``ImageError`` where no image can be read.
    """
    heard = told or Told()
    loaded = _Loaded()
    opened = [_look_ahead(network, images, plan, loaded, heard) for network in networks]
    tally = _Tally(sum(map(len, opened)) * len(images) * (1 + len(plan.metrics)), heard.progress)
    _something_to_do([row for rows in opened for row in rows])
    rows: list[Row] = []
    strips: dict[str, list[Strip]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    skipped: dict[str, str] = {}
    drawn = set(np.linspace(0, len(images) - 1, min(STRIPS, len(images))).round().astype(int).tolist())
    for network, known in zip(networks, opened, strict=True):
        explained = loaded.get(network)
        workplace = Workplace(explained, plan.metrics, plan.chosen, plan.settings, kept)
        facts[network.name] = workplace.facts
        able = {row.method for row in known if row.refused is None}
        makers = {one.name: workplace.maker(one) for one in plan.methods if one.name in able}
        rows += known
        for place, image in enumerate(images):
            seen = _seen(image, place, workplace, skipped)
            if seen is None:
                tally.add(len(known) * (1 + len(plan.metrics)), skipped=1)
                continue
            made = list(_marks(seen, workplace, known, makers, tally))
            if place in drawn:
                maps = {row.method: found.shown for row, found in made}
                silent = {row.method: found.mark.degenerate for row, found in made if found.mark.degenerate}
                view = np.rint(seen.subject.unit.transpose(1, 2, 0) * 255.0).astype(np.uint8)
                fine = frozenset(row.method for row, found in made if found.fine)
                strip = Strip(image.name, seen.target, seen.subject.before, view, maps, silent, fine)
                strips.setdefault(network.name, []).append(strip)
    if len(skipped) == len(images):
        name, reason = next(iter(skipped.items()))
        raise ImageError(f"none of the {len(images)} images can be used; the first is {printable(name)} ({reason})")
    return Outcome(
        rows, plan.metrics, [i.name for i in images], [i.group for i in images], skipped, facts, strips,
        kept.damaged, kept.problem,
    )  # fmt: skip


def _marks(
    seen: Seen, workplace: Workplace, rows: Sequence[Row], makers: Mapping[str, Maker], tally: _Tally
) -> Iterator[tuple[Row, Explaining]]:
    for row in rows:
        if row.refused is not None:
            tally.add(1 + len(workplace.metrics), skipped=0)
            continue
        if row.baseline:
            found = workplace.baseline(seen, row.method, tally.add)
        else:
            found = workplace.explained(seen, makers[row.method], tally.add)
        row.marks.append(found.mark)
        yield row, found


def _seen(image: BenchImage, place: int, workplace: Workplace, skipped: dict[str, str]) -> Seen | None:
    if image.name in skipped:
        return None
    try:
        picture = image.read()
        mask = None if image.mask is None else image.mask(picture, workplace.network.preprocess)
        return look(workplace.network, picture, image.name, place, mask)
    except ImageError as error:
        skipped[image.name] = str(error)
        return None


def _look_ahead(
    network: BenchNetwork, images: Sequence[BenchImage], plan: Plan, loaded: _Loaded, told: Told
) -> list[Row]:
    """The rows of a network, those that cannot be marked; what takes long is announced."""
    explained = loaded.get(network)
    if explained.anatomy.outputs < 2:
        raise ModelError(
            f"{network.name} has one class: its softmax is 1 for every image, so no explanation can be measured"
        )
    rows = []
    for method in plan.methods:
        row = Row(network.name, method.name, method.title)
        try:
            row.facts = dict(method.build(explained, plan.chosen).facts)
        except MissingExtra as error:
            if plan.asked:
                raise
            if not plan.every:
                continue
            row.refused = str(error)
        except (NoTargetLayer, ModelError) as error:
            row.refused = str(error)
        rows.append(row)
    rows += [Row(network.name, one.name, one.title, baseline=True) for one in baselines.BASELINES.values()]
    passes = _passes(plan, rows)
    seconds = passes * len(images) * _seconds_a_pass(explained)
    if seconds >= COSTLY_SECONDS:
        dear = max(plan.methods, key=lambda method: method.passes)
        told.announce(
            f"{network.name}: at most about {_duration(seconds)} for {len(images)} images "
            f"({passes} forward passes an image; one map of {dear.title} takes {dear.passes})"
        )
    return rows


def _passes(plan: Plan, rows: Sequence[Row]) -> int:
    able = {row.method for row in rows if row.refused is None}
    scoring = len(able) * sum(metric.passes(plan.settings) for metric in plan.metrics if not metric.needs & MAPS)
    maps = 1 + sum(metric.passes(plan.settings) for metric in plan.metrics if metric.needs & MAPS)
    return scoring + maps * sum(method.passes for method in plan.methods if method.name in able)


def _seconds_a_pass(network: ExplainedNetwork) -> float:
    """How long one image takes in a batch, after a batch that warms up."""
    noise = np.zeros((TIMED, 3, *network.preprocess.crop), np.float32)
    network.scores(noise)
    began = clock.seconds()
    network.scores(noise)
    return (clock.seconds() - began) / TIMED


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _something_to_do(rows: Sequence[Row]) -> None:
    asked = [row for row in rows if not row.baseline]
    if asked and all(row.refused is not None for row in asked):
        raise ModelError(f"{asked[0].network}, {asked[0].title}: {asked[0].refused}")


class _Loaded:
    """The network that was loaded last, so that a single one is loaded once."""

    def __init__(self) -> None:
        self._held: tuple[BenchNetwork, ExplainedNetwork] | None = None

    def get(self, network: BenchNetwork) -> ExplainedNetwork:
        if self._held is None or self._held[0] is not network:
            self._held = None  # the old one goes before the new one comes
            self._held = (network, network.load())
        return self._held[1]


@dataclass(eq=False)
class _Tally:
    """Counts maps and scores."""

    total: int
    progress: Progress
    done: int = 0
    skipped: int = 0

    def add(self, done: int = 1, skipped: int = 0) -> None:
        self.done += done
        self.skipped += skipped
        self.progress(min(self.done, self.total), self.total, self.skipped)
