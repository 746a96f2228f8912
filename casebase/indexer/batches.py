"""Work spread over threads, results in order, only a few pieces in the air."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def chunked(items: Iterable[In], size: int) -> Iterator[list[In]]:
    """Lists of ``size`` items, the last one shorter."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def in_order(work: Callable[[In], Out], pieces: Iterable[In], workers: int) -> Iterator[Out]:
    """``work(piece)`` for each piece, in order, on ``workers`` threads; at most two pieces a worker are unfinished.

    An exception of the work, or of the consumer (Ctrl-C included), lets running pieces end and starts no more.
    """
    waiting: deque[Future[Out]] = deque()
    remaining = iter(pieces)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="casebase")
    try:
        for piece in islice(remaining, 2 * workers):
            waiting.append(pool.submit(work, piece))
        while waiting:
            done = waiting.popleft().result()
            for piece in islice(remaining, 1):
                waiting.append(pool.submit(work, piece))
            yield done
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)
