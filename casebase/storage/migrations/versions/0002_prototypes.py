"""Prototypes: one row for the set of each profile, one for each of its prototypes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; nothing that was there is touched."""
    op.create_table(
        "prototype_sets",
        sa.Column("profile", sa.String(length=16), nullable=False),
        sa.Column("classifier", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("profile", name=("pk_prototype_sets")),
    )
    op.create_table(
        "prototypes",
        sa.Column("profile", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("of_class", sa.Text(), nullable=False),
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("pixel_hash", sa.String(length=32), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("column", sa.Integer(), nullable=False),
        sa.Column("box_left", sa.Float(), nullable=False),
        sa.Column("box_top", sa.Float(), nullable=False),
        sa.Column("box_right", sa.Float(), nullable=False),
        sa.Column("box_bottom", sa.Float(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("purity", sa.Float(), nullable=True),
        sa.Column("purity_n", sa.Integer(), nullable=False),
        sa.Column("decides", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile"],
            ["prototype_sets.profile"],
            name=("fk_prototypes_profile_prototype_sets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("profile", "number", name=("pk_prototypes")),
    )
    op.create_index("ix_prototypes_case_id", "prototypes", ["case_id"], unique=False)
