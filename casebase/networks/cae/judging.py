"""What swaps of class codes do to images that were set aside, by the explained network's own verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.association import Standing
from casebase.networks.cae import checks
from casebase.networks.cae.coder import Bytes, Coder, Floats, batches, enlarged, judged
from casebase.networks.cae.material import MOST_JUDGES, Index, Material
from casebase.networks.explained import ExplainedNetwork

QUICK = 64
"""Images on which checkpoints are compared; the one chosen is judged on all that were set aside."""
WALKED, STEPS = 32, 8
READ = 400
"""Images from which the linear readers of the codes learn."""


@dataclass(frozen=True, eq=False)
class Judges:
    """Images set aside, each with a lender of another class: both fixed for the whole training.

    ``rows (n,)`` and ``lent (m,)`` are rows of the material, ``donor (n,)`` says which of ``lent`` is each image's
    lender. ``resized`` is the share of the images that the network calls the same once they are small.
    """

    material: Material
    rows: Index
    lent: Index
    donor: Index
    resized: float
    seed: int

    @property
    def n(self) -> int:
        """How many."""
        return len(self.rows)


def judges(material: Material, seed: int, most: int = MOST_JUDGES) -> Judges:
    """Choose lenders: for each image one of another class, the classes in turn, the image at random."""
    rng = clock.generator(seed)
    rows = _even(material.judge, material.called[material.judge], most, rng)
    called = material.called[rows]
    lenders = np.empty(len(rows), np.intp)
    for one in np.unique(called):
        others = [other for other in np.unique(called) if other != one]
        for turn, at in enumerate(np.flatnonzero(called == one)):
            lenders[at] = rng.choice(rows[called == others[turn % len(others)]])
    lent, donor = np.unique(lenders, return_inverse=True)
    said = judged(material.network, material.pixels(rows)).argmax(1)
    return Judges(material, rows, lent, donor, float((said == material.network_called[rows]).mean()), seed)


class Judge:
    """One checkpoint under judgement, on the images of ``among``."""

    def __init__(self, coder: Coder, among: Judges) -> None:
        self._coder, self._among = coder, among

    def standing(self, iteration: int) -> Standing:
        """What swaps do to pixels and to the network's answers; the rest stays None."""
        return self._judged(iteration)[0]

    def whole(self, iteration: int) -> Standing:
        """All of it: also the network's features, what linear readers find in the codes, and short walks."""
        found, edits, codes, borrowed, individual = self._judged(iteration)
        among, material = self._among, self._among.material
        features = self._copied(self._apart, edits)
        learn = _even(material.learn, material.called[material.learn], READ, clock.generator(among.seed))
        seen, read = self._read(material.pixels(learn))
        known, asked = material.called[learn], material.called[among.rows]
        flips, monotone = self._walks(codes, borrowed, individual)
        return replace(
            found,
            nearer_source_features=features.nearer_source, donor_rank1_features=features.donor_rank1,
            separable=checks.reader_accuracy(seen, known, codes, asked),
            leak=checks.reader_accuracy(read, known, checks.pooled(individual), asked),
            chance_class=1.0 / len(np.unique(known)), flips=flips, monotone=monotone,
        )  # fmt: skip

    def _judged(self, iteration: int) -> tuple[Standing, Bytes, Floats, Floats, Floats]:
        among, material = self._among, self._among.material
        images, called = material.pixels(among.rows), material.network_called[among.rows]
        codes, individual = self._coder.encode(images)
        borrowed = self._coder.codes(material.pixels(among.lent))[among.donor]
        rebuilt, edits = self._coder.decode(codes, individual), self._coder.decode(borrowed, individual)
        copied, ceiling = (self._copied(checks.pixel_l1, made) for made in (edits, rebuilt))
        found = Standing(
            iteration=iteration, n=among.n,
            directions=checks.reassigned(
                self._said(edits), material.called[among.lent][among.donor], material.called[among.rows],
                material.classes,
            ),
            resized=among.resized,
            rebuilt=float((judged(material.network, rebuilt).argmax(1) == called).mean()),
            error=float(np.abs(rebuilt.astype(np.float32) - images).mean() / 255.0),
            nearer_source=copied.nearer_source, own_rank1=copied.own_rank1, donor_rank1=copied.donor_rank1,
            rebuilt_rank1=ceiling.own_rank1, chance_own=copied.chance_own, chance_donor=copied.chance_donor,
        )  # fmt: skip
        return found, edits, codes, borrowed, individual

    def _copied(self, apart: Callable[[Bytes, Bytes], NDArray[np.float64]], made: Bytes) -> checks.DonorCopy:
        among, material = self._among, self._among.material
        to_sources, to_lenders = (apart(made, material.pixels(rows)) for rows in (among.rows, among.lent))
        called = material.called[among.lent]
        same = called[among.donor][:, None] == called[None, :]
        return checks.donor_copy(to_sources, to_lenders, np.arange(among.n), among.donor, same)

    def _walks(self, codes: Floats, borrowed: Floats, individual: Floats) -> tuple[float, float]:
        """Share of straight walks to the lender's code that end as its class, and the mean share of steps upwards."""
        among, material = self._among, self._among.material
        chosen = _even(np.arange(among.n), material.called[among.rows], WALKED, clock.generator(among.seed))
        wanted = material.place[material.called[among.lent][among.donor[chosen]]]
        at = np.linspace(0.0, 1.0, STEPS, dtype=np.float32)[:, None]
        rival, ends = np.empty((len(chosen), STEPS)), np.empty(len(chosen), np.bool_)
        for row, (one, towards) in enumerate(zip(chosen.tolist(), wanted.tolist(), strict=True)):
            way = codes[one] + at * (borrowed[one] - codes[one])
            said = judged(material.network, self._coder.decode(way, individual[one : one + 1]))
            rival[row], ends[row] = said[:, towards], said[-1].argmax() == towards
        return float(ends.mean()), checks.monotone(rival)

    def _read(self, images: Bytes) -> tuple[Floats, Floats]:
        """Class codes and pooled individual codes; the maps themselves would be gigabytes at the paper's size."""
        codes, read = list[Floats](), list[Floats]()
        for part in batches(images):
            found, individual = self._coder.encode(part)
            codes.append(found)
            read.append(checks.pooled(individual))
        return np.concatenate(codes), np.concatenate(read)

    def _apart(self, left: Bytes, right: Bytes) -> NDArray[np.float64]:
        network = self._among.material.network
        return checks.feature_distance(*(_features(network, images) for images in (left, right)))

    def _said(self, images: Bytes) -> Index:
        """What the network calls images, as positions in the classes that take part; -1 for another."""
        found = np.full(len(self._among.material.network.classes or ()), -1, np.intp)
        found[self._among.material.place] = np.arange(len(self._among.material.classes))
        said: Index = found[judged(self._among.material.network, images).argmax(1)]
        return said


def swapped(coder: Coder, among: Judges, at: Index) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Images of the judges at these places, rebuilt, under their lender's class code, and the lenders."""
    images, lent = among.material.pixels(among.rows[at]), among.material.pixels(among.lent[among.donor[at]])
    codes, individual = coder.encode(images)
    return images, coder.decode(codes, individual), coder.decode(coder.codes(lent), individual), lent


def _even(rows: Index, called: Index, most: int, rng: np.random.Generator) -> Index:
    """At most ``most`` rows, as many of every class, where it has them; in order."""
    each = max(1, most // len(np.unique(called)))
    chosen = [rng.permutation(rows[called == one])[:each] for one in np.unique(called)]
    return np.sort(np.concatenate(chosen))


def _features(network: ExplainedNetwork, images: Bytes) -> Floats:
    crop = network.preprocess.crop
    return np.concatenate([network.read(enlarged(part, crop)).features for part in batches(images)])
