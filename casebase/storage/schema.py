"""The tables of ``cases.db``, the single source of truth.

A case keeps its ``case_id`` for ever; each *version* of it (a changed picture, a reading by another network) is a row
of its own. At most one row of a case has a given status, so a new version can wait as ``pending`` beside the active
one and replace it in one transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

REVISION = "0002"
"""The Alembic revision this code writes; an older store is upgraded, a newer one refused."""


class PathName(TypeDecorator[str]):
    """A file path as bytes: names that are not UTF-8 survive (surrogate escapes on the Python side)."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """To bytes, undoing the surrogate escapes."""
        return None if value is None else value.encode("utf-8", "surrogateescape")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """To text, with surrogate escapes for what is not UTF-8."""
        return None if value is None else bytes(value).decode("utf-8", "surrogateescape")


NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

BigKey = BigInteger().with_variant(Integer, "sqlite")

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("relative", PathName, nullable=False),  # of the root, as seen from the case base's folder
    Column("absolute", PathName, nullable=False),  # of the root, when it was last indexed
)

spaces = Table(
    "spaces",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("fingerprint", JSON, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("facts", JSON, nullable=False),  # engine, agreement of the precision, audit of the index
)

cases = Table(
    "cases",
    metadata,
    Column("row", BigKey, primary_key=True, autoincrement=True),
    Column("case_id", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("held_out", Boolean, nullable=False),
    Column("source", ForeignKey("sources.number"), nullable=False),
    Column("path", PathName, nullable=False),
    Column("label", Text, nullable=False),
    Column("split", Text),
    Column("group", Text),
    Column("predicted", Text),
    Column("confidence", Float),
    Column("file_size", BigInteger, nullable=False),
    Column("file_mtime", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("pixel_hash", String(32), nullable=False),
    Column("look_hash", String(16), nullable=False),
    Column("classifier", String(16)),
    Column("run", Integer, nullable=False),
    UniqueConstraint("case_id", "status"),
    Index("ix_cases_status_predicted", "status", "predicted"),
    Index("ix_cases_pixel_hash", "pixel_hash"),
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("row", ForeignKey("cases.row", ondelete="CASCADE"), primary_key=True),
    Column("space", String(64), primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # (D,) float32, little endian, unit length
    Column("norm", Float, nullable=False),  # vector * norm are the network's features
    Column("crc", BigInteger, nullable=False),  # zlib.crc32 of the blob
)

probabilities = Table(
    "probabilities",
    metadata,
    Column("row", ForeignKey("cases.row", ondelete="CASCADE"), primary_key=True),
    Column("softmax", LargeBinary, nullable=False),  # (C,) float32, in the order of settings.classifier.classes
)

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("command", Text, nullable=False),
    Column("started", String(32), nullable=False),
    Column("finished", String(32)),
    Column("summary", JSON),
)

skipped = Table(
    "skipped",
    metadata,
    Column("run", ForeignKey("runs.number"), primary_key=True),
    Column("path", PathName, primary_key=True),
    Column("reason", Text, nullable=False),
)

prototype_sets = Table(
    "prototype_sets",
    metadata,
    Column("profile", String(16), primary_key=True),
    Column("classifier", String(16), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the file with their vectors
    Column("facts", JSON, nullable=False),  # what the set says of itself beyond the other columns
    Column("created", String(32), nullable=False),
)

prototypes = Table(
    "prototypes",
    metadata,
    Column("profile", ForeignKey("prototype_sets.profile", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("of_class", Text, nullable=False),
    Column("case_id", String(16), nullable=False),  # no foreign key: a case may be withdrawn, its prototype says so
    Column("pixel_hash", String(32), nullable=False),  # of the case when the patch was taken
    Column("row", Integer, nullable=False),
    Column("column", Integer, nullable=False),
    Column("box_left", Float, nullable=False),  # edges of the cell as fractions of the network's view
    Column("box_top", Float, nullable=False),
    Column("box_right", Float, nullable=False),
    Column("box_bottom", Float, nullable=False),
    Column("weight", Float, nullable=False),
    Column("purity", Float),
    Column("purity_n", Integer, nullable=False),
    Column("decides", Float, nullable=False),
    Index("ix_prototypes_case_id", "case_id"),
)
