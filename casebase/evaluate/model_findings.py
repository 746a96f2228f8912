"""What the figures about a network mean, in sentences, worst news first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.model_scores import ClassScores, Found
from casebase.evaluations import Measured, told
from casebase.explanations import Level, Statement
from casebase.reading import percent, printable, some

FEW_IMAGES = 200
"""Below this, the interval of an accuracy around 90 % is wider than 8 points."""
FEW_OF_A_CLASS = 10
UNEVEN = 3.0
"""Largest class over smallest, from which accuracy leans to the large ones."""
LARGE = 0.10
"""A calibration error from which nobody would trust the confidence; where chance alone reaches it, nothing is told."""
NAMED = 5

_ORDER = (Level.ALARM, Level.CAUTION, Level.PLAIN, Level.CALM)


def statements(found: Found) -> list[Statement]:
    """All findings, alarms before cautions before plain ones; the accuracy opens the last."""
    made = [*found.outcomes.part.statements(), *_troubles(found), *_figures(found)]
    return sorted(made, key=lambda said: _ORDER.index(said.level))


def _troubles(found: Found) -> Iterator[Statement]:
    yield from _usefulness(found)
    yield from _coverage(found)
    yield from _leaks(found)
    yield from _size(found)
    yield from _calibration(found)
    yield from _balance(found)


def _usefulness(found: Found) -> Iterator[Statement]:
    if len([one for one in found.classes if one.labelled]) < 2:
        text = "All of these images have one label, so they cannot show whether the network tells classes apart."
        yield Statement(text, Level.ALARM)
        return
    low = found.gain.low if found.gain.low is not None else found.gain.value
    if low is not None and low <= 0:
        yield Statement(
            f"Not shown to be better than always answering {found.usual}: {told(found.accuracy, 'share')} right, "
            f"against {told(found.usual_accuracy, 'share')}; a gain of {told(found.gain, 'points')} points.",
            Level.ALARM,
        )


def _coverage(found: Found) -> Iterator[Statement]:
    unknown = [one for one in found.classes if not one.known]
    if unknown:
        count = sum(one.labelled for one in unknown)
        yield Statement(
            f"{_images(count)} cannot be answered rightly: the network has no class {_names(unknown)}. They count as "
            "errors.",
            Level.ALARM,
        )
    never = [one for one in found.classes if one.known and one.labelled and not one.called]
    if never:
        count = sum(one.labelled for one in never)
        what = "a class" if len(never) == 1 else f"{len(never)} classes"
        yield Statement(f"The network never predicts {what} of these images: {_names(never)} ({_images(count)}).",
                        Level.ALARM)  # fmt: skip


def _leaks(found: Found) -> Iterator[Statement]:
    if found.copied and found.accuracy_without_copies is not None:
        without = found.accuracy_without_copies
        tail = (
            "none is left without them"
            if without.value is None
            else f"without them it is right on {told(without, 'share')} of {without.n}"
        )
        have = "has" if found.copied == 1 else "have"
        text = f"{_images(found.copied)} {have} exactly the pixels of a training image; {tail}."
        yield Statement(text, Level.ALARM)
    if found.outcomes.repeated:
        count = found.outcomes.repeated
        yield Statement(
            f"{_images(count)} {'repeats' if count == 1 else 'repeat'} the pixels of another one of this part, so the "
            "figures rest on fewer images than it seems.",
            Level.CAUTION,
        )


def _size(found: Found) -> Iterator[Statement]:
    outcomes, accuracy = found.outcomes, found.accuracy
    if outcomes.n < FEW_IMAGES and accuracy.low is not None and accuracy.high is not None:
        yield Statement(
            f"{_images(outcomes.n)} {'is' if outcomes.n == 1 else 'are'} few: the accuracy may be anything from "
            f"{percent(accuracy.low)} to {percent(accuracy.high)}.",
            Level.CAUTION,
        )
    if outcomes.wrong == 0:
        text = "No answer is wrong, so nothing is told of mistakes, and no AUROC is given."
        yield Statement(text, Level.CAUTION)
    elif outcomes.wrong < FEWEST_ERRORS:
        count = {1: "Only 1 answer is"}.get(outcomes.wrong, f"Only {outcomes.wrong} answers are")
        yield Statement(
            f"{count} wrong: too few to say what the mistakes have in common, and with fewer than "
            f"{FEWEST_ERRORS} errors no AUROC is given and no score is called better.",
            Level.CAUTION,
        )
    small = [one for one in found.classes if 0 < one.labelled < FEW_OF_A_CLASS]
    if small and outcomes.n >= FEW_OF_A_CLASS:
        yield Statement(
            f"Fewer than {FEW_OF_A_CLASS} images each of {_names(small)}: the figures of such classes say little.",
            Level.CAUTION,
        )


def _calibration(found: Found) -> Iterator[Statement]:
    if found.log_loss.low is not None and found.log_loss.low > found.usual_log_loss:
        yield Statement(
            "Its probabilities are worse than saying the shares of the labels every time: log-loss "
            f"{told(found.log_loss, 'number')} against {found.usual_log_loss:.4g}.",
            Level.CAUTION,
        )
    width, mass, gap = found.width_error.value, found.mass_error.value, found.gap.value
    if width is None or mass is None or gap is None:
        return
    ways = (
        _Binned("by bins of equal width", width, found.width_if_calibrated),
        _Binned("by bins of as many answers each", mass, found.mass_if_calibrated),
    )
    by_width = ways[0]
    if any(way.misleads for way in ways):
        yield _not_calibrated(found, ways, gap)
    elif _leans(found):
        more = "sure" if gap > 0 else "unsure"
        yield Statement(
            f"On average it is too {more} of itself: confidence minus accuracy is {told(found.gap, 'points')} points. "
            f"Bin by bin its calibration error, {percent(width)}, is no larger than chance makes it "
            f"({by_width.by_chance}).",
            Level.CAUTION,
        )
    elif (by_width.expected.high or 0.0) >= LARGE:
        yield Statement(
            f"Too few images to say whether its confidence misleads: the calibration error is {percent(width)}, and "
            f"a calibrated network would show {by_width.by_chance} on as many. With {_images(found.outcomes.n)} even "
            "a large error cannot be ruled out.",
            Level.CAUTION,
        )
    else:
        yield Statement(
            f"No sign that its confidence misleads: the calibration error is {percent(width)}, and a calibrated "
            f"network would show {by_width.by_chance} on as many images. With {_images(found.outcomes.n)} a small "
            "error cannot be ruled out.",
            Level.PLAIN,
        )


def _leans(found: Found) -> bool:
    """Whether confidence minus accuracy is above 0 or below it, by so much that the printed interval shows it.

    Where every answer is right no resample holds a wrong one: confidence must lie below Wilson's end of the accuracy.
    """
    low, high = (round(100 * (edge or 0.0), 1) for edge in (found.gap.low, found.gap.high))
    if not found.outcomes.wrong:
        return (found.mean_confidence.value or 0.0) < (found.accuracy.low or 0.0)
    return low > 0 or high < 0


@dataclass(frozen=True, slots=True)
class _Binned:
    """One way to bin: the calibration error found, and what calibrated networks show, as in the table's own row."""

    how: str
    error: float
    expected: Measured

    @property
    def misleads(self) -> bool:
        """Whether the error lies above the range that the table shows beside it; that of rounding does not count."""
        return self.expected.high is not None and self.error > self.expected.high + 1e-9

    @property
    def by_chance(self) -> str:
        return told(self.expected, "share")


def _not_calibrated(found: Found, ways: Sequence[_Binned], gap: float) -> Statement:
    worse = next(way for way in ways if way.misleads)
    text = (
        f"Not calibrated: its confidence is {percent(found.mean_confidence.value or 0.0)} on average, and "
        f"{percent(found.accuracy.value or 0.0)} of the answers are right; {worse.how} it is off by "
        f"{percent(worse.error)} (ECE), where a calibrated network would show {worse.by_chance}. On the whole it is "
        f"{'too high' if gap > 0 else 'too low'}."
    )
    for way in ways:
        if not way.misleads:
            text += (
                f" One of two ways to bin does not show it: {way.how} it is {percent(way.error)}, which chance makes "
                f"too ({way.by_chance})."
            )
    return Statement(text, Level.CAUTION)


def _balance(found: Found) -> Iterator[Statement]:
    there = sorted((one for one in found.classes if one.labelled), key=lambda one: one.labelled)
    if len(there) > 1 and there[-1].labelled >= UNEVEN * there[0].labelled:
        large, small = there[-1], there[0]
        balanced = found.averages["balanced accuracy"]
        yield Statement(
            f"The classes are uneven ({large.labelled} images of {printable(large.name)}, {small.labelled} of "
            f"{printable(small.name)}), so accuracy leans to the large ones; with every class counting the same it is "
            f"{told(balanced, 'share')}.",
            Level.CAUTION,
        )


def _figures(found: Found) -> Iterator[Statement]:
    n, right = found.outcomes.n, found.outcomes.n - found.outcomes.wrong
    yield Statement(f"Right on {right} of {_images(n)}: {told(found.accuracy, 'share')}.", Level.PLAIN)
    elsewhere = [one for one in found.classes if not one.labelled]
    if elsewhere:
        answers = sum(one.called for one in elsewhere)
        named = "1 answer names a class" if answers == 1 else f"{answers} answers name classes"
        text = f"{named} without an image here" + (f" ({len(elsewhere)} of them)." if len(elsewhere) > 1 else ".")
        yield Statement(text, Level.PLAIN)
    judged = [one for one in found.classes if one.labelled >= FEW_OF_A_CLASS and _certain(one.recall)]
    if len({one.recall.value for one in judged}) > 1:
        worst = min(judged, key=lambda one: one.recall.value or 0.0)
        yield Statement(
            f"Weakest on {printable(worst.name)}: {worst.right} of {worst.labelled} found, "
            f"{told(worst.recall, 'share')}.",
            Level.PLAIN,
        )


def _certain(measured: Measured) -> bool:
    return measured.value is not None


def _names(classes: Sequence[ClassScores]) -> str:
    return some([one.name for one in classes], NAMED)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
