"""Connections to a store's database: how SQLite is set up, how transactions begin, what errors become.

SQLite runs in write-ahead-log mode with foreign keys on and `synchronous=FULL`: what a call has acknowledged is on the
disk. Every writing transaction begins with `BEGIN IMMEDIATE`, so it waits for its turn (up to `BUSY_SECONDS`) before
it has read anything and never has to give up half-way; readers see one snapshot and neither wait nor block.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import QueuePool, StaticPool

from qecforge.errors import MissingDependency, StoreError
from qecforge.store import _schema

__all__ = ["BUSY_SECONDS", "Database", "parse_url"]

BUSY_SECONDS = 120.0
"""How long a transaction waits for its turn before it reports the database as locked."""

_WRITES = "qecforge_writes"
_MIGRATION_LOCK = 0x71656366  # "qecf", the key of PostgreSQL's advisory lock


def parse_url(url: str | os.PathLike[str]) -> URL:
    """The database that `url` names; SQLite file names become absolute, so that they survive a change of folder.

    Raises:
        StoreError: not a URL.
    """
    if isinstance(url, os.PathLike):
        return URL.create("sqlite", database=str(Path(url).absolute()))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        is_file_name = bool(url) and url.isprintable() and "://" not in url
        hint = f"sqlite:///{url}" if is_file_name else "sqlite:///results.db"
        raise StoreError(f"store {url!r}: not a database URL: write {hint} for a file") from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        if parsed.query or parsed.get_driver_name() != "pysqlite":
            raise StoreError(f"store {url!r}: SQLite drivers and options cannot be chosen: write sqlite:///FILE")
        if parsed.database and parsed.database != ":memory:":
            parsed = parsed.set(database=str(Path(parsed.database).expanduser().absolute()))
        else:
            parsed = parsed.set(database=None)
    return parsed


class Database:
    """One database. Safe to share between threads, and to use after a fork (the child gets connections of its own).

    Args:
        url: From `parse_url`.
        read_only: Refuse to write, create or migrate.
        create: Make the database where it is missing.

    Raises:
        StoreError: it cannot be opened, is not a store, or is of a newer schema.
    """

    def __init__(self, url: URL, *, read_only: bool = False, create: bool = True) -> None:
        self.url, self.read_only, self.create = url, read_only, create
        is_sqlite = url.get_backend_name() == "sqlite"
        self.path = Path(url.database) if is_sqlite and url.database else None
        self.in_memory = is_sqlite and self.path is None
        self.place = str(self.path) if self.path else url.render_as_string(hide_password=True)
        self._abandoned: list[Engine] = []
        # An in-memory database is one connection: its threads take turns.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.in_memory else nullcontext()
        self._check_file()
        self._pid = os.getpid()
        self._current: Engine | None = self._connect()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        engine = self._engine()
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with self._turn, self._errors(), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: all of it is on the disk afterwards, or nothing of it."""
        if self.read_only:
            raise StoreError(f"{self.place}: opened read-only: open it without read_only to write")
        engine = self._engine().execution_options(**{_WRITES: True})
        with self._turn, self._errors(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections. A closed database refuses further use."""
        engine, self._current = self._current, None
        if engine is not None and self._pid == os.getpid():
            engine.dispose()

    def _engine(self) -> Engine:
        if self._current is None:
            raise StoreError(f"{self.place}: the store was closed: open it again")
        if self._pid != os.getpid():
            if self.in_memory:
                raise StoreError("an in-memory store stays in the process that made it: use a file")
            # Connections made before a fork belong to the parent: keep them from being closed here.
            self._abandoned.append(self._current)
            self._pid, self._current = os.getpid(), self._connect()
        return self._current

    def _connect(self) -> Engine:
        if self.url.get_backend_name() == "sqlite":
            return _sqlite_engine(self.path, read_only=self.read_only)
        try:
            return create_engine(self.url, pool_pre_ping=True)
        except (NoSuchModuleError, ImportError) as error:
            if self.url.get_backend_name() == "postgresql":
                raise MissingDependency(
                    f"store {self.place}: psycopg is not installed: pip install 'qecforge[postgresql]'"
                ) from error
            raise StoreError(f"store {self.place}: no driver for {self.url.drivername} ({error})") from error

    def _check_file(self) -> None:
        """What SQLite would report obscurely, or not before the first write."""
        if self.path is None:
            if self.read_only and self.in_memory:
                raise StoreError("an in-memory store cannot be read-only: name a file")
            return
        folder = self.path.parent
        if self.path.is_dir():
            raise StoreError(
                f"{self.place}: is a folder: give the name of a file in it, such as {self.place}/results.db"
            )
        if not self.path.exists():
            if self.read_only or not self.create:
                raise StoreError(f"{self.place}: no such store: check the name, or make one with `qecforge run`")
            if not folder.is_dir():
                raise StoreError(f"{self.place}: its folder {folder} does not exist: make it first")
        elif not os.access(self.path, os.R_OK):
            raise StoreError(f"{self.place}: cannot be read: give yourself the permission (chmod u+r)")
        elif not _is_empty_or_sqlite(self.path):  # SQLite itself would overwrite a file of a few bytes
            raise StoreError(f"{self.place}: is not a qecforge store (not an SQLite file): give another one")
        if not self.read_only and not os.access(self.path if self.path.exists() else folder, os.W_OK):
            raise StoreError(f"{self.place}: is read-only: make it writable (chmod u+w), or give another store")
        if not self.read_only and not os.access(folder, os.W_OK):
            raise StoreError(f"{self.place}: its folder {folder} is read-only: make it writable, or give another store")

    def _prepare(self) -> None:
        with self.reading() as connection:
            current = _schema.is_current(connection, self.place)
        if self.read_only:
            if not current:
                raise StoreError(
                    f"{self.place}: empty, or of an older schema, and opened read-only: open it once without read_only"
                )
            return
        if self.path is not None:
            self._use_write_ahead_log()
        if current:
            return
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            if not _schema.is_current(connection, self.place):  # another process may have been first
                _schema.upgrade(connection)

    def _use_write_ahead_log(self) -> None:
        """Switch the journal mode, which stays with the file. SQLite does not queue for this one: try until free."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._errors(), self._engine().connect() as connection:
                    driver = connection.connection.driver_connection
                    if driver is None:
                        raise StoreError(f"{self.place}: the connection was lost: try again")
                    (mode,) = driver.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise StoreError(self._explain(str(error))) from error
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise StoreError(
                    f"{self.place}: this file system has no write-ahead log for SQLite (mode {mode}): use a local disk"
                )
            return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._explain(str(error.orig))) from error

    def _explain(self, message: str) -> str:
        for symptom, remedy in _REMEDIES.items():
            if re.search(symptom, message):
                return f"{self.place}: {remedy}"
        return f"{self.place}: {_first_line(message)}"


_REMEDIES = {
    "file is not a database": "is not a qecforge store (not an SQLite file): give another one",
    "malformed": "is damaged (malformed disk image): restore a copy, or recover it with `sqlite3 FILE .recover`",
    "disk is full": "the disk is full: free space and run again (nothing was half-written)",
    "readonly database": "is read-only: make the file and its folder writable, or give another store",
    "unable to open": "cannot be opened: check that the file and its folder can be read and written",
    "database is locked": f"another program has kept it locked for {BUSY_SECONDS:.0f} s: close that one and run again",
    "disk I/O error": "the disk reports an error: check it, or give another store",
    "[Cc]onnection refused": "no server answers there: start it, or check host and port",
    'database ".*" does not exist': "no such database on this server: create it first (createdb)",
    "password authentication failed": "the server refuses this user and password: check the URL",
}


def _sqlite_engine(path: Path | None, *, read_only: bool) -> Engine:
    name = ":memory:" if path is None else f"file:{quote(str(path))}?mode={_mode(path, read_only=read_only)}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            name, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    pool: dict[str, Any] = {"poolclass": StaticPool} if path is None else {"poolclass": QueuePool, "max_overflow": -1}
    engine = create_engine("sqlite://", creator=connect, **pool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _mode(path: Path, *, read_only: bool) -> str:
    if not read_only:
        return "rwc"
    # To read a write-ahead log SQLite must share files beside the database. Where the folder cannot be written and no
    # log is there, nobody is writing, and the file can be read as it stands.
    log = path.with_name(f"{path.name}-wal")
    return "ro" if log.exists() or os.access(path.parent, os.W_OK) else "ro&immutable=1"


def _is_empty_or_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) in (b"", b"SQLite format 3\0")


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
