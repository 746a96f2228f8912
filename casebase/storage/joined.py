"""The case base on SQL, with a derived exact matrix and a derived Chroma index: the reading side.

SQL is the truth. A derived index answers only if its folder's name carries the generation and the digest that SQL has
now; otherwise it is rebuilt, or the truth is searched exactly and the answer says so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, func, select

from casebase.answers import Comparable
from casebase.cases import Case, Fingerprint, Status
from casebase.distance import Matrix, Vector, check_query
from casebase.errors import Locked, NotFound, StorageFailed, UsageError
from casebase.ports import Ball, Found, Hit, Where
from casebase.spaces import CONTRIBUTION, stored_space
from casebase.storage import derived, rows
from casebase.storage.chroma import ChromaIndex
from casebase.storage.generation import Truth, View, matrix_place
from casebase.storage.matrix import ExactIndex, check, classes_of
from casebase.storage.schema import cases, spaces
from casebase.storage.translate import sql_errors
from casebase.storage.yardstick import Yardstick, load

RECALL_BOUND = 0.99
SELF_HEALING_ROWS = 20_000
"""Up to this many vectors a damaged Chroma index is rebuilt on the way (seconds); above, the user is asked to."""


class SqlCaseBase(Truth):
    """The ``CaseBase`` port over one folder. Safe to share between threads; every answer is of one generation."""

    def __init__(self, engine: Engine, folder: Path, *, readonly: bool, chroma_url: str | None = None) -> None:
        super().__init__(engine, folder, readonly=readonly, chroma_url=chroma_url)
        self._lock = threading.RLock()
        self._view: View | None = None

    # -- what there is -------------------------------------------------------------------------------------------

    def spaces(self) -> Mapping[str, Fingerprint]:
        """Spaces whose vectors are complete."""
        return self.view().fingerprints

    def classes(self) -> Mapping[str, int]:
        """Active cases by predicted class."""
        return self._current().classes

    def count(self) -> int:
        """Number of active cases, looked up anew: a question begins with it and is answered from that generation."""
        return sum(self.view().classes.values())

    def get(self, ids: Sequence[str]) -> Mapping[str, Case]:
        """Cases by id, whatever their status."""
        view = self._current()
        missing = [i for i in ids if i not in view.cases]
        if missing:
            with sql_errors(str(self.folder)), self.engine.connect() as connection:
                found = rows.cases_of(connection, missing, view.places)
            if len(view.cases) > 20_000:
                view.cases.clear()
                found |= {i: view.cases[i] for i in ids if i in view.cases}
            view.cases.update({i: c for i, c in found.items() if c.status in rows.LIVE})
            return {i: c for i in ids if (c := found.get(i) or view.cases.get(i)) is not None}
        return {i: view.cases[i] for i in ids}

    def known_pixels(self, pixel_hash: str) -> Sequence[Case]:
        """Cases and held-out images with exactly these pixels."""
        view = self._current()
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return rows.cases_with_pixels(connection, pixel_hash, view.places)

    def declared(self, space: str) -> Fingerprint | None:
        """The fingerprint of a space, complete or not; None where it was never announced."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            found = connection.execute(select(spaces.c.fingerprint).where(spaces.c.name == space)).scalar()
        return None if found is None else Fingerprint.from_dict(found)

    # -- searching -----------------------------------------------------------------------------------------------

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
        with self._lock:
            index = self._exact(space)
            query = check_query(vector, index.rows.shape[1])
            inside = None if within is None else (check_query(within.centre, len(query)), within.radius)
            exact = index.search(query, k, where.predicted, inside, weights)
            served, recall, warning = "exact", 1.0, None
            if where.predicted is None and within is None and weights is None:
                served, recall, warning = self._through_chroma(space, query, exact)
            held = self.get([name for name, _ in exact])
        hits = tuple(Hit(held[name], distance) for name, distance in exact if name in held)
        return Found(hits, served, recall, warning)

    def vectors(self, space: str, ids: Sequence[str]) -> Matrix:
        """Unit vectors of active cases."""
        with self._lock:
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

    # -- the open generation -------------------------------------------------------------------------------------

    def view(self) -> View:
        """The current generation, reopened when SQL has moved on."""
        with self._lock, sql_errors(str(self.folder)), self.engine.connect() as connection:
            generation, digest = rows.stamp(connection)
            if self._view is not None and (self._view.generation, self._view.digest) == (generation, digest):
                return self._view
            self.close_view()
            ready = connection.execute(select(spaces).where(spaces.c.ready).order_by(spaces.c.name)).all()
            self._view = View(
                generation,
                digest,
                {row.name: Fingerprint.from_dict(row.fingerprint) for row in ready},
                {row.name: row.facts.get("audit", {}) for row in ready},
                rows.counts(connection),
                rows.roots(connection, self.folder),
                matrix_place(self.folder, generation, digest),
            )
            return self._view

    def _current(self) -> View:
        """The opened generation as it is: one question is answered from one generation, looked up when it begins."""
        return self._view or self.view()

    def close_view(self) -> None:
        """Let go of the opened indexes."""
        if self._view is not None and self._view.chroma is not None:
            self._view.chroma.close()
        self._view = None

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self.close_view()
            self.engine.dispose()

    def _exact(self, space: str) -> ExactIndex:
        view = self._current()
        name = stored_space(space)
        if name not in view.fingerprints:
            raise UsageError(f"no space {space!r} in this case base; it has {', '.join(view.fingerprints) or 'none'}")
        if name not in view.exact:
            view.exact[name] = self._open_or_rebuild(view, name)
        return view.exact[name]

    def _open_or_rebuild(self, view: View, space: str) -> ExactIndex:
        dim = view.fingerprints[space].dim
        try:
            check(view.matrix, space)
            return ExactIndex(view.matrix, space, dim)
        except StorageFailed:
            view.matrix = derived.build_matrix(self, view)
            return ExactIndex(view.matrix, space, dim)

    def matrix_folder(self, view: View) -> Path:
        """Where the view's matrix is; it is built first where it is missing."""
        for space in view.fingerprints:
            view.exact.setdefault(space, self._open_or_rebuild(view, space))
        return view.matrix

    def _yardstick(self, space: str) -> Yardstick:
        view = self._current()
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
        view = self._current()
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
        view = self._current()
        if view.chroma is not None or view.chroma_problem is not None:
            return view.chroma
        if self.readonly and self.chroma_url is None:
            view.chroma_problem = "it works in no read-only folder"
            return None
        try:
            view.chroma = derived.open_chroma(self, view)
        except StorageFailed as problem:
            try:
                if self.readonly or sum(view.classes.values()) > SELF_HEALING_ROWS:
                    raise StorageFailed(f"{problem}; run `casebase repair`") from problem
                self.matrix_folder(view)
                derived.heal_chroma(self, view)
                view.chroma = derived.open_chroma(self, view)
                view.healed = f"{problem}; it was rebuilt from cases.db"
            except (StorageFailed, Locked) as error:
                view.chroma_problem = str(error)
        return view.chroma

    def held_out(self) -> int:
        """Number of held-out images."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            chosen = select(func.count()).select_from(cases).where(cases.c.status == Status.HELD_OUT)
            return int(connection.execute(chosen).scalar_one())

    def labels(self) -> Mapping[str, int]:
        """Active cases by label."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            chosen = (
                select(cases.c.label, func.count())
                .where(cases.c.status == Status.ACTIVE)
                .group_by(cases.c.label)
                .order_by(cases.c.label)
            )
            return {row[0]: int(row[1]) for row in connection.execute(chosen)}

    def some_right_and_wrong(self) -> list[Case]:
        """An image whose prediction is its label and one whose is not: the surest of each.

        Held-out images come before cases. Either may be missing.
        """
        view = self.view()
        found = []
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            for right in (True, False):
                agrees = cases.c.label == cases.c.predicted
                chosen = (
                    select(*rows.CASE_COLUMNS)
                    .where(cases.c.status.in_(rows.LIVE), agrees if right else ~agrees)
                    .order_by(cases.c.status == Status.ACTIVE, cases.c.confidence.desc(), cases.c.case_id)
                    .limit(1)
                )
                found += [rows.to_case(row, view.places) for row in connection.execute(chosen)]
        return found
