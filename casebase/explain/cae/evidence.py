"""Walks for many answers together: their images are encoded, rebuilt and judged in shared forward passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from casebase.errors import CasebaseError
from casebase.explain.cae import walk_words
from casebase.explain.cae.walking import End, Walker, starts
from casebase.explain.work import Work, looked_at
from casebase.explanations import Pixels
from casebase.ports import AssociationView


class Walks:
    """The class association embedding of one network, asked about many answers."""

    def __init__(self, view: AssociationView) -> None:
        self.view = view

    def add(self, works: Sequence[Work], views: Mapping[str, Pixels], frames: int) -> None:
        """Give each answer the walk to the rival that is shown first, or the sentence why it has none.

        ``views`` are the network's views of pictures by their pixels, those of the retrieved cases among them.
        """
        found = self.view.found
        if not found.trustworthy:
            for work in works:
                work.no_walk = walk_words.no_walk(found.failed)
            return
        asked = []
        for work in works:
            rival = rival_of(work)
            if rival is None:
                work.no_walk = walk_words.no_rival()
            elif rival not in found.classes:
                work.no_walk = walk_words.missing_class(rival, found)
            elif work.query is None:
                work.no_walk = walk_words.no_picture()
            else:
                asked.append((work, rival))
        if asked:
            self._walk(asked, views, frames)

    def _walk(self, asked: Sequence[tuple[Work, str]], views: Mapping[str, Pixels], frames: int) -> None:
        try:
            walker = Walker(self.view, frames=frames)
            begun = starts(
                self.view, np.stack([views[work.query_key] for work, _ in asked]),
                [work.retrieval.prediction.predicted for work, _ in asked],
            )  # fmt: skip
            for (work, rival), start in zip(asked, begun, strict=True):
                work.walk = walker.walk(start, rival, self._end(work, rival, views))
        except CasebaseError as error:  # nobody asked for walks: said, and left out
            for work, _ in asked:
                if work.walk is None:
                    work.no_walk = walk_words.failed_walk(str(error))

    def _end(self, work: Work, rival: str, views: Mapping[str, Pixels]) -> End | None:
        """The nearest real case of the rival class, where its picture is at hand: what a walk should lead to."""
        row = next(iter(work.retrieval.of_rival(rival)), None)
        view = None if row is None else views.get(row.case.pixel_hash)
        if row is None or view is None:
            return None
        return End(row.case.id, self.view.codes(np.stack([view]))[0])


def rival_of(work: Work) -> str | None:
    """The class a walk leads to: the first rival shown that is not what the network itself says."""
    answer = work.retrieval
    others = [*looked_at(answer), answer.called]
    return next((name for name in others if name != answer.prediction.predicted), None)
