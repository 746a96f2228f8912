"""Counts and sizes of a case base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import case, func, select

from casebase.reuse import wilson
from casebase.storage import association_rows, prototype_rows, rows
from casebase.storage.schema import cases, runs, skipped, spaces
from casebase.storage.translate import sql_errors
from casebase.storage.writing import SqlCaseStore


@dataclass(frozen=True)
class Stats:
    """What ``casebase stats`` shows; ``to_dict`` is schema ``casebase.stats/1``."""

    cases: int
    statuses: Mapping[str, int]
    labels: Mapping[str, int]
    predicted: Mapping[str, int]
    splits: Mapping[str, Mapping[str, Any]]
    spaces: Mapping[str, Mapping[str, Any]]
    classifier: Mapping[str, Any]
    sizes: Mapping[str, int]
    generation: int
    skipped: Sequence[Mapping[str, str]]
    prototypes: Sequence[Mapping[str, Any]] = ()
    association: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The statistics as JSON."""
        return {
            "schema": "casebase.stats/1", "cases": self.cases, "statuses": dict(self.statuses),
            "labels": dict(self.labels), "predicted": dict(self.predicted), "splits": dict(self.splits),
            "spaces": dict(self.spaces), "classifier": dict(self.classifier), "bytes": dict(self.sizes),
            "generation": self.generation, "fingerprint": self.classifier.get("fingerprint"),
            "skipped": list(self.skipped), "prototypes": [dict(one) for one in self.prototypes],
            "cae": None if self.association is None else dict(self.association),
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(f"<tr><th scope='row'>{escape(k)}<td>{escape(str(v))}" for k, v in self.to_dict().items())
        return f"<table>{cells}</table>"


def stats(store: SqlCaseStore) -> Stats:
    """Read the counts; nothing is changed."""
    view = store.view()
    with sql_errors(str(store.folder)), store.engine.connect() as connection:
        held = select(cases.c.status, func.count()).group_by(cases.c.status)
        statuses = {str(status): count for status, count in connection.execute(held)}
        split_rows = connection.execute(
            select(
                cases.c.split, cases.c.status, func.count(),
                func.sum(case((cases.c.label == cases.c.predicted, 1), else_=0)),
            )
            .where(cases.c.status.in_(rows.LIVE))
            .group_by(cases.c.split, cases.c.status)
        ).all()  # fmt: skip
        stored = connection.execute(select(spaces)).all()
        last = connection.execute(select(func.max(runs.c.number))).scalar()
        parts = prototype_rows.outline(connection)
        embedding = association_rows.outline(connection)
        bad = connection.execute(select(skipped.c.path, skipped.c.reason).where(skipped.c.run == last)).all()
    splits = {}
    for split, status, count, agreed in split_rows:
        low, high = wilson(int(agreed), count)
        splits[f"{split or 'no split'}{' (held out)' if status == 'held_out' else ''}"] = {
            "images": count, "agree": int(agreed) / count, "low": low, "high": high,
        }  # fmt: skip
    return Stats(
        cases=sum(view.classes.values()),
        statuses=statuses,
        labels=store.labels(),
        predicted=dict(view.classes),
        splits=splits,
        spaces={row.name: {"ready": row.ready, "fingerprint": row.fingerprint, **row.facts} for row in stored},
        classifier=store.setting("classifier") or {},
        sizes={name: _size(store.folder / name) for name in ("cases.db", "chroma", "matrix", "models", "thumbnails")},
        generation=view.generation,
        skipped=[{"path": row.path, "reason": row.reason} for row in bad],
        prototypes=parts,
        association=embedding,
    )


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(child.stat().st_size for child in path.rglob("*") if child.is_file())
