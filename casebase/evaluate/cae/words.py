"""What was found about a class association embedding, in plain sentences, worst news first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from casebase.association import GRAPH, STRAIGHT
from casebase.evaluate.cae import tables
from casebase.evaluate.cae.map_tables import AGAINST, ahead, own
from casebase.evaluate.cae.removal import AOPC, METRICS
from casebase.evaluate.cae.study import Study, mean
from casebase.evaluate.saliency.summary import FEWEST
from casebase.evaluations import Measured, told
from casebase.explain.verdict import worst_first
from casebase.explanations import Level, Statement
from casebase.networks.cae import checks
from casebase.reading import percent, printable

FEW = 20
LEAKS = 0.15
"""How far above chance an individual code may tell the class before it is said aloud."""


def statements(found: Study) -> list[Statement]:
    """Every finding, alarms before cautions before the rest."""
    return worst_first([
        *found.part.statements(), *_standing(found), *_images(found), *_reassigned(found), *_copies(found),
        *_lost(found), *_read(found), *_walked(found), *_near(found), *_maps(found),
    ])  # fmt: skip


def _standing(found: Study) -> Iterator[Statement]:
    if not found.found.trustworthy:
        said = "; ".join(printable(one) for one in found.found.failed)
        yield Statement(f"No view of it is shown, since its training ended below its gates: {said}.", Level.ALARM)


def _images(found: Study) -> Iterator[Statement]:
    looked = found.looked
    missing = looked.missing.told()
    if missing is not None:
        yield Statement(f"{looked.missing.total} images were left out: {missing}.", Level.CAUTION)
    if looked.outside:
        yield Statement(
            f"{looked.outside} of {looked.of} images are called a class that takes no part in the embedding; nothing "
            "here is about them.",
            Level.CAUTION,
        )
    if looked.n < FEW:
        yield Statement(f"{looked.n} images are few: no interval here is to be trusted.", Level.CAUTION)


def _reassigned(found: Study) -> Iterator[Statement]:
    known = [row for row in tables.directions(found) if row[2].value is not None]
    source, towards, worst, _ = min(known, key=lambda row: row[2].value or 0.0)
    low = worst.value is not None and worst.value < checks.REASSIGNED
    more = f"; {percent(checks.REASSIGNED)} are needed" if low else ""
    yield Statement(
        f"In the worse direction, from {source} to {towards}, the network calls {told(worst, 'share')} of {worst.n} "
        f"swaps {towards}{more}.",
        Level.ALARM if low else Level.PLAIN,
    )


def _copies(found: Study) -> Iterator[Statement]:
    one, draws = found.swaps.whose["pixels"], found.edit_draws
    nearer, own_, donor = (mean(values, draws) for values in (one.nearer_source, one.own_first, one.donor_first))
    chance = float((1.0 / one.lenders).mean())
    most = checks.donor_bound(chance, len(one.own_first))
    copied = (donor.value or 0.0) > most
    if copied:
        yield Statement(
            f"{told(donor, 'share')} of the swaps are nearest to the very image that lent the class code (by chance "
            f"{percent(chance)}), and {told(own_, 'share')} to their own: the decoder copies the lender, and its "
            "reassignment proves nothing.",
            Level.ALARM,
        )
    far = (nearer.value or 0.0) <= checks.NEARER
    yield Statement(
        f"{told(nearer, 'share')} of the swaps are nearer, in pixels, to the image they were made from than to their "
        f"lender; for {told(own_, 'share')} it is the nearest of all.",
        Level.ALARM if far else Level.PLAIN,
    )


def _lost(found: Study) -> Iterator[Statement]:
    looked, rebuilt = found.looked, found.rebuilt
    for values, least, what in (
        (looked.resized, checks.RESIZED, "at the embedding's size"),
        (rebuilt.called == looked.called, checks.REBUILT, "once they are rebuilt"),
    ):
        share = mean(values, found.draws)
        low = (share.value or 0.0) < least
        yield Statement(
            f"{told(share, 'share')} of the images keep their class {what}.", Level.ALARM if low else Level.PLAIN
        )


def _read(found: Study) -> Iterator[Statement]:
    read = found.readable
    if read.leak.value is None:
        return
    leaks = read.leak.value > read.chance + LEAKS
    yield Statement(
        f"A linear reader names the class of {told(read.leak, 'share')} of the individual codes (balanced; chance is "
        f"{percent(read.chance)}), and of {told(read.separable, 'share')} of the class codes"
        + ("; what makes an image its class has leaked into what should be its own." if leaks else "."),
        Level.CAUTION if leaks else Level.PLAIN,
    )


def _walked(found: Study) -> Iterator[Statement]:
    if not len(found.walked.rows):
        return
    graph, straight = (tables.route(found, name) for name in (GRAPH, STRAIGHT))
    made, rising = graph["made"], graph["monotone"]
    if (made.value or 0.0) < 1.0:
        yield Statement(
            f"Only {told(made, 'share')} of {made.n} images can be walked at all: the others are called otherwise once "
            "they are reduced or rebuilt.",
            Level.CAUTION,
        )
    if rising.value is None:
        return
    low = rising.value < checks.MONOTONE
    yield Statement(
        f"Of the walks, {told(graph['flips'], 'share')} change the network's class, and the rival's probability does "
        f"not fall on {told(rising, 'share')} of the steps; {told(graph['covered'], 'share')} of a way along the graph "
        f"lie near cases, {told(straight['covered'], 'share')} of the straight line.",
        Level.CAUTION if low else Level.PLAIN,
    )


def _near(found: Study) -> Iterator[Statement]:
    pixels, features = (tables.nearer(found)[name] for name in ("pixels", "features"))
    if pixels[0].value is None or pixels[1].value is None:
        return
    sure = pixels[2].low is not None and pixels[2].low > 0
    yield Statement(
        f"The flip frame differs from the image by {told(pixels[0], 'number')} of the range of values, the retrieved "
        f"counterfactual by {told(pixels[1], 'number')}; in the network's features they are "
        f"{told(features[0], 'number')} and {told(features[1], 'number')} away"
        + ("." if sure else ": the retrieved case is as near."),
        Level.PLAIN if sure else Level.CAUTION,
    )


def _maps(found: Study) -> Iterator[Statement]:
    summary = found.maps
    if summary is None or own(summary) is None:
        return
    for metric in summary.outcome.metrics:
        if metric not in METRICS.values():
            continue
        rows = [row for row in summary.outcome.rows if row.baseline or row.method in AGAINST]
        against = [(row, ahead(summary, row, metric, AOPC)) for row in rows]
        behind = [row.title for row, one in against if one is not None and not _above_zero(one)]
        said = f"{metric.title}: in AOPC the embedding's maps are surely ahead of "
        if not behind:
            yield Statement(f"{said}every other map here.")
        else:
            yield Statement(f"{said}all but {', '.join(behind)}.", Level.CAUTION)


def _above_zero(one: Measured) -> bool:
    return one.n >= FEWEST and one.low is not None and bool(np.greater(one.low, 0.0))
