"""One network at the bench: an image as it sees it, a map of it, and what every metric says of that map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import __version__, clock, hashing, reading
from casebase.errors import CasebaseError, ImageError
from casebase.evaluate.saliency import baselines
from casebase.evaluate.saliency.kept import Kept, KeptMap, plain
from casebase.evaluate.saliency.marks import Curve, Mark
from casebase.evaluate.saliency.metric import BenchSettings, Metric, Scored, Subject
from casebase.explain.saliency.method import MethodSettings, Saliency, degenerate, scaled, unsigned
from casebase.networks.checkpoints import digest
from casebase.networks.explained import ExplainedNetwork
from casebase.overlay import enlarge

Map = NDArray[np.float32]
Add = Callable[[int], None]
MOST_PASSES = 2000
"""Forward passes that max-sensitivity may spend on explaining one image again and again."""
RESIZE = "bilinear, corners not aligned, then min-max per image"
_NO_SCORE = "the network's scores for it are not finite"


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as one network sees it: ``subject`` without a map yet, ``target`` the predicted class in words."""

    place: int
    target: str
    subject: Subject
    mask_key: str | None


@dataclass(frozen=True, eq=False)
class Explaining:
    """A mark and the small map that it was made of, for the contact sheet."""

    mark: Mark
    shown: Map


class Workplace:
    """A network, what is measured on it, and what is remembered of it."""

    def __init__(
        self,
        network: ExplainedNetwork,
        metrics: Any,
        chosen: MethodSettings,
        settings: BenchSettings,
        kept: Kept,
        passes: Mapping[str, int] | None = None,
    ) -> None:
        self.network, self.metrics, self.chosen, self.settings, self.kept = network, metrics, chosen, settings, kept
        self._passes = passes or {}

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """What names this network: architecture, weights with the head, preprocessing, where and how it computes."""
        return {
            "network": self.network.spec, "weights": digest(self.network.module.state_dict())[: 2 * hashing.SHORT],
            "preprocess": self.network.preprocess.short, "device": self.network.device,
            "precision": self.network.precision, "casebase": __version__,
        }  # fmt: skip

    @property
    def facts(self) -> Mapping[str, Any]:
        """The same for people, and whether it was trained."""
        return {
            **self.key, "untrained": self.network.untrained, "classes": self.network.anatomy.outputs,
            "layer found": self.network.spatial_layer,
        }  # fmt: skip

    def explained(self, seen: Seen, method: str, saliency: Saliency, add: Add) -> Explaining:
        """A method's map of an image, made or remembered, and its scores."""
        key = self._map_key(seen, method, saliency)
        found = self.kept.find_map(key)
        remembered = found is not None
        if found is None:
            began = clock.seconds()
            (raw,) = saliency.raw(seen.subject.fed[None], [seen.subject.target])
            found = KeptMap(np.asarray(raw.values, np.float32), plain(raw.facts), clock.seconds() - began)
            self.kept.keep_map(key, found)
        add(1)
        map_ = self._scaled(found.values, method, seen)
        again = lambda images: self._again(saliency, method, seen, images)  # noqa: E731
        subject = replace(seen.subject, raw=found.values, again=again)
        mark = Mark(
            seen.place, seen.subject.name, seen.target, seen.subject.before, degenerate(self._unsigned(found.values)),
            found.seconds, found.facts, remembered=remembered,
        )  # fmt: skip
        return self._scored(mark, map_, subject, {**key, "sign": self.chosen.sign, "mask": seen.mask_key}, add)

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
        chosen = {
            name: value for name, value in vars(self.chosen).items() if name not in ("background", "batch", "sign")
        }
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

    def _again(self, saliency: Saliency, method: str, seen: Seen, images: Map) -> Map:
        maps = saliency.raw(images, [seen.subject.target] * len(images))
        return np.stack([self._scaled(one.values, method, seen) for one in maps])

    def _scored(self, mark: Mark, map_: Map, subject: Subject, key: Mapping[str, Any], add: Add) -> Explaining:
        known = self.kept.find_scores(key)
        figures: dict[tuple[str, str], float | None] = {}
        curves: dict[tuple[str, str], Curve] = {}
        problems: dict[str, str] = {}
        for metric in self.metrics:
            name = hashing.of_json({"metric": metric.name, "settings": plain(metric.chosen(self.settings))})
            entry: dict[str, Any] = known.get(name, {})
            if not _usable(entry, metric):
                entry, problem = self._measure(metric, map_, subject)
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

    def _measure(self, metric: Metric, map_: Map, subject: Subject) -> tuple[dict[str, Any], str | None]:
        nothing: dict[str, Any] = {"figures": {}, "curves": {}}
        lacking = [need for need in sorted(metric.needs) if getattr(subject, need) is None]
        if lacking:
            return nothing, _LACKING[lacking[0]]
        try:
            found: Scored = metric.score(map_, subject, self.settings)
        except CasebaseError as error:
            return nothing, str(error)
        return plain({"figures": found.figures, "curves": found.curves}), None


_LACKING = {
    "mask": "no mask of this image",
    "again": "a map that is not made by a network, or too dear to be made again and again",
    "randomised": "a map that is not made by a network, or too dear to be made again and again",
}


def _usable(entry: Any, metric: Metric) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("curves"), dict)
        and isinstance(entry.get("figures"), dict)
        and set(entry["figures"]) == {figure.key for figure in metric.figures}
    )


def look(workplace: Workplace, picture: reading.Picture, name: str, place: int, mask: NDArray[np.bool_] | None) -> Seen:
    """An image as the network sees it, with the class it predicts; ``ImageError`` where scores are no numbers."""
    network = workplace.network
    view = network.preprocess.pixels(picture.image)
    fed = network.preprocess.normalise(view[None])[0]
    unit = np.ascontiguousarray(view.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0))
    scores = network.scores(fed[None])[0]
    if not np.isfinite(scores).all():
        raise ImageError(_NO_SCORE)
    target = int(np.argmax(scores))
    mean = np.asarray(network.preprocess.mean, np.float32)[:, None, None]
    std = np.asarray(network.preprocess.std, np.float32)[:, None, None]

    def predict(images: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [
            softmax(network.scores(images[start : start + network.batch_size]))[:, target]
            for start in range(0, len(images), network.batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    subject = Subject(
        key=picture.pixel_hash, name=name, fed=fed, unit=unit, target=target,
        before=float(softmax(scores[None])[0, target]), predict=predict,
        predict_unit=lambda images: predict(((images - mean) / std).astype(np.float32)),
        raw=np.zeros((1, 1), np.float32), mask=mask,
    )  # fmt: skip
    classes = network.classes
    mask_key = None if mask is None else hashing.of_bytes(np.packbits(mask).tobytes() + str(mask.shape).encode())
    return Seen(place, f"class {target}" if classes is None else classes[target], subject, mask_key)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities ``(N, C) float64`` of scores ``(N, C)``."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


SHOWN_SIDE = 128
"""Pixels of a map on the contact sheet."""


def _small(map_: Map) -> Map:
    return enlarge(map_, (SHOWN_SIDE, SHOWN_SIDE)) if map_.shape != (SHOWN_SIDE, SHOWN_SIDE) else map_
