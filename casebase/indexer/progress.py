"""Progress as plain lines on standard error: for notebooks, logs and pipes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from casebase import clock
from casebase.association import Standing
from casebase.indexer.service import Progress
from casebase.reading import percent, printable
from casebase.trained import Epoch, Onlooker, Step

EVERY = 5.0


def lines(every: float = EVERY, what: str = "images") -> Progress:
    """A progress function that writes a line every few seconds: done, rate, time left, skipped; ``what`` is counted."""
    started = last = 0.0
    ended = False

    def show(done: int, total: int, skipped: int) -> None:
        nonlocal started, last, ended
        now = clock.seconds()
        started = started or now  # loading the network is not part of the rate
        if ended or (now - max(last, started) < every and done < total):
            return
        last, ended = now, done >= total
        rate = done / max(now - started, 1e-9)
        left = (total - done) / rate if rate else float("nan")
        shown = f"{rate:.0f}" if rate >= 1 else f"{rate:.2g}"
        sys.stderr.write(f"{done}/{total} {what}, {shown}/s, {left:.0f} s left, {skipped} skipped\n")

    return show


def stage_lines(every: float = EVERY) -> Callable[[str, int, int], None]:
    """A watch that writes a line where a stage begins, and one every few seconds: stage, done, rate, time left."""
    now_at = ""
    began = last = 0.0

    def show(stage: str, done: int, total: int) -> None:
        nonlocal now_at, began, last
        now = clock.seconds()
        if stage != now_at:
            now_at, began, last = stage, now, now
            sys.stderr.write(f"{stage}: {total} to do\n")
        elif now - last >= every and done < total:
            last = now
            rate = done / max(now - began, 1e-9)
            left = f", {clock.lasting((total - done) / rate)} left" if rate else ""
            sys.stderr.write(f"{stage}: {done}/{total}, {rate:.3g}/s{left}\n")

    return show


def association_lines(every: float = EVERY) -> Callable[[str, int, int, Standing | None, Mapping[str, float]], None]:
    """:func:`stage_lines`, and a line with the losses for every standing that is new."""
    stages = stage_lines(every)
    last: int | None = None

    def show(stage: str, done: int, total: int, standing: Standing | None, terms: Mapping[str, float]) -> None:
        nonlocal last
        stages(stage, done, total)
        if standing is not None and standing.iteration != last:
            last = standing.iteration
            sys.stderr.write(f"{standing_in_words(standing)}; {losses_in_words(terms)}\n")

    return show


def standing_in_words(standing: Standing) -> str:
    """What swaps did at one moment of a training as one line."""
    worst = standing.worst
    least = (
        "nothing was swapped"
        if worst is None
        else f"{printable(worst.source)} → {printable(worst.towards)} reassigned {percent(worst.reassigned)}, the least"
    )
    return f"iteration {standing.iteration}: {least}; reconstruction error {standing.error:.3f}"


def losses_in_words(terms: Mapping[str, float]) -> str:
    """Running means of losses by their names."""
    return "losses " + ", ".join(f"{name} {value:.3g}" for name, value in terms.items())


def training_lines(every: float = EVERY) -> Onlooker:
    """Training as lines: one for each epoch, and in long epochs one every few seconds."""
    epoch = 0
    began = last = clock.seconds()

    def told(moment: Step | Epoch) -> None:
        nonlocal epoch, began, last
        now = clock.seconds()
        if isinstance(moment, Epoch):
            sys.stderr.write(f"{epoch_in_words(moment)}\n")
            epoch, last = 0, now
            return
        if moment.epoch != epoch:
            epoch, began, last = moment.epoch, now, now
        elif now - last >= every:
            last = now
            rate = moment.done / max(now - began, 1e-9)
            sys.stderr.write(
                f"epoch {moment.epoch}/{moment.of}: {moment.done}/{moment.total} images, {rate:.0f}/s, "
                f"{(moment.total - moment.done) / max(rate, 1e-9):.0f} s left, loss {moment.loss:.4f}, "
                f"accuracy {percent(moment.accuracy)}\n"
            )

    return Onlooker(lines(every), told)


def epoch_in_words(epoch: Epoch) -> str:
    """A finished epoch as one line."""
    line = f"epoch {epoch.number}/{epoch.of}: loss {epoch.loss:.4f}, accuracy {percent(epoch.accuracy)}"
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        line += f"; validation loss {epoch.val_loss:.4f}, accuracy {percent(epoch.val_accuracy)}"
    return f"{line}; {epoch.seconds:.1f} s"
