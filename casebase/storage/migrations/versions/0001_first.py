"""The first schema: cases and their versions, vectors, probabilities, spaces, sources, runs, skipped files."""

import sqlalchemy as sa
from alembic import op

from casebase.storage.schema import PathName

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("started", sa.String(length=32), nullable=False),
        sa.Column("finished", sa.String(length=32), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=("pk_runs")),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=("pk_settings")),
    )
    op.create_table(
        "sources",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("relative", PathName(), nullable=False),
        sa.Column("absolute", PathName(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=("pk_sources")),
    )
    op.create_table(
        "spaces",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.JSON(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=("pk_spaces")),
    )
    op.create_table(
        "cases",
        sa.Column(
            "row",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("path", PathName(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=True),
        sa.Column("group", sa.Text(), nullable=True),
        sa.Column("predicted", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_mtime", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("pixel_hash", sa.String(length=32), nullable=False),
        sa.Column("look_hash", sa.String(length=16), nullable=False),
        sa.Column("classifier", sa.String(length=16), nullable=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source"], ["sources.number"], name=("fk_cases_source_sources")
        ),
        sa.PrimaryKeyConstraint("row", name=("pk_cases")),
        sa.UniqueConstraint("case_id", "status", name=("uq_cases_case_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cases_pixel_hash", "cases", ["pixel_hash"], unique=False)
    op.create_index(
        "ix_cases_status_predicted", "cases", ["status", "predicted"], unique=False
    )
    op.create_table(
        "skipped",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("path", PathName(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=("fk_skipped_run_runs")),
        sa.PrimaryKeyConstraint("run", "path", name=("pk_skipped")),
    )
    op.create_table(
        "probabilities",
        sa.Column(
            "row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("softmax", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["row"],
            ["cases.row"],
            name=("fk_probabilities_row_cases"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("row", name=("pk_probabilities")),
    )
    op.create_table(
        "vectors",
        sa.Column(
            "row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("space", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("norm", sa.Float(), nullable=False),
        sa.Column("crc", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["row"], ["cases.row"], name=("fk_vectors_row_cases"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("row", "space", name=("pk_vectors")),
    )
