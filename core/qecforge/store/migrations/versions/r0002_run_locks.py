"""Locks of runs, which were files beside the checkpoints before.

Revision 0002. A revision that was released is never altered: what changes comes as a new one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qecforge.store.models import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of locks."""
    op.create_table(
        "run_locks",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("space", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_locks_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_locks")),
    )
    op.create_index(op.f("ix_run_locks_token"), "run_locks", ["token"], unique=False)
