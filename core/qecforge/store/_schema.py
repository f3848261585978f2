"""The schema of a database: is it ours, is it current, bring it there.

Asking costs one or two queries; alembic is imported only where an older schema has to be migrated.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, column, inspect, select, table

from qecforge.errors import StoreError, one_line
from qecforge.store.models import Base

__all__ = ["REVISIONS", "VERSION_TABLE", "is_current", "is_empty", "upgrade"]

VERSION_TABLE = "qecforge_schema"
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every revision, oldest first; a test compares it with `migrations/versions`."""


def is_current(connection: Connection, place: str) -> bool:
    """Whether the database has the present schema; False where it is empty or of an older revision.

    Raises:
        StoreError: it is of a newer qecforge, or holds the tables of something else.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        clashing = sorted(tables & set(Base.metadata.tables))
        if clashing or (tables and connection.dialect.name == "sqlite"):
            raise StoreError(
                f"{place}: is a database, but not a qecforge store "
                f"(it has the tables {', '.join(sorted(tables)[:4])}): give another one"
            )
        return False
    revision = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    if revision is None:
        return False
    if revision not in REVISIONS and not (str(revision).isdecimal() and str(revision) > REVISIONS[-1]):
        raise StoreError(
            f"{place}: its schema is revision {one_line(revision, 40)!r}, which no qecforge has made "
            f"({REVISIONS[0]} to {REVISIONS[-1]} are known): restore a copy of the store"
        )
    if revision not in REVISIONS:
        raise StoreError(
            f"{place}: its schema is revision {revision}, made by a newer qecforge; this one knows up to "
            f"{REVISIONS[-1]}: upgrade qecforge, or give another store"
        )
    return bool(revision == REVISIONS[-1])


def is_empty(connection: Connection) -> bool:
    """Whether no store was ever made in the database."""
    return VERSION_TABLE not in inspect(connection).get_table_names()


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the connection's open transaction. An empty database gets the tables that
    they would leave at once, without alembic; a test compares the two."""
    if is_empty(connection):
        Base.metadata.create_all(connection)
        version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), nullable=False))
        version.append_constraint(PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"))
        version.create(connection)
        connection.execute(version.insert().values(version_num=REVISIONS[-1]))
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
