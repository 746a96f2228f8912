"""What was found about the twins, in plain sentences, worst news first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.contradiction import Alarm
from casebase.evaluate.error_detection import FEW_ERRORS, SOFTMAX, Detection
from casebase.evaluate.fidelity_tables import ALL, ERRORS, fidelity_cells, gain, overs, sampled_votes
from casebase.evaluate.stability import Stability
from casebase.evaluate.twin_fidelity import Fidelity
from casebase.evaluate.twin_study import TwinStudy
from casebase.evaluations import Measured
from casebase.evaluations import told as shown
from casebase.explanations import Level, Statement
from casebase.reading import percent
from casebase.spaces import NETWORK_SPACE

STEADY = 0.8
SKEWED = 1.5
SAME = 0.99
_ORDER = {Level.ALARM: 0, Level.CAUTION: 1, Level.PLAIN: 2, Level.CALM: 3}


def statements(found: TwinStudy) -> list[Statement]:
    """Every finding in one sentence or two, alarms before cautions before the rest."""
    said = [
        *found.part.statements(), *_few(found), *_strange(found), *_fidelity(found), *_controls(found), *_tilt(found),
        *_softmax(found), *_contradictions(found), *_truth(found), *_hubs(found), *_missing(found),
    ]  # fmt: skip
    if found.stability is not None:
        said += _stability(found.stability)
    return sorted(said, key=lambda one: _ORDER[one.level])


def told(measured: Measured) -> str:
    """A share with its interval, as the tables show it."""
    return shown(measured, "share")


def points(measured: Measured) -> str:
    """A difference of shares in percentage points, with its interval: ``−10.5 (−17.7 to −3.4)``."""
    return shown(measured, "points")


def _few(found: TwinStudy) -> Iterator[Statement]:
    n, errors = len(found.queries), found.errors
    if errors == 0:
        yield Statement(
            f"The network makes no error on these {n} images, so nothing is said here about its errors, and that is "
            "what twins are for.", Level.CAUTION,
        )  # fmt: skip
    elif errors < FEWEST_ERRORS:
        yield Statement(
            f"There are only {errors} errors among {n} images: figures over errors are anecdotes. Under "
            f"{FEWEST_ERRORS} no AUROC is given and no score is called better; AURC and AUGRC stand with their "
            "intervals.", Level.CAUTION,
        )  # fmt: skip
    elif errors < FEW_ERRORS:
        yield Statement(
            f"There are {errors} errors among {n} images, fewer than {FEW_ERRORS}: figures over errors are weak; look "
            "at their intervals.", Level.CAUTION,
        )  # fmt: skip
    if found.k < found.options.k:
        yield Statement(
            f"The base has {found.k} cases, fewer than the {found.options.k} asked for: every list is the whole base.",
            Level.CAUTION,
        )
    if found.copies:
        yield Statement(
            f"{found.copies} of {n} images have an exact copy among the cases. The copies never answer here, but the "
            "network may have learnt these images by heart.", Level.CAUTION,
        )  # fmt: skip


def _strange(found: TwinStudy) -> Iterator[Statement]:
    """Where the network answers with classes that no case is labelled with, labels cannot vote for its answer."""
    strange = ~np.isin(found.queries.predicted, found.sides.cases.labels)
    if strange.any():
        yield Statement(
            f"On {percent(float(strange.mean()))} of the images the network answers with a class that is no case's "
            'label, so no vote of labels can agree with it: read the column "by prediction".',
            Level.CAUTION,
        )


def _fidelity(found: TwinStudy) -> Iterator[Statement]:
    own = found.spaces[0]
    cells = {over: fidelity_cells(found, own, over, rows, draws) for over, rows, draws in overs(found)}
    k = found.k
    for over, images in ((ALL, "these images"), (ERRORS, "the network's errors")):
        fidelity, shuffled = cells[over]["fidelity"], cells[over]["shuffled"]
        if fidelity.value is None or shuffled.value is None or (over == ERRORS and fidelity.n < FEWEST_ERRORS):
            continue
        if not _above_zero(cells[over]["adjusted"]):
            yield Statement(
                f"Fidelity in {own.space} is not informative on {images}: the {k} nearest vote like the network in "
                f"{told(fidelity)}, and with features of other images in {told(shuffled)}.", Level.ALARM,
            )  # fmt: skip
    overall, wrong = cells[ALL]["fidelity"], cells[ERRORS]["fidelity"]
    if overall.value is None:
        return
    if wrong.value is None:
        yield Statement(f"The {k} nearest vote like the network in {told(overall)} of the images.")
        return
    weak = wrong.n < FEW_ERRORS or wrong.value < overall.value - 0.1
    yield Statement(
        f"The {k} nearest vote like the network in {told(overall)} of all images and in {told(wrong)} of its "
        f"{wrong.n} errors; by chance it would be {told(cells[ERRORS]['shuffled'])} of the errors.",
        Level.CAUTION if weak else Level.PLAIN,
    )


def _controls(found: TwinStudy) -> Iterator[Statement]:
    held = found.controls
    if held is None:
        if found.options.random_network:
            yield Statement(
                "The random network could not be shown any image, since no file of the sample is as it was indexed.",
                Level.CAUTION,
            )
        return
    trained = held.of("trained")
    for key, name in (("untrained", "by a network with random weights"), ("pixels", "in thumbnails alone")):
        other = held.of(key)
        if trained is None or other is None:
            continue
        mine = sampled_votes(found, held, trained.votes, ALL)["hard"]
        theirs = sampled_votes(found, held, other.votes, ALL)["hard"]
        if not _above_zero(gain(found, held, trained.votes, other.votes)):
            yield Statement(
                f"Neighbours found {name} vote like the network in {told(theirs)} of a sample, those of its own "
                f"features in {told(mine)}: fidelity says little here about what it has learnt.",
                Level.ALARM if key == "untrained" else Level.CAUTION,
            )


def _tilt(found: TwinStudy) -> Iterator[Statement]:
    space = next((one for one in found.spaces if one.rival is not None), None)
    if space is None or space.rival is None or not found.errors:
        return
    if np.array_equal(space.votes.hard, space.rival.hard):
        return  # a fitted head of two classes: both rows are mirror images, and the control is the figure itself
    cells = {over: fidelity_cells(found, space, over, rows, draws) for over, rows, draws in overs(found)}[ERRORS]
    own, rival = cells["fidelity"], cells["rival"]
    if own.value is None or rival.value is None:
        return
    plain = _of_errors(found, found.spaces[0])
    gap = own.value - rival.value
    yield Statement(
        f"In {space.space} the neighbours of errors vote like the network in {told(own)}, and in {told(rival)} with "
        f"the second class's weights (without weights: {told(plain)}). The difference of {100 * gap:.1f} points is "
        "what the choice of weights decides, not the image.",
        Level.CAUTION if gap > 0.1 else Level.PLAIN,
    )


def _of_errors(found: TwinStudy, space: Fidelity) -> Measured:
    *_, (over, rows, draws) = overs(found)
    return fidelity_cells(found, space, over, rows, draws)["fidelity"]


def _softmax(found: TwinStudy) -> Iterator[Statement]:
    by_key = {one.score.key: one for one in found.detections}
    trust, softmax = by_key["trust"], by_key[SOFTMAX]
    gain, of_trust, of_softmax = trust.against.get("auroc"), trust.figures["auroc"], softmax.figures["auroc"]
    alone = int((~np.isfinite(found.evidence.twin)).sum())
    if alone:
        yield Statement(
            f"{alone} images have no twin, since no case is predicted as they are; they count as trusted least.",
            Level.CAUTION,
        )
    if trust.n < len(found.queries):
        absent = len(found.queries) - trust.n
        yield Statement(f"{absent} images have no trust score, since the base has no rival for them.", Level.CAUTION)
    if gain is None or gain.value is None or gain.low is None or gain.high is None:
        return
    figures = f"AUROC {told(of_trust)} against {told(of_softmax)}"
    difference = f"a difference of {points(gain)} points"
    if gain.high < 0:
        text = f"The trust score finds errors worse than max-softmax does: {figures}, {difference}."
        yield Statement(f"{text} Use softmax to rank answers, and the neighbours to look at them.", Level.CAUTION)
    elif gain.low > 0:
        yield Statement(
            f"The trust score finds errors better than max-softmax on these images: {figures}, {difference}. Softmax "
            "usually wins where nothing is scarce or shifted, so measure again on new data.",
        )
    else:
        yield Statement(
            f"The trust score does not beat max-softmax at finding errors here: {figures}, {difference}.",
            Level.CAUTION,
        )
    yield from _agreement(by_key["agreement"], softmax)


def _agreement(agreement: Detection, softmax: Detection) -> Iterator[Statement]:
    gain = agreement.against.get("auroc")
    if gain is not None and gain.high is not None and gain.high < 0:
        yield Statement(
            f"How many of the neighbours agree is a poor confidence: AUROC {told(agreement.figures['auroc'])}, "
            f"max-softmax {told(softmax.figures['auroc'])}.",
        )


def _contradictions(found: TwinStudy) -> Iterator[Statement]:
    if not found.errors:
        return
    alarm: Alarm = found.alarms[0]
    wrong = found.queries.wrong
    on_errors = found.draws.of_rows(wrong).mean(alarm.raised[wrong])
    on_right = found.draws.of_rows(~wrong).mean(alarm.raised[~wrong])
    if on_errors.value is None or on_right.value is None:
        return
    yield Statement(
        f"At least one of the {found.k} nearest is predicted otherwise in {told(on_errors)} of the errors and in "
        f"{told(on_right)} of the right answers; the list of twins shows none of it.",
        Level.CAUTION if on_errors.low is not None and on_errors.low <= (on_right.high or 0.0) else Level.PLAIN,
    )


def _truth(found: TwinStudy) -> Iterator[Statement]:
    if not found.errors or len(found.sides.cases.names) < 3:
        return  # with two classes every unlike case names the truth of an error
    wrong = found.queries.wrong
    draws = found.draws.of_rows(wrong)
    by_key = {one.key: one.right[wrong] for one in found.namings}
    unlike, second = draws.mean(by_key["nun_label"] > 0.5), draws.mean(by_key["runner_up"] > 0.5)
    blind = draws.mean(by_key["any_unlike"])
    yield Statement(
        f"On errors the nearest unlike case carries the true label in {told(unlike)}; the network's second class is it "
        f"in {told(second)}, an unlike case drawn blindly in {told(blind)}.",
    )


def _hubs(found: TwinStudy) -> Iterator[Statement]:
    hub = found.hubs[NETWORK_SPACE]
    chance = hub.skewness_by_chance
    if hub.skewness is not None and chance is not None and hub.skewness > max(SKEWED, 2 * chance):
        yield Statement(
            f"A few cases are near to everything in {NETWORK_SPACE}: skewness {hub.skewness:.1f} (by chance "
            f"{chance:.1f}), {len(hub.hubs)} hubs in {percent(hub.slots_of_hubs)} of all places.", Level.CAUTION,
        )  # fmt: skip


def _stability(held: Stability) -> Iterator[Statement]:
    if not held.turnovers:
        yield Statement("No image could be read again, so nothing is known of stability.", Level.CAUTION)
        return
    again, *changed = held.turnovers
    if float(again.nearest.mean()) < SAME:
        yield Statement(
            f"Reading the same images again keeps only {percent(float(again.nearest.mean()))} of their nearest cases: "
            "something between the files and the stored vectors has changed; run `casebase verify --deep`.",
            Level.ALARM,
        )
    worst = min(changed, key=lambda turn: float(turn.nearest.mean()))
    kept = float(worst.nearest.mean())
    yield Statement(
        f"Of {len(changed)} harmless changes of the picture this one moves the neighbours most: {worst.change.title}. "
        f"{percent(kept)} of the nearest stay, and the network changes its answer on "
        f"{percent(float(worst.answer_changed.mean()))} of {len(held.rows)} images.",
        Level.CAUTION if kept < STEADY else Level.CALM,
    )


def _missing(found: TwinStudy) -> Iterator[Statement]:
    for what, held in (("stability", found.stability), ("the random network", found.controls)):
        if held is not None and held.missing.total:
            yield Statement(f"For {what}, images were left out: {held.missing.told()}.", Level.CAUTION)
    for name, why in found.left_out.items():
        yield Statement(f"The space {name} was not measured: {why}.", Level.PLAIN)


def _above_zero(gain: Measured) -> bool:
    """Whether the whole interval of a difference lies above zero."""
    low = gain.low if gain.low is not None else gain.value
    return low is not None and low > 0
