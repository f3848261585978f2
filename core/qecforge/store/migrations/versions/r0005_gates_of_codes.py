"""The fewest gates of each code stand with the code, and an index holds all that codes are chosen and sorted
by: a page of any listing reads no rows but its own.

Revision 0005. A revision that was released is never altered: what changes comes as a new one.
"""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COUNTS = ("gate_count", "two_qubit_gate_count")
_LISTED = ("n", "k", "distance_lower", "distance_upper", "distance_kind", *_COUNTS, "created_at", "id")


def upgrade() -> None:
    """Add the columns and fill them; the new index replaces the one that it begins with."""
    # SQLite writes an added column behind the constraints; PostgreSQL need not copy the table.
    recreate: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("codes", recreate=recreate) as table:
        for name in _COUNTS:
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
    codes = sa.table("codes", *map(sa.column, ("id", *_COUNTS)))
    discoveries = sa.table("discoveries", *map(sa.column, ("code_id", *_COUNTS)))
    fewest = {
        name: sa.select(sa.func.min(discoveries.c[name])).where(discoveries.c.code_id == codes.c.id).scalar_subquery()
        for name in _COUNTS
    }
    op.execute(sa.update(codes).values(fewest))
    op.drop_index(op.f("ix_codes_n_k_distance_lower"), table_name="codes")
    op.create_index(op.f("ix_codes_listed"), "codes", list(_LISTED), unique=False)
    op.create_index(op.f("ix_codes_gate_count_id"), "codes", ["gate_count", "id"], unique=False)
