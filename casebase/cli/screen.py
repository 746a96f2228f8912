"""Where text goes: results to stdout, everything else to stderr; progress only where somebody is watching."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from casebase.reading import percent, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from casebase.api import CaeProgress
    from casebase.trained import Onlooker

WIDEST = 100
LOSSES = ("reconstruction", "cycle", "class")
"""Of the losses of a class association embedding, those a bar has room for."""
_PADDING = re.compile(r"[ \t]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Screen:
    """How to speak: ``json`` keeps stdout for one JSON value, ``quiet`` keeps stderr for errors."""

    json: bool = False
    quiet: bool = False
    color: bool = True

    def out(self) -> Console:
        """The console of results."""
        return _console(sys.stdout, color=self.color)

    def note(self, text: str) -> None:
        """A line on stderr, unless quiet."""
        if not self.quiet:
            sys.stderr.write(f"{printable(text)}\n")
            sys.stderr.flush()

    def result(self, value: Any) -> None:
        """The JSON result on stdout."""
        from casebase.explain import dumps

        sys.stdout.write(dumps(value) + "\n")
        sys.stdout.flush()

    @property
    def watched(self) -> bool:
        """Whether standard error is a terminal that can redraw a line."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @contextmanager
    def training(self) -> Iterator[Onlooker]:
        """A bar for each epoch, and its figures as a line when it is over; plain lines where nobody watches."""
        from casebase.trained import Epoch, Onlooker, Step

        if self.quiet:
            yield Onlooker()
            return
        from casebase.indexer import epoch_in_words, training_lines

        if not self.watched:
            yield training_lines()
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.text import Text

        bar = Progress(
            TextColumn("{task.fields[doing]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(), console=_console(sys.stderr, color=self.color), transient=True,
        )  # fmt: skip
        task = bar.add_task("", total=None, doing="loading the network", said="")
        now = 0

        def reading(done: int, total: int, skipped: int) -> None:
            bar.update(task, completed=done, total=total, doing="reading", said=f"{skipped} skipped")

        def told(moment: Step | Epoch) -> None:
            nonlocal now
            if isinstance(moment, Epoch):
                bar.console.print(Text(epoch_in_words(moment)))
                return
            if moment.epoch != now:
                now = moment.epoch
                bar.reset(task, total=moment.total, doing=f"epoch {moment.epoch}/{moment.of}", said="")
            speed = bar.tasks[0].speed
            rate = f"{speed:.0f}/s, " if speed else ""
            said = f"{rate}loss {moment.loss:.3f}, accuracy {percent(moment.accuracy)}"
            bar.update(task, completed=moment.done, said=said)

        with bar:
            yield Onlooker(reading, told)

    @contextmanager
    def stages(self) -> Iterator[Callable[[str, int, int], None]]:
        """A bar for each stage that is told of as (stage, done, total), with its rate and the time left; else lines."""
        if self.quiet:
            yield lambda stage, done, total: None
            return
        if not self.watched:
            from casebase.indexer import stage_lines

            yield stage_lines()
            return
        with self._staged() as (_, show):
            yield show

    @contextmanager
    def associating(self) -> Iterator[Callable[[CaeProgress], None]]:
        """The same of a class association embedding, with running losses, and a line for every standing that is new."""
        if self.quiet:
            yield lambda told: None
            return
        from casebase.indexer import association_lines, losses_in_words, standing_in_words

        if not self.watched:
            lines = association_lines()
            yield lambda told: lines(told.stage, told.done, told.total, told.standing, told.terms)
            return
        from rich.text import Text

        with self._staged() as (bar, show):
            last: int | None = None

            def told(now: CaeProgress) -> None:
                nonlocal last
                if now.standing is not None and now.standing.iteration != last:
                    last = now.standing.iteration
                    bar.console.print(Text(f"{standing_in_words(now.standing)}; {losses_in_words(now.terms)}"))
                show(
                    now.stage,
                    now.done,
                    now.total,
                    [f"{one} {now.terms[one]:.3f}" for one in LOSSES if one in now.terms],
                )

            yield told

    @contextmanager
    def _staged(self) -> Iterator[tuple[Any, Callable[..., None]]]:
        """A bar and what moves it: (stage, done, total), and what else is to be said."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.fields[doing]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), console=_console(sys.stderr, color=self.color), transient=True,
        )  # fmt: skip
        task = bar.add_task("", total=None, doing="loading the network", rate="")
        now_at = ""

        def show(stage: str, done: int, total: int, said: Sequence[str] = ()) -> None:
            nonlocal now_at
            if stage != now_at:
                now_at = stage
                bar.reset(task, total=total, doing=printable(stage), rate="")
            speed = bar.tasks[0].speed
            rate = [f"{speed:.3g}/s"] if speed else []
            bar.update(task, completed=done, total=total, rate=", ".join([*rate, *said]))

        with bar:
            yield bar, show

    @contextmanager
    def progress(self, doing: str = "indexing", what: str = "images") -> Iterator[Callable[[int, int, int], None]]:
        """A bar on a terminal, plain lines elsewhere, nothing when quiet; ``what`` is counted."""
        if self.quiet:
            yield lambda done, total, skipped: None
            return
        if not self.watched:
            from casebase.indexer import lines

            yield lines(what=what)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), TextColumn("{task.fields[skipped]} skipped"),
            console=_console(sys.stderr, color=self.color), transient=True,
        )  # fmt: skip
        task = bar.add_task("", total=None, start=False, rate="loading", skipped=0)

        def show(done: int, total: int, skipped: int) -> None:
            if not bar.tasks[0].started:
                bar.start_task(task)  # loading the network is not part of the rate
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.0f}/s" if speed else "", skipped=skipped)

        with bar:
            yield show


class _Trimmed:
    """A stream that takes the blanks from the ends of lines: tables are padded, and a pipe or a file wants none.

    A console writes whole lines, so that no blank is held back from one call to the next.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return int(self._stream.write(_PADDING.sub("", text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _console(stream: Any, *, color: bool) -> Console:
    """A console of at most 100 columns that honours ``NO_COLOR``, ``FORCE_COLOR`` and ``TERM=dumb``."""
    from rich.console import Console

    plain = not color or os.environ.get("TERM") == "dumb"
    if not stream.isatty():
        stream = _Trimmed(stream)
    found = Console(file=stream, no_color=True if plain else None, highlight=False, emoji=False, soft_wrap=False)
    if found.width > WIDEST or not found.is_terminal:
        found.width = WIDEST
    return found


def fail(text: str) -> None:
    """An error on stderr: one line, no traceback."""
    sys.stderr.write(f"casebase: {printable(text)}\n")
    sys.stderr.flush()
