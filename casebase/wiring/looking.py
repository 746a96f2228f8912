"""Images of a base as its network sees them, for what is learned from them: each file is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Case, Status
from casebase.commands import named
from casebase.errors import EmptyCaseBase
from casebase.indexer.views import Decoded, Seeing, decode
from casebase.networks.training_cases import TrainingCases, Views
from casebase.reading import printable
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.machine import workers

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork

READING = "reading"
"""The stage in which files are decoded."""


def active_cases(store: SqlCaseStore, what: str) -> tuple[list[Case], NDArray[np.float32]]:
    """All active cases, and what the network said of each ``(N, C)``, in the order of its classes.

    Raises ``EmptyCaseBase`` where there is none that ``what`` could be learnt from.
    """
    cases, answers = list[Case](), list[NDArray[np.float32]]()
    for block in store.examined(NETWORK_SPACE, Status.ACTIVE):
        cases += block.cases
        answers.append(block.probabilities)
    if not cases:
        raise EmptyCaseBase(
            f"{store.folder} holds no case to learn {what} from, only held-out images; "
            "run `casebase index DATA` on a set with training images"
        )
    return cases, np.concatenate(answers)


def images_of(store: SqlCaseStore, status: Status) -> list[Case]:
    """All active cases, or all held-out images."""
    return [case for block in store.examined(NETWORK_SPACE, status) for case in block.cases]


def looked_at(
    cases: Sequence[Case], network: ExplainedNetwork, settings: Settings, progress: Callable[[int, int], None]
) -> Decoded:
    """Every file decoded once; refused are those that are gone or show other pixels than when they were indexed."""
    seeing = Seeing(network.preprocess, workers(settings), settings.view_megabytes, settings.max_megapixels)
    return decode(
        [case.file for case in cases], seeing, lambda done, total, _: progress(done, total),
        [case.pixel_hash for case in cases],
    )  # fmt: skip


def first_refused(cases: Sequence[Case], decoded: Decoded) -> str:
    """The first file that was refused, and why."""
    row, reason = next(iter(decoded.refused.items()))
    return f"{printable(named(cases[row]))}: {reason}"


def to_learn_from(cases: Sequence[Case], views: Views, answers: NDArray[np.float32] | None = None) -> TrainingCases:
    """Cases with their views, and what the network said of them, in the same order."""
    return TrainingCases(
        views=views,
        ids=[case.id for case in cases],
        pixel_hashes=[case.pixel_hash for case in cases],
        labels=[case.label for case in cases],
        predicted=[case.predicted for case in cases],
        groups=[case.group for case in cases],
        answers=answers,
    )
