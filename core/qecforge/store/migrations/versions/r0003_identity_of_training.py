"""Runs are identified by what they train, and the time that was spent on them is kept.

The identity was that of the manifest with its evaluations. Of several runs that trained the same and were evaluated
otherwise the finished one, then the newest, is the one that is found from now on; the others keep the identity that
they had. The ids of all runs stay.

Revision 0003. A revision that was released is never altered: what changes comes as a new one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and identify runs anew."""
    connection = op.get_bind()
    # SQLite writes an added column behind the constraints; PostgreSQL need not copy the table.
    recreate: Literal["always", "never"] = "always" if connection.dialect.name == "sqlite" else "never"
    with op.batch_alter_table("runs", recreate=recreate) as table:
        table.add_column(sa.Column("spent", sa.Double(), nullable=True))
    runs = sa.table("runs", *map(sa.column, ("id", "identity", "manifest", "status", "created_at")))
    rows = connection.execute(
        sa.select(runs.c.id, runs.c.identity, runs.c.manifest).order_by(
            sa.case((runs.c.status == "finished", 0), else_=1), runs.c.created_at.desc(), runs.c.id
        )
    ).all()
    taken = {row.identity for row in rows}
    for row in rows:
        identity = _identity(row.manifest)
        if identity is None or identity in taken:
            continue
        taken.add(identity)
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(identity=identity))


def _identity(manifest: str) -> str | None:
    """Of a canonical manifest; None for a text that is none, whose run keeps what it has."""
    try:
        content = json.loads(manifest)
    except ValueError:
        return None
    if not isinstance(content, dict) or "evaluation" not in content:
        return None
    text = json.dumps(_trained(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _trained(content: dict[str, Any]) -> dict[str, Any]:
    """Without evaluations, nor those of the teacher that it describes."""
    found = {name: section for name, section in content.items() if name != "evaluation"}
    quantizer = content.get("quantizer")
    if not isinstance(quantizer, dict):
        return found
    teacher = quantizer.get("teacher")
    if isinstance(teacher, dict) and isinstance(teacher.get("manifest"), dict):
        found["quantizer"] = {**quantizer, "teacher": {**teacher, "manifest": _trained(teacher["manifest"])}}
    return found
