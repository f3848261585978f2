"""What alembic runs: migrate on the connection that it was given, inside the transaction that is open there."""

from __future__ import annotations

from alembic import context

from qecforge.store._schema import VERSION_TABLE
from qecforge.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
