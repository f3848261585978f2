"""How SQLite is set up: the file, the write-ahead log, transactions that wait for their turn.

The log with `synchronous=FULL` means that what a call has acknowledged is on the disk, through a kill or a power cut.
Every writing transaction begins with `BEGIN IMMEDIATE`: it waits for its turn before it has read anything, and never
has to give up half-way. Readers see one snapshot; they neither wait nor block.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from qecforge.errors import StoreError

__all__ = ["WRITES", "check_file", "create_sqlite_engine", "foreign_keys_off", "use_write_ahead_log"]

WRITES = "qecforge_writes"
"""Execution option of connections whose transactions write."""


_SMALLEST = 512
"""Bytes of one page: no database is smaller."""


def check_file(path: Path, *, read_only: bool, create: bool) -> None:
    """Refuse what SQLite would report obscurely, not before the first write, or not at all.

    The file is not opened: closing it would release the locks of every connection that this process has to it, and
    another process that takes itself for the last one would then clear the log under them.

    Raises:
        StoreError: the file cannot be a store here, in one line that says what to do.
    """
    folder = path.parent
    _check_name(path)
    if path.is_dir():
        raise StoreError(f"{path}: is a folder: give the name of a file in it, such as {path}/results.db")
    if not path.exists():
        if read_only or not create:
            raise StoreError(f"{path}: no such store: check the name, or make one with `qecforge run`")
        if not folder.is_dir():
            raise StoreError(f"{path}: its folder {folder} does not exist: make it first")
    elif not os.access(path, os.R_OK):
        raise StoreError(f"{path}: cannot be read: give yourself the permission (chmod u+r)")
    elif 0 < path.stat().st_size < _SMALLEST:  # SQLite itself would overwrite a file of a few bytes
        raise StoreError(f"{path}: is not a qecforge store (not an SQLite file): give another one")
    if read_only:
        return
    if path.exists() and not os.access(path, os.W_OK):
        raise StoreError(f"{path}: is read-only: make it writable (chmod u+w), or give another store")
    if not os.access(folder, os.W_OK):
        raise StoreError(f"{path}: its folder {folder} is read-only: make it writable, or give another store")


def _check_name(path: Path) -> None:
    """Refuse what no file can be named, its journal or its folder neither, and folders that cannot be looked into."""
    try:
        for name in (path, path.with_name(f"{path.name}-journal"), path.with_suffix(".artifacts")):
            with suppress(FileNotFoundError, NotADirectoryError):
                name.lstat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"{path}: cannot be opened ({reason}): give another file") from error


def create_sqlite_engine(path: Path | None, *, read_only: bool, busy_seconds: float) -> Engine:
    """Connections to a file, or to one in-memory database for `None`."""
    name = ":memory:" if path is None else f"file:{quote(os.fsencode(path))}?mode={_mode(path, read_only=read_only)}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            name, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA trusted_schema=OFF")  # of a file from elsewhere
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")  # refused with its row
        return connection

    pool: dict[str, Any] = {"poolclass": StaticPool} if path is None else {"poolclass": QueuePool, "max_overflow": -1}
    engine = create_engine("sqlite://", creator=connect, **pool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def use_write_ahead_log(engine: Engine, path: Path, busy_seconds: float) -> None:
    """Switch the journal mode, which stays with the file. SQLite does not queue for this: try until it is free.

    Raises:
        StoreError: the file system has no shared memory for the log.
        sqlite3.OperationalError: the file stayed locked, or cannot be written.
    """
    deadline = time.monotonic() + busy_seconds
    while True:
        with engine.connect() as connection:
            try:
                (mode,) = _driver(connection).execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            else:
                break
        time.sleep(0.01)
    if mode != "wal":
        raise StoreError(f"{path}: this file system has no write-ahead log for SQLite (mode {mode}): use a local disk")


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """For migrations: SQLite changes a table by making it anew, and dropping the old one must not take rows of other
    tables along. To be entered before the transaction begins."""
    driver = _driver(connection)
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _driver(connection: Connection) -> Any:
    """The `sqlite3.Connection` itself, whose statements begin no transaction."""
    return connection.connection.driver_connection


def _mode(path: Path, *, read_only: bool) -> str:
    if not read_only:
        return "rwc"
    # To read a write-ahead log SQLite must share files beside the database. Where the folder cannot be written and no
    # log is there, nobody is writing, and the file can be read as it stands.
    log = path.with_name(f"{path.name}-wal")
    return "ro" if log.exists() or os.access(path.parent, os.W_OK) else "ro&immutable=1"
