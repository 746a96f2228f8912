"""Work that runs ahead: the same results in the same order, one at most waiting, and errors where they belong."""

from __future__ import annotations

import threading

import pytest

from casebase.explain.album import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order(count: int) -> None:
    assert list(ahead(lambda n: n * n, range(count))) == [n * n for n in range(count)]


def test_one_item_is_worked_on_by_the_caller() -> None:
    assert list(ahead(lambda _: threading.get_ident(), [0])) == [threading.get_ident()]


def test_the_next_result_is_made_while_one_is_in_use_and_no_more_than_that() -> None:
    begun: list[int] = []
    second = threading.Event()

    def work(n: int) -> int:
        begun.append(n)
        if n == 1:
            second.set()
        return n

    results = ahead(work, range(5))
    assert next(results) == 0
    assert second.wait(timeout=30)
    assert begun == [0, 1]
    assert list(results) == [1, 2, 3, 4]


def test_an_error_comes_after_the_results_before_it() -> None:
    def work(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        return n

    results = ahead(work, range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
