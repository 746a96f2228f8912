"""What was found about the prototypes, in plain sentences, worst news first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from casebase.evaluate.prototypes.drawn_tables import aimed
from casebase.evaluate.prototypes.figures import free
from casebase.evaluate.prototypes.formats import title
from casebase.evaluate.prototypes.match_tables import by_class, rests_on_box, steadiness
from casebase.evaluate.prototypes.standing import BEYOND_PRIOR
from casebase.evaluate.prototypes.study import Profile, Study
from casebase.evaluations import Measured, told
from casebase.explain.verdict import worst_first
from casebase.explanations import Level, Statement
from casebase.reading import percent, printable

GAP, WIDE_GAP = 0.03, 0.05
DIFFERENT = 0.8
STEADY = 0.5
AGREES = 0.5
SAME = 0.9
JUDGED = 75
"""The JPEG quality that sentences speak of: what most cameras and sites write."""
FEW = 20
FEWEST = 5
"""Sampled images of a class before it is named as the one that suffers most."""


def statements(found: Study) -> list[Statement]:
    """Every finding, alarms before cautions before the rest."""
    said = [*found.part.statements(), *_images(found)]
    for one in found.profiles:
        said += [
            *_collapsed(one, found), *_gap(one), *_agreement(one), *_copies(one), *_alarms(one), *_unsteady(one, found),
            *_unboxed(one, found), *_encoded(one, found), *_unmoved(one, found), *_astray(one, found),
        ]  # fmt: skip
    return worst_first(said)


def _name(one: Profile) -> str:
    return f"The {one.found.profile} prototypes"


def _images(found: Study) -> Iterator[Statement]:
    missing = found.missing.told()
    if missing is not None:
        yield Statement(f"{found.missing.total} images were left out: {missing}.", Level.CAUTION)
    if found.n < FEW:
        yield Statement(f"{found.n} images are few: no interval here is to be trusted.", Level.CAUTION)
    if len(set(found.truth.tolist())) == 1:
        yield Statement(
            "All these images have one label, so no figure tells whether the prototypes know one class from another.",
            Level.CAUTION,
        )


def _collapsed(one: Profile, found: Study) -> Iterator[Statement]:
    stood, names = one.standing, found.outcomes.names
    if stood.excess > BEYOND_PRIOR:
        named = float((one.called == stood.swallowed).mean())
        yield Statement(
            f"{_name(one)} call {percent(named)} of the images {printable(names[stood.swallowed])!r}, though only "
            f"{percent(named - stood.excess)} are: they have collapsed towards it, and explain nothing.",
            Level.ALARM,
        )


def _gap(one: Profile) -> Iterator[Statement]:
    gap = one.standing.gap
    if gap is None or gap.value is None:
        return
    level = Level.ALARM if gap.value < -WIDE_GAP else Level.CAUTION if gap.value < -GAP else Level.PLAIN
    yield Statement(
        f"{_name(one)} reach a balanced accuracy of {told(one.standing.balanced, 'share')}, {told(gap, 'points')} "
        "points against the network they explain.",
        level,
    )


def _agreement(one: Profile) -> Iterator[Statement]:
    same, wrong = one.standing.agreement, one.standing.agreement_on_errors
    if same is None or wrong is None or same.value is None:
        return
    errors = "" if wrong.value is None else f", and on {told(wrong, 'share')} of its {wrong.n} errors"
    yield Statement(f"{_name(one)} answer as the network does on {told(same, 'share')} of the images{errors}.")


def _copies(one: Profile) -> Iterator[Statement]:
    made = one.census
    for count, what in (
        (made.distinct, "have a patch of their own"),
        (made.sources, "come from an image of their own"),
    ):
        if count < DIFFERENT * made.count:
            yield Statement(
                f"Only {count} of {made.count} prototypes of {one.found.profile} {what}: they repeat one another.",
                Level.CAUTION,
            )
    if made.fewest == 0:
        yield Statement(f"{_name(one)} have none for some class: nothing can look like it.", Level.ALARM)


def _alarms(one: Profile) -> Iterator[Statement]:
    if one.found.stages and one.found.stages[-1].alarms:
        last = one.found.stages[-1]
        yield Statement(
            f"The training of {one.found.profile} ended with an alarm ({printable(last.name)}): "
            f"{printable(str(last.alarms[0]))}.",
            Level.CAUTION,
        )


def _unsteady(one: Profile, found: Study) -> Iterator[Statement]:
    kept = steadiness(one, found)["cells"]
    if kept.value is not None:
        yield Statement(
            f"Under light noise {told(kept, 'share')} of the matches of {one.found.profile} stay in their cell.",
            Level.CAUTION if kept.value < STEADY else Level.PLAIN,
        )


def _unboxed(one: Profile, found: Study) -> Iterator[Statement]:
    rests, chance = rests_on_box(one, found)
    if rests.value is None or chance.value is None:
        return
    yield Statement(
        f"{told(rests, 'share')} of the strongest matches of {one.found.profile} rest on the box that is shown; by "
        f"chance {percent(chance.value)} would.",
        Level.CAUTION if rests.value < AGREES else Level.PLAIN,
    )


def _encoded(one: Profile, found: Study) -> Iterator[Statement]:
    """The judged quality over all images, and the label that suffers most."""
    change = one.swaps.get(JUDGED)
    if change is None:
        return
    same, moved = found.sample.mean(change.same_top), found.sample.mean(change.changed)
    kept = {name: (float(change.same_top[where].mean()), int(where.sum())) for name, where in by_class(found)}
    judged = {name: stays for name, (stays, n) in kept.items() if n >= FEWEST}
    worst = min(judged, key=lambda name: judged[name]) if len(judged) > 1 else None
    least = 1.0 if worst is None else judged[worst]
    of_class = ""
    if worst is not None and least < (same.value or 0.0):
        of_class = f", least of {printable(worst)!r} ({percent(least)}, n = {kept[worst][1]})"
    bad = (same.value is not None and same.value < SAME) or least < STEADY
    yield Statement(
        f"Saved as {title(JUDGED)}, the strongest match of {one.found.profile} stays the same in {told(same, 'share')}"
        f"{of_class}, and the class they choose changes in {told(moved, 'share')}.",
        Level.CAUTION if bad else Level.PLAIN,
    )


def _unmoved(one: Profile, found: Study) -> Iterator[Statement]:
    known = [(each.network, each.network_random) for each in one.look.drops if each is not None]
    there = np.array([each is not None for each in one.look.drops], np.bool_)
    if not known:
        return
    both = np.array(known, np.float64)
    more = free(both[:, 0] - both[:, 1], found.sample.of_rows(there))
    sure = _above_zero(more)
    yield Statement(
        f"Hiding the three strongest matched patches of {one.found.profile} lowers the network's probability by "
        f"{told(more, 'number')} more than hiding others"
        + ("." if sure else ": the network's answer does not visibly rest on them."),
        Level.PLAIN if sure else Level.CAUTION,
    )


def _above_zero(more: Measured) -> bool:
    """Whether all of its interval is above 0; a figure that no resample moved stands for itself."""
    edge = more.value if more.low is None else more.low
    return edge is not None and edge > 0.0


def _astray(one: Profile, found: Study) -> Iterator[Statement]:
    if not any(each is not None for each in one.look.aims):
        return
    more: Measured = aimed(one, found, "cell", "energy", "random")
    if more.value is not None and not _above_zero(more):
        yield Statement(
            f"The strongest matches of {one.found.profile} lie no more on the object than a cell at random "
            f"({told(more, 'points')} points).",
            Level.CAUTION,
        )
