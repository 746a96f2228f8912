"""The case base on SQL, with a derived exact matrix and a derived Chroma index: the reading side.

SQL is the truth. A derived index answers only if its folder's name carries the generation and the digest that SQL has
now; otherwise it is rebuilt, or the truth is searched exactly and the answer says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Engine, func, select

from casebase.answers import Comparable
from casebase.association import Association
from casebase.cases import Case, Fingerprint, Status
from casebase.distance import Matrix, Vector
from casebase.evidence import EvidenceTable
from casebase.ports import Ball, Examined, Found, Where
from casebase.prototypes import PrototypeSet
from casebase.storage import association_rows, prototype_rows, rows
from casebase.storage.generation import Truth, View, matrix_place
from casebase.storage.schema import cases, spaces
from casebase.storage.snapshot import Snapshot
from casebase.storage.translate import sql_errors


class SqlCaseBase(Truth):
    """The ``CaseBase`` port over one folder. Every call is answered by the newest generation.

    Whoever asks several things that belong together takes a :meth:`snapshot`, which stays at one. Safe to share
    between threads.
    """

    def __init__(self, engine: Engine, folder: Path, *, readonly: bool, chroma_url: str | None = None) -> None:
        super().__init__(engine, folder, readonly=readonly, chroma_url=chroma_url)
        self._lock = threading.RLock()
        self._view: View | None = None

    def snapshot(self) -> Snapshot:
        """The newest generation, which this object goes on answering from whatever is published meanwhile."""
        return Snapshot(self, self.view())

    def spaces(self) -> Mapping[str, Fingerprint]:
        """Spaces in which every case has a vector."""
        return self.view().fingerprints

    def classes(self) -> Mapping[str, int]:
        """Active cases by predicted class."""
        return self.view().classes

    def count(self) -> int:
        """Number of active cases."""
        return sum(self.view().classes.values())

    def get(self, ids: Sequence[str]) -> Mapping[str, Case]:
        """Cases by id, whatever their status."""
        return self.snapshot().get(ids)

    def known_pixels(self, pixel_hash: str) -> Sequence[Case]:
        """Cases and held-out images with exactly these pixels."""
        return self.snapshot().known_pixels(pixel_hash)

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
        return self.snapshot().nearest(space, vector, k, where=where, within=within, weights=weights)

    def vectors(self, space: str, ids: Sequence[str]) -> Matrix:
        """Unit vectors of active cases."""
        return self.snapshot().vectors(space, ids)

    def percentile(self, space: str, predicted: str, similarity: float) -> float | None:
        """Share of the class's own pairs that are no more alike."""
        return self.snapshot().percentile(space, predicted, similarity)

    def comparable(self, space: str, predicted: str, distance: float) -> Comparable | None:
        """How usual a nearest-twin distance is."""
        return self.snapshot().comparable(space, predicted, distance)

    def evidence(self, space: str) -> EvidenceTable | None:
        """What is known of the held-out images."""
        return self.snapshot().evidence(space)

    def class_names(self) -> Sequence[str]:
        """The explained network's classes, in the order of stored probabilities."""
        return self.snapshot().class_names()

    def parts(self) -> Mapping[tuple[Status, str | None], int]:
        """Number of active cases and of held-out images, by status and split."""
        return self.snapshot().parts()

    def examined(self, space: str, status: Status, *, split: str | None = None) -> Iterator[Examined]:
        """Active cases or held-out images in blocks."""
        return self.snapshot().examined(space, status, split=split)

    def prototypes(self, profile: str | None = None) -> PrototypeSet | None:
        """The set of a profile; where none is named ``signed``, else ``classic``; None where there is none."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return prototype_rows.read(connection, profile)

    def prototype_profiles(self) -> list[str]:
        """Profiles that have a set, the one first that answers where none is named."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return prototype_rows.profiles(connection)

    def prototype_digest(self, profile: str | None = None) -> str | None:
        """What tells one set from another, without reading it; None where there is none."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return prototype_rows.digest(connection, profile)

    def association(self) -> Association | None:
        """The base's class association embedding; None where there is none."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return association_rows.read(connection)

    def association_digest(self) -> str | None:
        """What tells one embedding from another; None where there is none."""
        found = self.setting(association_rows.SETTING)
        return None if found is None else str(found["digest"])

    def narrower(self, pixels: int) -> int:
        """Number of active cases whose shorter side has fewer pixels."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            chosen = (
                select(func.count())
                .select_from(cases)
                .where(cases.c.status == Status.ACTIVE, (cases.c.width < pixels) | (cases.c.height < pixels))
            )
            return int(connection.execute(chosen).scalar_one())

    def declared(self, space: str) -> Fingerprint | None:
        """The fingerprint of a space, complete or not; None where it was never announced."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            found = connection.execute(select(spaces.c.fingerprint).where(spaces.c.name == space)).scalar()
        return None if found is None else Fingerprint.from_dict(found)

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

    def close_view(self) -> None:
        """Forget the opened generation; snapshots that are still in use keep theirs."""
        self._view = None

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            if self._view is not None and self._view.chroma is not None:
                self._view.chroma.close()
            self.close_view()
            self.engine.dispose()

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
