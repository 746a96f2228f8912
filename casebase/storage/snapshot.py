"""One generation of a case base, answering questions: whatever a writer publishes meanwhile does not leak in.

Rows come from SQL, positions from the generation's matrix. Where SQL has moved on between the two, ``Moved`` is raised
and the question is put again to the newest generation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from casebase.answers import Comparable
from casebase.cases import Case, Fingerprint, Status
from casebase.distance import Matrix, Vector, check_query
from casebase.errors import Locked, Moved, NotFound, StorageFailed, UsageError
from casebase.evidence import EvidenceTable
from casebase.ports import Ball, Examined, Found, Hit, Where
from casebase.spaces import CONTRIBUTION, absent, stored_space
from casebase.storage import derived, evidence_file, rows
from casebase.storage.chroma import ChromaIndex
from casebase.storage.generation import Truth, View
from casebase.storage.matrix import ExactIndex, check, classes_of
from casebase.storage.translate import sql_errors
from casebase.storage.yardstick import Yardstick, load

RECALL_BOUND = 0.99
SELF_HEALING_ROWS = 20_000
"""Up to this many vectors a damaged Chroma index is rebuilt on the way (seconds); above, the user is asked to."""
MOST_REMEMBERED = 20_000


class Snapshot:
    """The reading half of the ``CaseBase`` port over one opened generation. Safe to share between threads."""

    def __init__(self, truth: Truth, view: View) -> None:
        self._truth = truth
        self._view = view

    def snapshot(self) -> Snapshot:
        """Itself: a generation does not change."""
        return self

    def spaces(self) -> Mapping[str, Fingerprint]:
        """Spaces in which every case has a vector."""
        return self._view.fingerprints

    def classes(self) -> Mapping[str, int]:
        """Active cases by predicted class."""
        return self._view.classes

    def count(self) -> int:
        """Number of active cases."""
        return sum(self._view.classes.values())

    def get(self, ids: Sequence[str]) -> Mapping[str, Case]:
        """Cases by id, whatever their status."""
        view = self._view
        with view.lock:
            found = {i: view.cases[i] for i in ids if i in view.cases}
            missing = [i for i in ids if i not in found]
            if missing:
                with self._reading() as connection:
                    fresh = rows.cases_of(connection, missing, view.places)
                if len(view.cases) > MOST_REMEMBERED:
                    view.cases.clear()
                view.cases.update({i: c for i, c in fresh.items() if c.status in rows.LIVE})
                found |= fresh
        return found

    def known_pixels(self, pixel_hash: str) -> Sequence[Case]:
        """Cases and held-out images with exactly these pixels."""
        with self._reading() as connection:
            return rows.cases_with_pixels(connection, pixel_hash, self._view.places)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A read transaction that sees this generation, or ``Moved``."""
        with sql_errors(str(self._truth.folder)), self._truth.engine.connect() as connection:
            if rows.stamp(connection) != (self._view.generation, self._view.digest):
                raise Moved("the case base was changed while it was asked; ask again")
            yield connection

    def nearest(
        self,
        space: str,
        vector: Vector,
        k: int,
        *,
        where: Where = Where(),
        within: Ball | None = None,
        weights: Vector | None = None,
    ) -> Found:
        """The nearest cases; the unfiltered list comes from Chroma where it agrees with the exact scan."""
        with self._view.lock:
            index = self._exact(space)
            query = check_query(vector, index.rows.shape[1])
            inside = None if within is None else (check_query(within.centre, len(query)), within.radius)
            exact = index.search(query, k, where.predicted, inside, weights)
            served, recall, warning = "exact", 1.0, None
            if where.predicted is None and within is None and weights is None:
                served, recall, warning = self._through_chroma(space, query, exact)
            held = self.get([name for name, _ in exact])
        strays = [name for name, _ in exact if name not in held or held[name].status != Status.ACTIVE]
        if strays:
            raise StorageFailed(f"the indexes hold {strays[0]!r}, which is no case any more; run `casebase repair`")
        return Found(tuple(Hit(held[name], distance) for name, distance in exact), served, recall, warning)

    def vectors(self, space: str, ids: Sequence[str]) -> Matrix:
        """Unit vectors of active cases."""
        with self._view.lock:
            index = self._exact(space)
            at = index.positions(ids)
            if (at < 0).any():
                raise NotFound(f"no active case {ids[int(np.argmin(at))]!r} in this case base")
            return np.array(index.rows[at], dtype=np.float32)

    def percentile(self, space: str, predicted: str, similarity: float) -> float | None:
        """Share of the class's own pairs that are no more alike; None for ``contribution``, which has no reference."""
        return None if space == CONTRIBUTION else self._yardstick(space).percentile(predicted, similarity)

    def comparable(self, space: str, predicted: str, distance: float) -> Comparable | None:
        """How usual a nearest-twin distance is; None for ``contribution``."""
        return None if space == CONTRIBUTION else self._yardstick(space).comparable(predicted, distance)

    def evidence(self, space: str) -> EvidenceTable | None:
        """What is known of the held-out images; read or measured once, then remembered."""
        view = self._view
        if space not in view.fingerprints:
            return None
        with view.lock:
            if space not in view.evidence:
                index = self._exact(space)
                table = evidence_file.load(view.matrix, space)
                if table is None:
                    table = derived.build_evidence(self._truth, view, space, index)
                view.evidence[space] = table
            return view.evidence[space]

    def class_names(self) -> Sequence[str]:
        """The explained network's classes, in the order of stored probabilities."""
        with self._reading() as connection:
            return list(rows.setting(connection, "classifier", {}).get("classes", ()))

    def parts(self) -> Mapping[tuple[Status, str | None], int]:
        """Number of active cases and of held-out images, by status and split."""
        with self._reading() as connection:
            return rows.parts_of_set(connection)

    def examined(self, space: str, status: Status, *, split: str | None = None) -> Iterator[Examined]:
        """Active cases or held-out images in blocks, in order of their rows."""
        name = stored_space(space)
        if name not in self._view.fingerprints:
            raise UsageError(absent(space, self._view.fingerprints))
        dim, classes = self._view.fingerprints[name].dim, len(self.class_names())
        with self._reading() as connection:
            yield from rows.stream_examined(connection, name, dim, classes, status, split, self._view.places)

    def _exact(self, space: str) -> ExactIndex:
        view = self._view
        name = stored_space(space)
        if name not in view.fingerprints:
            raise UsageError(absent(space, view.fingerprints))
        if name not in view.exact:
            view.exact[name] = self._open_or_rebuild(view, name)
        return view.exact[name]

    def _open_or_rebuild(self, view: View, space: str) -> ExactIndex:
        dim = view.fingerprints[space].dim
        try:
            check(view.matrix, space)
            return ExactIndex(view.matrix, space, dim)
        except StorageFailed:
            view.matrix = derived.build_matrix(self._truth, view)
            return ExactIndex(view.matrix, space, dim)

    def matrix_folder(self) -> Path:
        """Where the view's matrix is; it is built first where it is missing."""
        for space in self._view.fingerprints:
            self._exact(space)
        return self._view.matrix

    def _yardstick(self, space: str) -> Yardstick:
        view = self._view
        if space not in view.yardsticks:
            self._exact(space)
            try:
                view.yardsticks[space] = load(view.matrix, space, classes_of(view.matrix))
            except (OSError, ValueError, KeyError) as error:
                raise StorageFailed(
                    f"the yardstick at {view.matrix} is damaged ({error}); run `casebase repair`"
                ) from error
        return view.yardsticks[space]

    def _through_chroma(
        self, space: str, query: Vector, exact: Sequence[tuple[str, float]]
    ) -> tuple[str, float, str | None]:
        """Ask Chroma for the unfiltered list and hold it against the exact one: (index, recall, warning)."""
        view = self._view
        audit = view.audits.get(space, {})
        recall = audit.get("nearest")
        if not exact or (recall is not None and recall < RECALL_BOUND):
            return "exact", 1.0, None
        index = self.chroma()
        if index is None:
            return "exact", 1.0, f"Chroma did not serve this answer ({view.chroma_problem}); the search was exact"
        try:
            found = index.search(space, query, len(exact))
        except StorageFailed as error:
            view.chroma_problem = str(error)
            return "exact", 1.0, f"Chroma did not serve this answer ({error}); the search was exact"
        farthest = exact[-1][1] + 1e-5
        agreed = sum(distance <= farthest for _, distance in found)
        if agreed < len(exact):
            return "exact", 1.0, None
        healed, view.healed = view.healed, None
        return "chroma", 1.0 if recall is None else float(recall), healed

    def chroma(self) -> ChromaIndex | None:
        """The Chroma index of this generation; None where it is missing or damaged and could not be rebuilt here."""
        view = self._view
        if view.chroma is not None or view.chroma_problem is not None:
            return view.chroma
        if self._truth.readonly and self._truth.chroma_url is None:
            view.chroma_problem = "it works in no read-only folder"
            return None
        try:
            view.chroma = derived.open_chroma(self._truth, view)
        except StorageFailed as problem:
            try:
                if self._truth.readonly or sum(view.classes.values()) > SELF_HEALING_ROWS:
                    raise StorageFailed(f"{problem}; run `casebase repair`") from problem
                self.matrix_folder()
                derived.heal_chroma(self._truth, view)
                view.chroma = derived.open_chroma(self._truth, view)
                view.healed = f"{problem}; it was rebuilt from cases.db"
            except (StorageFailed, Locked) as error:
                view.chroma_problem = str(error)
        return view.chroma
