"""The service behind ``explain``: a retrieval becomes pictures, maps, where maps and a check of the maps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import clock, reading
from casebase.answers import Neighbour, Retrieval
from casebase.errors import ImageError, NoTargetLayer, UsageError
from casebase.explain import deletion, where_map
from casebase.explanations import QUERY_ID, Deletion, Explanation, SaliencyMap, Shown, WhereMap, frozen
from casebase.panel import low_margin
from casebase.ports import Matrix, Reading, Vector
from casebase.spaces import CONTRIBUTION, NETWORK_SPACE

if TYPE_CHECKING:
    from torch import nn

METHODS = ("gradcam",)
RIVALS_MAPPED = 3
MAPPED = 5
VIEW_SIDE = 224
WHOLE_SIDE = 512
LOOSE = 0.01


class ExplainedNetwork(Protocol):
    """What explaining needs of the network: its module, its last spatial layer, and its feature maps."""

    @property
    def module(self) -> nn.Module: ...
    @property
    def spatial_layer(self) -> str | None: ...
    @property
    def pooled_exactly(self) -> bool: ...
    @property
    def lock(self) -> threading.Lock | threading.RLock: ...
    @property
    def preprocess(self) -> reading.Preprocess: ...

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """Features and class probabilities of ``(N, H, W, 3) uint8`` views."""
        ...

    def read_maps(self, views: NDArray[np.uint8]) -> tuple[Matrix, NDArray[np.float32], Matrix]:
        """Features ``(N, D)``, the feature maps ``(N, D, h, w)`` whose means they are, and scores ``(N, C)``."""
        ...

    def class_weights(self, name: str) -> Vector | None:
        """The head's row of a class."""
        ...


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to draw: the saliency method, or None for no overlays; ``panel`` asks for it at any margin."""

    method: str | None = "gradcam"
    seed: int = 0
    panel: bool = False

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in METHODS:
            raise UsageError(f"no saliency method {self.method!r}; there is {', '.join(METHODS)}")


Thumbnail = Callable[[str], Image.Image | None]


@dataclass(eq=False)
class _Seen:
    """Pictures at hand: what is shown of them, and the network's views of those whose files are there."""

    shown: dict[str, Shown]
    views: dict[str, NDArray[np.uint8]]
    warnings: list[str]


def explain(
    retrieval: Retrieval,
    picture: reading.Picture,
    network: ExplainedNetwork,
    classes: Sequence[str],
    thumbnail: Thumbnail,
    wanted: Wanted,
    facts: Mapping[str, str],
    *,
    megapixels: float = reading.DEFAULT_MEGAPIXELS,
) -> Explanation:
    """Look at the query and at every case that will be shown.

    A case whose file is gone or has changed is shown by its thumbnail, without maps, and a warning says so. Forward
    passes are batched; the network is left as it was.
    """
    started = clock.seconds()
    panel = wanted.panel or low_margin(retrieval)
    cases = shown_cases(retrieval, panel=panel)
    seen = _look(picture, cases, mapped_cases(retrieval, panel=panel), network.preprocess, thumbnail, megapixels)
    warnings = [*retrieval.warnings, *seen.warnings]
    saliency: dict[tuple[str, str], SaliencyMap] = {}
    deletions: list[Deletion] = []
    if wanted.method is not None:
        place = {name: number for number, name in enumerate(classes)}
        saliency = _saliency(retrieval, cases, seen, network, place, warnings)
        deletions = _deletions(retrieval, saliency, seen, network, place, wanted.seed)
    where = _where(retrieval, cases, seen, network, warnings)
    spent = clock.seconds() - started
    seconds = {**retrieval.seconds, "explain": spent, "total": retrieval.seconds["total"] + spent}
    return Explanation(
        retrieval=retrieval, shown=seen.shown, saliency=saliency, where=where, deletions=deletions,
        warnings=tuple(dict.fromkeys(warnings)), facts=facts, seconds=seconds, panel=panel,
    )  # fmt: skip


def panel_rows(retrieval: Retrieval) -> list[Neighbour]:
    """The cases that stand for the classes side by side."""
    return [row for one in retrieval.panel for row in (one.agreed, one.nearer) if row is not None]


def shown_cases(retrieval: Retrieval, *, panel: bool = False) -> dict[str, Neighbour]:
    """Every case of a retrieval by id: all of them are shown as pictures."""
    rows = [*retrieval.nearest, *retrieval.twins, *retrieval.counterfactuals, *retrieval.semi_factuals]
    rows += panel_rows(retrieval) if panel else []
    found: dict[str, Neighbour] = {}
    for row in rows:
        found.setdefault(row.case.id, row)
    return found


def mapped_cases(retrieval: Retrieval, *, panel: bool = False) -> set[str]:
    """Ids of the cases that get maps, a forward pass each: the first of each list and of the likely rivals."""
    rows = [*retrieval.nearest[:MAPPED], *retrieval.twins[:MAPPED], *retrieval.semi_factuals[:MAPPED]]
    for rival in retrieval.rivals[:RIVALS_MAPPED]:
        rows += retrieval.of_rival(rival.name)[:MAPPED]
    rows += panel_rows(retrieval) if panel else []
    return {row.case.id for row in rows}


def _look(
    picture: reading.Picture, cases: Mapping[str, Neighbour], mapped: Container[str], preprocess: reading.Preprocess,
    thumbnail: Thumbnail, megapixels: float,
) -> _Seen:  # fmt: skip
    seen = _Seen({QUERY_ID: show(QUERY_ID, picture, preprocess)}, {QUERY_ID: preprocess.pixels(picture.image)}, [])
    lost: dict[str, list[str]] = {}
    for name, row in cases.items():
        try:
            found = reading.read(row.case.file, megapixels=megapixels)
            if found.pixel_hash != row.case.pixel_hash:
                raise ImageError("changed since it was indexed; run `casebase index` again")
        except ImageError as error:
            lost.setdefault(str(error), []).append(row.case.path)
            small = thumbnail(row.case.pixel_hash)
            if small is not None:
                pixels = frozen(np.asarray(small, dtype=np.uint8))
                seen.shown[name] = Shown(name, pixels, pixels, (0.0, 0.0, 1.0, 1.0))
            continue
        seen.shown[name] = show(name, found, preprocess)
        if name in mapped:
            seen.views[name] = preprocess.pixels(found.image)
    for reason, paths in lost.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        seen.warnings.append(f"{reading.printable(paths[0])}{more}: {reason}; shown by thumbnail, without maps")
    return seen


def show(name: str, picture: reading.Picture, preprocess: reading.Preprocess) -> Shown:
    """A picture for display: the network's view at a readable size, and the whole of it with the view's place."""
    width, height = picture.size
    scale = max(1.0, VIEW_SIDE / max(preprocess.crop))
    view = np.asarray(preprocess.crop_of(picture.image, scale), dtype=np.uint8)
    whole = picture.image.copy()
    whole.thumbnail((WHOLE_SIDE, WHOLE_SIDE), Image.Resampling.BILINEAR)
    left, top, right, bottom = preprocess.box(picture.size)
    box = (left / width, top / height, right / width, bottom / height)
    return Shown(name, frozen(view), frozen(np.asarray(whole, dtype=np.uint8)), box)


def _saliency(
    retrieval: Retrieval, cases: Mapping[str, Neighbour], seen: _Seen, network: ExplainedNetwork,
    place: Mapping[str, int], warnings: list[str],
) -> dict[tuple[str, str], SaliencyMap]:  # fmt: skip
    from casebase.explain.cam import GradCam

    called = retrieval.called
    pairs = [(QUERY_ID, called), *((QUERY_ID, rival.name) for rival in retrieval.rivals[:RIVALS_MAPPED])]
    pairs += [(name, row.case.predicted) for name, row in cases.items() if name in seen.views]
    pairs = [(image, target) for image, target in dict.fromkeys(pairs) if target in place]
    try:
        method = GradCam(network.module, network.spatial_layer, network.lock)
    except NoTargetLayer as error:
        warnings.append(f"no overlays: {error}")
        return {}
    images = network.preprocess.normalise(np.stack([seen.views[image] for image, _ in pairs]))
    maps = method.explain(images, [place[t] for _, t in pairs], [t for _, t in pairs], [i for i, _ in pairs])
    for found in maps:
        if found.degenerate and found.image_id == QUERY_ID:
            warnings.append(f"the map for {reading.printable(found.target)} means nothing: {found.degenerate}")
    return {(found.image_id, found.target): found for found in maps}


def _deletions(
    retrieval: Retrieval, saliency: Mapping[tuple[str, str], SaliencyMap], seen: _Seen, network: ExplainedNetwork,
    place: Mapping[str, int], seed: int,
) -> list[Deletion]:  # fmt: skip
    called = retrieval.called
    found = saliency.get((QUERY_ID, called))
    if found is None or found.degenerate is not None:
        return []
    column = place[called]

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        softmax = network.read(views).probabilities
        if softmax is None:
            raise UsageError("this network has no class names, so no probabilities")
        return softmax[:, column]

    return [deletion.measure(seen.views[QUERY_ID], found.values, called, probability, seed)]


def _where(
    retrieval: Retrieval, cases: Mapping[str, Neighbour], seen: _Seen, network: ExplainedNetwork, warnings: list[str]
) -> dict[str, WhereMap]:
    space = retrieval.search.space
    if space not in (NETWORK_SPACE, CONTRIBUTION):
        warnings.append(
            f"no where maps: the likeness in {reading.printable(space)!r} has no exact split over image cells"
        )
        return {}
    if not network.pooled_exactly:
        warnings.append(
            "no where maps: this network's embedding is not the mean of its feature map, so its likeness "
            "has no exact split over image cells"
        )
        return {}
    names = [name for name in cases if name in seen.views]
    if not names:
        return {}
    features, maps, _ = network.read_maps(np.stack([seen.views[name] for name in (QUERY_ID, *names)]))
    weights = network.class_weights(retrieval.called) if space == CONTRIBUTION else None
    found = {}
    for row, name in enumerate(names, start=1):
        query_side = where_map.split(maps[0], features[row], weights)
        case_side = where_map.split(maps[row], features[0], weights)
        similarity = cases[name].similarity
        residual = max(abs(float(query_side.sum()) - similarity), abs(float(case_side.sum()) - similarity))
        found[name] = WhereMap(frozen(query_side), frozen(case_side), name, similarity, residual)
    loose = [name for name, found_map in found.items() if found_map.residual > LOOSE]
    for name in loose:
        warnings.append(
            f"the where map of {reading.printable(cases[name].case.path)} misses the similarity by "
            f"{found[name].residual:.3f}; it is not shown"
        )
        del found[name]
    return found
