"""One network at the bench: an image as it sees it, a map of it, and what every metric says of that map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import __version__, clock, hashing
from casebase.errors import CasebaseError
from casebase.evaluate.saliency import baselines
from casebase.evaluate.saliency.kept import Kept, KeptMap, plain
from casebase.evaluate.saliency.marks import NO_MAPS, NO_MASK, Curve, Mark
from casebase.evaluate.saliency.metric import BenchSettings, Metric, Scored, Subject
from casebase.evaluate.saliency.redrawn import Redrawn, cascade, runner_up
from casebase.evaluate.saliency.seeing import Seen
from casebase.explain.map_words import of_pixels
from casebase.explain.saliency.method import Method, MethodSettings, Saliency, scaled, silence, unsigned
from casebase.explanations import SEGMENTS
from casebase.networks.checkpoints import digest
from casebase.networks.explained import ExplainedNetwork
from casebase.overlay import enlarge

Map = NDArray[np.float32]
Add = Callable[[int], None]
MOST_PASSES = 2000
"""Forward passes that a metric may spend on explaining one image again and again."""
MAPS = frozenset({"again", "randomised", "other"})
"""Needs of metrics that make further maps; their passes are maps, each at the cost of the method."""
FORMAT = 1
"""Of what is remembered; raised with every change that moves a map or a figure, so that older files are made anew."""
UNKEYED = frozenset({"background", "association", "no_association", "batch", "sign"})
"""Settings that do not name a map as they are: a hash of the background does, and the embedding's facts."""
RESIZE = "bilinear, corners not aligned, then min-max per image"


@dataclass(frozen=True, eq=False)
class Maker:
    """A method as it stands at this network: ``saliency`` makes its maps, ``redrawn`` those of stages of ignorance."""

    method: Method
    saliency: Saliency
    redrawn: Callable[[], Sequence[tuple[str, Saliency]]]


@dataclass(frozen=True, eq=False)
class Explaining:
    """A mark and the small map that it was made of, for the contact sheet; ``fine``: it is of single pixels."""

    mark: Mark
    shown: Map
    fine: bool = False


class Workplace:
    """A network, what is measured on it, and what is remembered of it."""

    def __init__(
        self,
        network: ExplainedNetwork,
        metrics: Sequence[Metric],
        chosen: MethodSettings,
        settings: BenchSettings,
        kept: Kept,
    ) -> None:
        self.network, self.metrics, self.chosen, self.settings, self.kept = network, metrics, chosen, settings, kept

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """What names this network: architecture, weights with the head, preprocessing, where and how it computes."""
        return {
            "network": self.network.spec, "weights": digest(self.network.module.state_dict())[: 2 * hashing.SHORT],
            "preprocess": self.network.preprocess.short, "device": self.network.device,
            "precision": self.network.precision, "casebase": __version__, "torch": version("torch"), "format": FORMAT,
        }  # fmt: skip

    @property
    def facts(self) -> Mapping[str, Any]:
        """The same for people, and whether it was trained."""
        return {
            **self.key, "untrained": self.network.untrained, "classes": self.network.anatomy.outputs,
            "layer found": self.network.spatial_layer,
        }  # fmt: skip

    def maker(self, method: Method) -> Maker:
        """A method at this network; raises what :attr:`Method.build` raises."""

        @cache
        def redrawn() -> Sequence[tuple[str, Saliency]]:
            return [(stage.deepest, method.build(stage, self.chosen)) for stage in self._stages]

        return Maker(method, method.build(self.network, self.chosen), redrawn)

    @cached_property
    def _stages(self) -> Sequence[Redrawn]:
        """The network redrawn deeper and deeper; made when first needed, one for all methods."""
        return cascade(self.network, self.settings.seed)

    def explained(self, seen: Seen, maker: Maker, add: Add) -> Explaining:
        """A method's map of an image, made or remembered, and its scores."""
        method, saliency = maker.method.name, maker.saliency
        key = self._map_key(seen, method, saliency)
        found = self.kept.find_map(key)
        remembered = found is not None
        if found is None:
            began = clock.seconds()
            (raw,) = saliency.raw(seen.subject.fed[None], [seen.subject.target])
            found = KeptMap(np.asarray(raw.values, np.float32), plain(_told(raw.facts)), clock.seconds() - began)
            self.kept.keep_map(key, found)
        add(1)
        map_ = self._scaled(found.values, method, seen)
        subject = replace(seen.subject, raw=found.values, **self._more_maps(seen, maker))
        mark = Mark(
            seen.place, seen.subject.name, seen.target, seen.subject.before,
            silence(self._unsigned(found.values), found.facts), found.seconds, _told(found.facts),
            remembered=remembered,
        )  # fmt: skip
        scored = self._scored(
            mark, map_, subject, {**key, "sign": self.chosen.sign, "mask": seen.mask_key}, add, maker.method.passes
        )
        return replace(scored, fine=of_pixels(found.values) and "superpixels" not in found.facts)

    def baseline(self, seen: Seen, name: str, add: Add) -> Explaining:
        """A map that knows nothing of the network, and its scores. All ones stay all ones."""
        raw = baselines.baseline(name, seen.subject.unit, seen.subject.key, self.settings.seed)
        add(1)
        size = seen.subject.fed.shape[1:]
        values = raw if raw.shape == size else enlarge(raw, (int(size[0]), int(size[1])))
        spread = float(np.ptp(values))
        map_ = ((values - values.min()) / spread if spread > 0 else np.clip(values, 0.0, 1.0)).astype(np.float32)
        subject = replace(seen.subject, raw=np.asarray(raw, np.float32))
        mark = Mark(seen.place, seen.subject.name, seen.target, seen.subject.before)
        key = {**self.key, "image": seen.subject.key, "baseline": name, "seed": self.settings.seed}
        return self._scored(mark, map_, subject, {**key, "mask": seen.mask_key}, add)

    def _map_key(self, seen: Seen, method: str, saliency: Saliency) -> Mapping[str, Any]:
        chosen = {name: value for name, value in vars(self.chosen).items() if name not in UNKEYED}
        ground = self.chosen.background
        return {
            **self.key, "image": seen.subject.key, "class": seen.subject.target, "method": method, "chosen": chosen,
            "background": None if ground is None else hashing.of_bytes(np.ascontiguousarray(ground).data),
            "facts": saliency.facts,
        }  # fmt: skip

    def _unsigned(self, raw: Map) -> Map:
        """Signed attributions as their setting says; maps that are never negative stay as they are."""
        return unsigned(raw, self.chosen.sign) if bool((raw < 0).any()) else raw

    def _scaled(self, raw: Map, method: str, seen: Seen) -> Map:
        height, width = seen.subject.fed.shape[1:]
        found = scaled(self._unsigned(raw), method, seen.target, seen.subject.name, {}, size=(height, width))
        return np.asarray(found.values, np.float32)

    def _more_maps(self, seen: Seen, maker: Maker) -> dict[str, Any]:
        """What makes further maps of the same image, for metrics that want them."""
        fed, target = seen.subject.fed, seen.subject.target

        def again(images: Map) -> Map:
            maps = maker.saliency.raw(images, [target] * len(images))
            return np.stack([self._scaled(one.values, maker.method.name, seen) for one in maps])

        def randomised() -> list[tuple[str, Map]]:
            return [(name, stage.raw(fed[None], [target])[0].values) for name, stage in maker.redrawn()]

        def other() -> Map:
            return maker.saliency.raw(fed[None], [runner_up(self.network, fed, target)])[0].values

        return {"again": again, "randomised": randomised, "other": other}

    def _scored(
        self, mark: Mark, map_: Map, subject: Subject, key: Mapping[str, Any], add: Add, passes: int = 0
    ) -> Explaining:
        known = self.kept.find_scores(key)
        figures: dict[tuple[str, str], float | None] = {}
        curves: dict[tuple[str, str], Curve] = {}
        problems: dict[str, str] = {}
        for metric in self.metrics:
            settings = {"seed": self.settings.seed, **metric.chosen(self.settings)}
            name = hashing.of_json({"metric": metric.name, "settings": plain(settings)})
            entry: dict[str, Any] = known.get(name, {})
            if not _usable(entry, metric):
                entry, problem = self._measure(metric, map_, subject, passes)
                if problem is not None:
                    problems[metric.name] = problem
                else:
                    known[name] = entry
                    self.kept.keep_scores(key, known)
            figures |= {(metric.name, figure.key): entry["figures"].get(figure.key) for figure in metric.figures}
            curves |= {(metric.name, line): (xy[0], xy[1]) for line, xy in entry["curves"].items()}
            add(1)
        found = replace(mark, figures=figures, curves=curves, problems=problems)
        return Explaining(found, _small(map_))

    def _measure(self, metric: Metric, map_: Map, subject: Subject, passes: int) -> tuple[dict[str, Any], str | None]:
        nothing: dict[str, Any] = {"figures": {}, "curves": {}}
        lacking = [need for need in sorted(metric.needs) if getattr(subject, need) is None]
        if lacking:
            return nothing, NO_MASK if lacking[0] == "mask" else NO_MAPS
        dear = passes * metric.passes(self.settings) if metric.needs & MAPS else 0
        if dear > MOST_PASSES:
            return nothing, f"it would take {dear} forward passes an image, more than {MOST_PASSES}"
        try:
            found: Scored = metric.score(map_, subject, self.settings)
        except CasebaseError as error:
            return nothing, str(error)
        return plain({"figures": found.figures, "curves": found.curves}), None


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a map says of itself in words and numbers: superpixels are a picture, too large for a table."""
    return {name: value for name, value in facts.items() if name != SEGMENTS}


def _usable(entry: Any, metric: Metric) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("curves"), dict)
        and isinstance(entry.get("figures"), dict)
        and set(entry["figures"]) == {figure.key for figure in metric.figures}
    )


SHOWN_SIDE = 128
"""Pixels of a map on the contact sheet."""


def _small(map_: Map) -> Map:
    return enlarge(map_, (SHOWN_SIDE, SHOWN_SIDE)) if map_.shape != (SHOWN_SIDE, SHOWN_SIDE) else map_
