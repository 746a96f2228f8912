"""What must hold of a class association embedding before it may explain anything: the figures, and the gates.

Reassignment alone proves nothing: a decoder that hands out the lender's image reassigns every edit. So each edit is
also asked whose image it is, its source's or its lender's. Pure functions of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.association import Direction, Standing
from casebase.reading import printable

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
ANY = "any"
"""In place of a source class where all are pooled."""
MOST_PAIRED = 4
"""With more classes than this, directions are pooled by target class: ordered pairs would hold too few edits each."""
REASSIGNED, REBUILT, RESIZED, MONOTONE, NEARER = 0.8, 0.8, 0.8, 0.75, 0.5
ERROR = 0.1
"""Mean absolute error of a reconstruction, of the range of values, at most."""
FALL = 0.01
"""A probability that falls by no more than this has not fallen."""


@dataclass(frozen=True, slots=True)
class DonorCopy:
    """Whose image ``n`` edits are. Shares 0..1; an edit between two at equal distance counts half for each.

    ``nearer_source``: nearer to the source than to the lender. ``own_rank1``: no other source is nearer than its own;
    ``donor_rank1``: no other lender is nearer than its own. ``chance_own`` and ``chance_donor`` are what the last two
    come to where the nearest is anyone's.
    """

    nearer_source: float
    own_rank1: float
    donor_rank1: float
    chance_own: float
    chance_donor: float
    n: int


def reassigned(called: Places, wanted: Places, sources: Places, classes: Sequence[str]) -> list[Direction]:
    """The share of edits that the network called what was wanted, for every ordered pair of classes with edits.

    ``called``, ``wanted``, ``sources (n,)`` are positions in ``classes``; a class beyond them is called -1. With more
    than four classes the sources of a target class are pooled, as ``any``.

    >>> a, b = np.array([1, 0, 0, 0]), np.array([1, 1, 0, 0])
    >>> [(one.source, one.towards, one.reassigned, one.n) for one in reassigned(a, b, 1 - b, ["cat", "dog"])]
    [('cat', 'dog', 0.5, 2), ('dog', 'cat', 1.0, 2)]
    """
    right = called == wanted
    of = sources if len(classes) <= MOST_PAIRED else np.full(len(wanted), -1, np.intp)
    pairs = sorted({(int(source), int(towards)) for source, towards in zip(of, wanted, strict=True)})
    found = []
    for source, towards in pairs:
        there = (of == source) & (wanted == towards)
        name = ANY if source < 0 else classes[source]
        found.append(Direction(name, classes[towards], float(right[there].mean()), int(there.sum())))
    return found


@dataclass(frozen=True, eq=False)
class Whose:
    """Whose image each of ``n`` edits is, 0..1: what :class:`DonorCopy` is the mean of; ``lenders (n,)`` are counts."""

    nearer_source: Numbers
    own_first: Numbers
    donor_first: Numbers
    sources: int
    lenders: Places


def whose(
    to_sources: Numbers,
    to_lenders: Numbers,
    own: Places,
    donor: Places,
    among: NDArray[np.bool_] | None = None,
) -> Whose:
    """The donor-copy check of ``n`` edits by any distance, edit by edit.

    ``to_sources (n, s)`` and ``to_lenders (n, l)`` are distances to every source and every lender, each of these once;
    ``own (n,)`` and ``donor (n,)`` say which of them are the edit's. ``among (n, l)`` are the lenders it is ranked
    among: those of the class it was to become, since an edit that succeeded is nearer to all of them; None: all.
    """
    rows = np.arange(len(own))
    near, far = to_sources[rows, own], to_lenders[rows, donor]
    there = np.ones(to_lenders.shape, np.bool_) if among is None else among
    return Whose(
        nearer_source=np.where(near == far, 0.5, near < far), own_first=first(to_sources, own),
        donor_first=first(np.where(there, to_lenders, np.inf), donor), sources=to_sources.shape[1],
        lenders=there.sum(axis=1),
    )  # fmt: skip


def donor_copy(
    to_sources: Numbers,
    to_lenders: Numbers,
    own: Places,
    donor: Places,
    among: NDArray[np.bool_] | None = None,
) -> DonorCopy:
    """The shares over all edits of :func:`whose`. Raises ``ValueError`` for no edits."""
    n = len(own)
    if not n:
        raise ValueError("no edits")
    found = whose(to_sources, to_lenders, own, donor, among)
    return DonorCopy(
        nearer_source=float(found.nearer_source.mean()), own_rank1=float(found.own_first.mean()),
        donor_rank1=float(found.donor_first.mean()), chance_own=1.0 / found.sources,
        chance_donor=float((1.0 / found.lenders).mean()), n=n,
    )  # fmt: skip


def first(distances: Numbers, own: Places) -> Numbers:
    """Whether no distance of a row ``(n, m)`` is smaller than that in column ``own (n,)``; 1/k where k are smallest."""
    least = distances.min(axis=1)
    ties = (distances == least[:, None]).sum(axis=1)
    return np.asarray(np.where(distances[np.arange(len(own)), own] == least, 1.0 / ties, 0.0))


def pixel_l1(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> Numbers:
    """Mean absolute difference ``(n, m)`` of images ``(n, ...)`` and ``(m, ...) uint8``, of the range of values.

    >>> pixel_l1(np.array([[0, 255]], np.uint8), np.array([[0, 255], [0, 0]], np.uint8)).tolist()
    [[0.0, 0.5]]
    """
    flat, others = left.reshape(len(left), -1), right.reshape(len(right), -1)
    found = np.empty((len(flat), len(others)))
    for row, one in enumerate(flat):
        # the larger less the smaller stays within a byte
        apart = np.maximum(one, others) - np.minimum(one, others)
        found[row] = apart.sum(axis=1, dtype=np.int64)
    return found / (255.0 * flat.shape[1])


def feature_distance(left: NDArray[np.float32], right: NDArray[np.float32]) -> Numbers:
    """``1 - cos`` ``(n, m)`` of features ``(n, D)`` and ``(m, D)``, rounded to 1e-9; 1 to a row of zeros."""
    found = 1.0 - _unit(left) @ _unit(right).T
    return np.asarray(np.maximum(found, 0.0).round(9))


def monotone(rival: NDArray[np.floating]) -> float:
    """Mean share of steps on which the rival's probability ``(walks, frames)`` does not fall by more than 0.01."""
    return float((np.diff(rival.astype(np.float64), axis=1) >= -FALL).mean())


def reader_called(train: NDArray[np.float32], train_class: Places, test: NDArray[np.float32]) -> Places | None:
    """The classes ``(m,)`` that a linear reader (logistic regression) of ``train (n, D)`` gives to ``test (m, D)``.

    Classes weigh equally. None where training holds one class only.
    """
    from casebase.networks import linear_head  # its library is slow to import, and the gates need none of it

    if len(np.unique(train_class)) < 2:
        return None
    many = int(train_class.max()) + 1
    weight, bias = linear_head.regress(train, train_class, many, linear_head.DEFAULT_STRENGTH, balanced=True)
    called: Places = linear_head.probabilities(test, weight, bias).argmax(axis=1)
    return called


def reader_accuracy(
    train: NDArray[np.float32], train_class: Places, test: NDArray[np.float32], test_class: Places
) -> float | None:
    """Balanced accuracy on ``test`` of :func:`reader_called`; None where training holds one class or the test none."""
    called = reader_called(train, train_class, test)
    known = [one for one in np.unique(train_class).tolist() if (test_class == one).any()]
    if called is None or not known:
        return None
    return float(np.mean([float((called[test_class == one] == one).mean()) for one in known]))


def pooled(individual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Individual codes ``(n, channels, h, w)`` as their means and SDs over places, ``(n, 2 * channels)``.

    Instance norm takes most of the mean away, so a reader of the means alone would miss what a map gives away.
    """
    flat = individual.reshape(len(individual), individual.shape[1], -1)
    found: NDArray[np.float32] = np.concatenate([flat.mean(axis=2), flat.std(axis=2)], axis=1).astype(np.float32)
    return found


def gates(standing: Standing) -> list[str]:
    """What does not hold, as sentences; none where a view of the embedding may be shown."""
    said, worst = [], standing.worst
    if worst is None or not worst.reassigned >= REASSIGNED:
        said.append(_reassignment(worst))
    if not standing.nearer_source > NEARER:
        said.append(
            f"{standing.nearer_source:.0%} of the edits are nearer, in pixels, to the image they were made from than "
            f"to the one that lent its class code; more than {NEARER:.0%} are needed"
        )
    most = most_donors(standing)
    for share, where in ((standing.donor_rank1, "in pixels"), (standing.donor_rank1_features, "in its features")):
        if share is not None and not share <= most:
            said.append(
                f"{share:.0%} of the edits are nearest, of all images that lent a class code, to the one that lent "
                f"theirs, {where}; at most {most:.0%} may be: the decoder copies the lender"
            )
    if not standing.error <= ERROR:
        said.append(
            f"reconstructions miss the image by {standing.error:.1%} of the range of values on average; at most "
            f"{ERROR:.0%} may be missed"
        )
    for value, least, what in (
        (standing.rebuilt, REBUILT, "reconstructions"), (standing.resized, RESIZED, "images at the embedding's size"),
    ):  # fmt: skip
        if not value >= least:
            said.append(f"the network calls {value:.0%} of the {what} what it calls the image; {least:.0%} are needed")
    if standing.monotone is not None and not standing.monotone >= MONOTONE:
        said.append(
            f"the rival's probability rises on {standing.monotone:.0%} of the steps of a walk; {MONOTONE:.0%} are "
            "needed"
        )
    return said


def copies(standing: Standing) -> bool:
    """Whether edits are rather their lender's image than their source's."""
    return not (standing.nearer_source > NEARER and standing.donor_rank1 <= most_donors(standing))


def most_donors(standing: Standing) -> float:
    """:func:`donor_bound` of a standing."""
    return donor_bound(standing.chance_donor, standing.n)


def donor_bound(chance: float, n: int) -> float:
    """The largest share of ``n`` edits that may be nearest to their lender: twice chance, and two SE of chance."""
    return 2 * chance + 2 * math.sqrt(chance * (1 - chance) / max(n, 1))


def _reassignment(worst: Direction | None) -> str:
    if worst is None:
        return "no edit from one class to another was made"
    source, towards = printable(worst.source), printable(worst.towards)
    return (
        f"only {worst.reassigned:.0%} of {worst.n} edits from {source} to {towards} are called {towards}; "
        f"{REASSIGNED:.0%} are needed"
    )


def _unit(rows: NDArray[np.float32]) -> Numbers:
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    found: Numbers = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return found
