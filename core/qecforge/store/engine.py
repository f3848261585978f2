"""Connections to a store's database: transactions that read or write, the schema brought up to date, and errors in
one line that says what to do."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError

from qecforge.errors import OlderSchema, StoreError, one_line
from qecforge.machine.extras import missing_dependency
from qecforge.machine.masking import MASK, masked
from qecforge.store import _schema, _sqlite
from qecforge.store._turns import Turns

__all__ = ["BUSY_SECONDS", "Database", "parse_url"]

BUSY_SECONDS = 120.0
"""How long a transaction waits for its turn before it reports the database as locked."""

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
        if "@" in url:  # an account without its scheme: nothing of it is shown
            told = f"{MASK}@{url.rpartition('@')[2]}"
            raise StoreError(
                f"store {told!r}: not a database URL: write its scheme first, such as postgresql://"
            ) from None
        is_file_name = bool(url) and url.isprintable() and "://" not in url
        hint = masked(f"sqlite:///{url}") if is_file_name else "sqlite:///results.db"
        raise StoreError(f"store {masked(url)!r}: not a database URL: write {hint} for a file") from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return _of_sqlite(url, parsed) if parsed.get_backend_name() == "sqlite" else parsed


def _of_sqlite(url: str, parsed: URL) -> URL:
    if "?" in url or parsed.get_driver_name() != "pysqlite":
        raise StoreError(
            f"store {masked(url)!r}: SQLite drivers and options (what follows a ?) cannot be chosen: write sqlite:///FILE"
        )
    if parsed.host or parsed.username or parsed.port:
        raise StoreError(f"store {masked(url)!r}: SQLite has no host: write sqlite:///FILE, with three slashes")
    if parsed.database and parsed.database != ":memory:":
        return parsed.set(database=str(Path(parsed.database).expanduser().absolute()))
    return URL.create("sqlite")  # `set` cannot take a database away


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
        self.place = str(self.path) if self.path else masked(url.render_as_string(hide_password=True))
        self._abandoned: list[Engine] = []
        self._turns = None if self.path is None else Turns(self.path.with_name(f"{self.path.name}-turns"))
        # An in-memory database is one connection: its threads take turns.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.in_memory else nullcontext()
        if self.path is not None:
            _sqlite.check_file(self.path, read_only=read_only, create=create)
        elif self.in_memory and (read_only or not create):
            raise StoreError("a store in memory begins empty, so there is nothing to read: name a file, sqlite:///FILE")
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
        """A transaction that may write: all of it is on the disk afterwards, or nothing of it. Of an SQLite file,
        writers come in the order in which they ask."""
        if self.read_only:
            raise StoreError(f"{self.place}: opened read-only: open it without read_only to write")
        engine = self._engine().execution_options(**{_sqlite.WRITES: True})
        with self._turn, self._queued(), self._errors(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections. A closed database refuses further use."""
        engine, self._current = self._current, None
        if engine is not None and self._pid == os.getpid():
            engine.dispose()
            if self._turns is not None and not self.read_only:
                self._turns.remove()

    def _queued(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.turn(BUSY_SECONDS)

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
            return _sqlite.create_sqlite_engine(self.path, read_only=self.read_only, busy_seconds=BUSY_SECONDS)
        try:
            return create_engine(self.url, pool_pre_ping=True)
        except (NoSuchModuleError, ImportError) as error:
            if self.url.get_backend_name() == "postgresql":
                raise missing_dependency(f"store {self.place}", "psycopg", "postgresql") from error
            raise StoreError(
                f"store {self.place}: no driver for {self.url.drivername} ({masked(str(error))}): "
                "install one, or give sqlite:///FILE or postgresql://HOST/NAME"
            ) from error

    def _prepare(self) -> None:
        with self.reading() as connection:
            current = _schema.is_current(connection, self.place)
            empty = not current and _schema.is_empty(connection)
        if self.read_only:
            if empty:
                raise StoreError(f"{self.place}: empty, and opened read-only: open it once without read_only")
            if not current:
                raise OlderSchema(
                    f"{self.place}: of an older schema, and opened read-only: open it once without read_only"
                )
            return
        with self._errors():
            if self.path is not None:
                _sqlite.use_write_ahead_log(self._engine(), self.path, BUSY_SECONDS)
            if not current:
                self._migrate()

    def _migrate(self) -> None:
        """Bring the schema to the present, in one transaction. Of many processes that come at once, one does it."""
        engine = self._engine().execution_options(**{_sqlite.WRITES: True})
        with self._queued(), engine.connect() as connection:
            is_sqlite = connection.dialect.name == "sqlite"
            with _sqlite.foreign_keys_off(connection) if is_sqlite else nullcontext(), connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                if _schema.is_current(connection, self.place):
                    return
                _schema.upgrade(connection)
                if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    raise StoreError(f"{self.place}: the migration would leave rows without their owner: report this")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._explain(str(error.orig))) from error
        except StatementError as error:  # a value that its column cannot take, or that cannot be one of it
            raise StoreError(self._explain(str(error.orig))) from error
        except sqlite3.Error as error:
            raise StoreError(self._explain(str(error))) from error
        except OverflowError as error:
            raise StoreError(f"{self.place}: a number has more than 64 bits: give a smaller one") from error
        except UnicodeEncodeError as error:
            raise StoreError(
                f"{self.place}: the text {one_line(error.object, 100)!r} is not Unicode, which a store keeps: give "
                "another one"
            ) from error
        except UnicodeError as error:  # of a host's name
            raise StoreError(f"{self.place}: no host can have this name ({error}): correct the URL") from error

    def _explain(self, message: str) -> str:
        for symptom, remedy in _REMEDIES.items():
            if re.search(symptom, message):
                return f"{self.place}: {remedy}"
        return f"{self.place}: {masked(_first_line(message), _secrets(self.url))}"


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


def _secrets(url: URL) -> list[str]:
    """What a driver must not be quoted with."""
    values = [url.password or "", *(value for key, value in url.query.items() if "pass" in key.lower())]
    return [value for value in values if isinstance(value, str)]


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
