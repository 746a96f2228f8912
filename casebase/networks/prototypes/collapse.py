"""The collapse detector: what a prototype network gives away about itself after a stage, before anybody believes it.

Prototype networks (C. Chen et al., "This Looks Like That", NeurIPS 2019, https://arxiv.org/abs/1806.10574) on small
data end with one class taking every image; accuracy alone says so too late. The limits are our own, measured on sets of
200 training images. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import ModelError
from casebase.prototypes import Stage
from casebase.reading import printable

MARGIN, SPREAD, DISTINCT, GAP, SHARE = 1.5, 0.02, 0.8, 0.10, 0.10
"""The limits: |mean| / SD of the margin, SD of a similarity, share of distinct prototypes, gap, share above prior."""
Z = 1.645
"""Standard errors that chance is given: one-sided 95 %."""
SAME = 1e-3
"""Two vectors are the same where |p - q| <= SAME max(|p|, |q|)."""

Numbers = NDArray[Any]
Place = tuple[Hashable, int, int]


def stage(
    name: str,
    *,
    scores: Numbers,
    similarities: Numbers,
    targets: Numbers,
    network_predicted: Numbers,
    vectors: Numbers,
    of_class: Numbers,
    patches: Sequence[Place] | None,
    classes: Sequence[str],
    share_limit: float = SHARE,
    reference: Numbers | None = None,
    steps: int = 0,
    seconds: float = 0.0,
) -> Stage:
    """What stands after a stage, on N images under P prototypes of K classes.

    ``scores (N, K)`` and ``similarities (N, P)`` are floats; ``targets (N,)``, ``network_predicted (N,)`` (of the same
    images) and ``of_class (P,)`` are positions in ``classes``; ``vectors (P, D)``. ``patches`` are (source, row,
    column), None where nothing was projected yet. ``share_limit`` is how far a class's share of the answers may lie
    above its share of ``targets``: 0.10, and 0.25 before a head is fitted.

    ``reference (N,)`` are the answers of what the prototypes are held against, where that is not the network as it
    is: a network that has learnt these very images answers them better than it does others.

    Figures: ``accuracy``, ``balanced_accuracy``, ``network_balanced_accuracy``, ``gap`` (prototypes - network, of the
    balanced ones), ``agreement`` with the network, ``largest_share`` with ``largest_share_class`` (a position) and its
    ``prior``; ``margin_mean`` and ``margin_sd`` with ``margin_ratio`` = |mean| / SD; ``least_spread``, the smallest
    SD over images of any similarity; ``prototypes``, ``distinct``, ``sources``, ``least_per_class``,
    ``most_per_class``; ``cosine_within``, the mean cosine of two prototypes of a class. None where there is none.

    Alarms, each a sentence with its numbers: scores that are not finite · a class beyond ``share_limit`` by more than
    chance gives on so few images · a margin whose mean is more than 1.5 SD from 0 · a similarity that hardly differs
    between images · less than 80 % distinct · balanced accuracy more than 0.10, and more than chance, below the
    network's.

    Raises ``ModelError`` where there is no image or no prototype, or the shapes do not fit together.
    """
    _fitting(scores, similarities, targets, network_predicted, vectors, of_class, patches, classes)
    alarms: list[str] = []
    bad = int((~np.isfinite(scores)).any(axis=1).sum() + (~np.isfinite(similarities)).any(axis=1).sum())
    if bad:
        alarms.append(f"{bad} of {len(scores)} images have scores or similarities that are not finite")
    answers = np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=1)
    held = network_predicted if reference is None else reference
    figures = _rightness(answers, targets, network_predicted, held)
    whose = "the network's" if reference is None else "that of a linear head which learnt from as much,"
    allowed = GAP + _chance(answers, held, targets)
    share, share_alarms = _shares(answers, targets, classes, share_limit)
    margin, margin_alarms = _margins(scores, targets, classes)
    spread = float(np.std(similarities, axis=0, dtype=np.float64).min())
    parts = _parts(vectors, of_class, patches, len(classes))
    distinct, count = int(parts["distinct"] or 0), len(vectors)
    alarms += share_alarms + margin_alarms
    if spread < SPREAD:
        which = int(np.std(similarities, axis=0, dtype=np.float64).argmin())
        alarms.append(
            f"the similarity to prototype {which} hardly differs between images: its SD is {spread:.4f}, "
            f"and {SPREAD:g} is the least that tells anything"
        )
    if distinct < DISTINCT * count:
        alarms.append(f"only {distinct} of {count} prototypes are distinct; {DISTINCT:.0%} should be")
    if figures["gap"] < -allowed - 1e-9:
        alarms.append(
            f"the balanced accuracy {figures['balanced_accuracy']:.3f} lies {-figures['gap']:.3f} below "
            f"{whose} {figures['network_balanced_accuracy']:.3f}; {allowed:.2f} is the most allowed on "
            f"{len(answers)} images"
        )
    return Stage(name, {**figures, **share, **margin, "least_spread": spread, **parts}, alarms, steps, seconds)


def balanced_accuracy(answers: Numbers, targets: Numbers) -> float:
    """The mean over the classes among ``targets (N,)`` of the share of their images answered rightly."""
    right = answers == targets
    return float(np.mean([right[targets == one].mean() for one in np.unique(targets)]))


def distinct_rows(vectors: Numbers, patches: Sequence[Place] | None = None) -> NDArray[np.intp]:
    """The prototypes ``(P',)`` that repeat none before them: neither the vector ``(P, D)`` nor the patch."""
    size = np.linalg.norm(vectors, axis=1)
    kept: list[int] = []
    seen: set[Place] = set()
    for at, vector in enumerate(vectors):
        if patches is not None and patches[at] in seen:
            continue
        apart = np.linalg.norm(vectors[kept] - vector, axis=1)
        if bool((apart <= SAME * np.maximum(size[kept], size[at])).any()):
            continue
        kept.append(at)
        if patches is not None:
            seen.add(patches[at])
    return np.array(kept, np.intp)


def _chance(answers: Numbers, held: Numbers, targets: Numbers) -> float:
    """How far two equally good answers may lie apart on these images: 1.645 standard errors of their difference.

    The variance of a paired difference of two shares is at most the share of images on which they differ, over their
    number (Q. McNemar, 1947, https://doi.org/10.1007/BF02295996); that of the mean over the classes is the sum of
    their variances over the square of their number.
    """
    apart = (answers == targets) != (held == targets)
    present = np.unique(targets)
    variances = [float(apart[targets == one].mean()) / int((targets == one).sum()) for one in present]
    return Z * math.sqrt(sum(variances)) / len(present)


def _rightness(answers: Numbers, targets: Numbers, network: Numbers, held: Numbers) -> dict[str, float]:
    ours, theirs = balanced_accuracy(answers, targets), balanced_accuracy(held, targets)
    return {
        "accuracy": float((answers == targets).mean()), "balanced_accuracy": ours, "network_balanced_accuracy": theirs,
        "gap": ours - theirs, "agreement": float((answers == network).mean()),
    }  # fmt: skip


def _shares(
    answers: Numbers, targets: Numbers, classes: Sequence[str], limit: float
) -> tuple[dict[str, float | int | None], list[str]]:
    share = np.bincount(answers, minlength=len(classes)) / len(answers)
    prior = np.bincount(targets, minlength=len(classes)) / len(targets)
    largest, beyond = int(share.argmax()), int((share - prior).argmax())
    told: dict[str, float | int | None] = {
        "largest_share": float(share[largest]), "largest_share_class": largest, "prior": float(prior[largest])
    }  # fmt: skip
    allowed = prior[beyond] + limit + Z * math.sqrt(prior[beyond] * (1.0 - prior[beyond]) / len(answers))
    if share[beyond] <= allowed + 1e-9:
        return told, []
    alarm = (
        f"{share[beyond]:.1%} of the images are called {printable(classes[beyond])!r}, which {prior[beyond]:.1%} are; "
        f"{allowed:.1%} is the most allowed on {len(answers)} images"
    )
    return told, [alarm]


def _margins(
    scores: Numbers, targets: Numbers, classes: Sequence[str]
) -> tuple[dict[str, float | int | None], list[str]]:
    """Mean and SD over images of score_c less the mean of the other scores, for the class where |mean| / SD is largest.

    With two classes this is one signed number, of the second class. Every class among the targets counts the same, or
    few images of one class would look like an offset; a class without images has no margin to judge.
    """
    present = np.unique(targets)
    if len(present) < 2 or not np.isfinite(scores).all():
        return {"margin_mean": None, "margin_sd": None, "margin_ratio": None}, []
    weights = 1.0 / (len(present) * np.bincount(targets, minlength=len(classes))[targets])  # (N,), sums to 1
    exact = scores.astype(np.float64)
    others = (exact.sum(axis=1, keepdims=True) - exact) / (scores.shape[1] - 1)
    margins = (exact - others)[:, [1] if scores.shape[1] == 2 else present]
    mean = weights @ margins
    spread = np.sqrt(weights @ (margins - mean) ** 2)
    safe = np.where(spread > 0, spread, 1.0)
    ratio = np.where(spread > 0, np.abs(mean) / safe, np.where(mean == 0, 0.0, math.inf))
    worst = int(ratio.argmax())
    told: dict[str, float | int | None] = {
        "margin_mean": float(mean[worst]), "margin_sd": float(spread[worst]), "margin_ratio": float(ratio[worst])
    }  # fmt: skip
    if ratio[worst] <= MARGIN:
        return told, []
    which = classes[1] if scores.shape[1] == 2 else classes[int(present[worst])]
    alarm = (
        f"the score of {printable(which)!r} against the others is {mean[worst]:+.3g} on average and its SD over images "
        f"only {spread[worst]:.3g}: an offset decides, not the image"
    )
    return told, [alarm]


def _parts(
    vectors: Numbers, of_class: Numbers, patches: Sequence[Place] | None, classes: int
) -> dict[str, float | int | None]:
    counts = np.bincount(of_class, minlength=classes)
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(size > 0, size, 1.0)
    first, second = np.triu_indices(len(vectors), 1)
    together = of_class[first] == of_class[second]
    cosines = np.einsum("pd,pd->p", unit[first[together]], unit[second[together]])
    return {
        "prototypes": len(vectors), "distinct": len(distinct_rows(vectors, patches)),
        "sources": None if patches is None else len({source for source, _, _ in patches}),
        "least_per_class": int(counts.min()), "most_per_class": int(counts.max()),
        "cosine_within": float(cosines.mean()) if len(cosines) else None,
    }  # fmt: skip


def _fitting(
    scores: Numbers, similarities: Numbers, targets: Numbers, network: Numbers, vectors: Numbers, of_class: Numbers,
    patches: Sequence[Place] | None, classes: Sequence[str],
) -> None:  # fmt: skip
    images, parts = len(scores), len(vectors)
    if not images or not parts or len(classes) < 2:
        raise ModelError(
            f"collapse is judged on images, prototypes and at least two classes, not on {images}, {parts}, and "
            f"{len(classes)}"
        )
    fits = (
        scores.shape == (images, len(classes))
        and similarities.shape == (images, parts)
        and targets.shape == network.shape == (images,)
        and of_class.shape == (parts,)
        and (patches is None or len(patches) == parts)
    )
    if not fits:
        raise ModelError(
            f"{images} images, {parts} prototypes and {len(classes)} classes do not fit scores {scores.shape}, "
            f"similarities {similarities.shape}, targets {targets.shape}, answers {network.shape} and classes "
            f"{of_class.shape}"
        )
