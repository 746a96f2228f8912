"""Maps from a synthetic counterfactual: what a walk in the class association embedding had to change.

    S = mean over channels of | G(c(a*), z) - G(c, z) |

``c``, ``z`` are the image's class and individual code, ``c(a*)`` the class code at which the network first calls what
is decoded otherwise. Compared is with the *reconstruction*: the difference from the image itself, which the authors'
code draws, holds the reconstruction error as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casebase import __version__
from casebase.association import GRAPH, Association, Bytes, Codes, Floats, Nodes, Walk
from casebase.commands import spoken
from casebase.errors import ModelError, UnknownClass, UsageError
from casebase.explain.cae.walking import ENDS, FRAMES, HALVINGS, Walker, runner_up, start_of
from casebase.explain.saliency.asked import Fast, nothing
from casebase.explain.saliency.method import SILENT, Images, Method, MethodSettings, Network, RawMap, Saliency
from casebase.hashing import SHORT
from casebase.networks.cae.coder import enlarged
from casebase.overlay import enlarge
from casebase.ports import AssociationView, Matrix
from casebase.reading import Preprocess, printable

SOURCE = "Xie et al. 2024, https://arxiv.org/abs/2406.07961"
SMOOTHING = 64
"""The Gaussian's standard deviation is the side of a synthetic image over this."""
REACH = 4
"""Standard deviations at which the Gaussian is cut off."""
PASSES = 3 + ENDS + 1 + FRAMES - 2 + HALVINGS
"""At most: the view, reduced and rebuilt; the ends that are tried; the frames between; the bisection."""

Difference = Callable[[Walk, Bytes], Floats]
"""A walk and the reduced image ``(S, S, 3) uint8`` to a map ``(S, S)``."""


def cae(network: Network, settings: MethodSettings) -> Saliency:
    """What changes between the reconstruction and the image that the network first calls otherwise; >= 0.

    Averaged over channels, smoothed by a Gaussian of a 64th of the side, enlarged bilinearly. For the predicted class
    the walk leads to its most probable rival, for any other class to that class: what would have to be added. Raises
    ``ModelError`` without an embedding, and for one that did not pass its gates.
    """
    return _built(
        "cae", network, settings, corrected, {"compared_with": "the reconstruction", "smoothing": "side / 64"}
    )


def cae_published(network: Network, settings: MethodSettings) -> Saliency:
    """The same as the authors' code draws it: against the image itself, unsmoothed. For comparison only.

    The reconstruction error is in it, so that fine texture lights up whatever the network thinks of it. Raises as
    :func:`cae` does.
    """
    facts = {"compared_with": "the image (as published)", "smoothing": "none"}
    return _built("cae-published", network, settings, published, facts)


def corrected(walk: Walk, reduced: Bytes) -> Floats:
    """``|flip frame - reconstruction|``, the mean over channels, smoothed."""
    return smoothed(np.abs(walk.difference).mean(axis=2), len(reduced) / SMOOTHING)


def published(walk: Walk, reduced: Bytes) -> Floats:
    """``|flip frame - image|``, the mean over channels."""
    last = (walk.flip or walk.frames[-1]).image.astype(np.float32)
    found: Floats = np.abs(last - reduced.astype(np.float32)).mean(axis=2) / np.float32(255.0)
    return found


def smoothed(values: Floats, sigma: float) -> Floats:
    """A map ``(h, w)`` under a Gaussian of ``sigma`` pixels; beyond its edges it is mirrored.

    >>> smoothed(np.ones((3, 3), np.float32), 1.0).round(6).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    reach = min(int(np.ceil(REACH * sigma)), *values.shape)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    found = values.astype(np.float64)
    for axis in (0, 1):
        wide = np.moveaxis(
            np.pad(found, [(reach, reach) if one == axis else (0, 0) for one in (0, 1)], "symmetric"), axis, 0
        )
        rows = sum(weight * wide[at : at + values.shape[axis]] for at, weight in enumerate(weights.tolist()))
        found = np.moveaxis(np.asarray(rows), 0, axis)
    return found.astype(np.float32)


def views_of(images: Images, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Normalised images ``(N, 3, H, W)`` as the views ``(N, H, W, 3) uint8`` they were made of, to the byte."""
    mean, std = (np.asarray(one, np.float64) for one in (preprocess.mean, preprocess.std))
    units = images.transpose(0, 2, 3, 1).astype(np.float64) * std + mean
    return np.clip(np.rint(units * 255.0), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Judged:
    """An embedding whose images are judged by the network that is explained, which may be a redrawn one."""

    view: AssociationView
    network: Network
    batch: int

    @property
    def found(self) -> Association:
        return self.view.found

    @property
    def classes(self) -> Sequence[str]:
        return self.view.classes

    @property
    def nodes(self) -> Nodes:
        return self.view.nodes

    def encode(self, views: Bytes) -> Codes:
        return self.view.encode(views)

    def codes(self, views: Bytes) -> Matrix:
        return self.view.codes(views)

    def decode(self, of_class: Matrix, individual: Floats) -> Bytes:
        return self.view.decode(of_class, individual)

    def reduced(self, views: Bytes) -> Bytes:
        return self.view.reduced(views)

    def judge(self, images: Bytes) -> Matrix:
        chain = self.network.preprocess
        fed = torch.from_numpy(chain.normalise(enlarged(images, chain.crop)))
        said: Matrix = torch.softmax(Fast(self.network, self.batch)(fed).double(), dim=1).float().numpy()
        return said


@dataclass(frozen=True, eq=False)
class _Counterfactual:
    """Implements the port ``Saliency``; one image at a time, so that a map does not depend on what else is asked."""

    facts: Mapping[str, Any]
    view: AssociationView
    network: Network
    difference: Difference

    def raw(self, images: Images, targets: Sequence[int]) -> list[RawMap]:
        """Maps ``(H, W) float32``, >= 0, of images ``(N, 3, H, W)``, one class index each.

        Raises ``UsageError`` for a number of classes other than of images, and for a class that the network lacks.
        """
        if len(images) != len(targets):
            raise UsageError(f"{len(images)} images and {len(targets)} classes were given; each image needs one class")
        with self.network.lock:
            return [self._one(images[i : i + 1], int(target)) for i, target in enumerate(targets)]

    def _one(self, image: Images, target: int) -> RawMap:
        if not 0 <= target < len(self.view.classes):
            raise UsageError(f"there is no class number {target}; the network has 0 to {len(self.view.classes) - 1}")
        if not np.isfinite(image).all():
            return nothing(image)
        views = views_of(image, self.network.preprocess)
        try:
            start = start_of(self.view, views)
            rival = self.view.classes[target]
            if rival == start.predicted:
                rival = runner_up(self.view, start)
            walk = Walker(self.view).walk(start, rival)
        except ModelError:  # scores that are no numbers: the port's word for it is a map of NaN
            return nothing(image)
        except UnknownClass as error:
            return self._silent(image, str(error))
        if walk.refused is not None:
            return self._silent(image, walk.refused)
        found = self.difference(walk, self.view.reduced(views)[0])
        height, width = image.shape[2:]
        return RawMap(np.maximum(enlarge(found, (height, width)), 0.0), _told(walk))

    def _silent(self, image: Images, why: str) -> RawMap:
        return RawMap(np.zeros(image.shape[2:], np.float32), {SILENT: why})


def _built(
    name: str, network: Network, settings: MethodSettings, difference: Difference, facts: Mapping[str, Any]
) -> Saliency:
    view = settings.association
    if view is None:
        made = f"there is none; make one in its base with `{spoken('cae', 'train')}`"
        raise ModelError(
            f"{name} needs a class association embedding of this network, and {settings.no_association or made}"
        )
    found = view.found
    if not found.trustworthy:
        more = f" (and {len(found.failed) - 1} more)" if len(found.failed) > 1 else ""
        raise ModelError(
            f"{name} cannot explain this network, for its class association embedding did not pass its gates: "
            f"{printable(found.failed[0])}{more}"
        )
    told = {
        "library": f"casebase {__version__}", "embedding": found.digest[:SHORT], "side": found.size.side,
        "route": GRAPH, "frames": FRAMES, **facts,
    }  # fmt: skip
    return _Counterfactual(told, _Judged(view, network, settings.batch), network, difference)


def _told(walk: Walk) -> dict[str, Any]:
    """What a map records of its walk: the position of the flip, whose code is the end, the reconstruction's error."""
    return {
        "synthetic": True, "rival": walk.rival, "flipped": walk.flip is not None,
        "flip": None if walk.flip is None else walk.flip.at,
        "flipped_to": None if walk.flip is None else walk.flip.called, "reference": walk.reference,
        "route": walk.route, "gap": walk.gap, "reconstruction_error": walk.error,
    }  # fmt: skip


METHODS: tuple[Method, ...] = (
    Method("cae", "Synthetic counterfactual (CAE)", SOURCE, cae, passes=PASSES, association=True),
    Method("cae-published", "CAE as published", SOURCE, cae_published, passes=PASSES, association=True),
)
