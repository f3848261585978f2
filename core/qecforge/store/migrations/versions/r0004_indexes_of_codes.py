"""Indexes by which codes are listed: by the time that they were filed, and by the gates of their encoders.

Revision 0004. A revision that was released is never altered: what changes comes as a new one.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes; that by gates replaces the one by code alone."""
    op.create_index(op.f("ix_codes_created_at"), "codes", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_discoveries_code_id_gate_count_two_qubit_gate_count"),
        "discoveries",
        ["code_id", "gate_count", "two_qubit_gate_count"],
        unique=False,
    )
    op.drop_index(op.f("ix_discoveries_code_id"), table_name="discoveries")
