"""Locks of runs: one process at a time carries a run out.

A lock says which process holds it, and how often that process has said that it is still there. Whether it is gone is
for `qecforge.runs.lock` to judge; here a lock is taken, kept and given back, each in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Row, delete, select, update

from qecforge.machine.processes import ProcessName
from qecforge.store import _sql
from qecforge.store._base import StoreBase
from qecforge.store._rows import checked
from qecforge.store.models import RunLockRow, RunRow
from qecforge.store.records import RunLock

__all__ = ["UNLOCKED_SECONDS", "LockStore", "locks_of"]

UNLOCKED_SECONDS = 60.0
"""How long a run may be `running` without a lock until its process is taken for gone: as long as a lock lasts without a
beat."""


class LockStore(StoreBase):
    """The part of `Store` that keeps locks of runs."""

    def take_run_lock(
        self, run_id: str, token: str, process: ProcessName, *, instead_of: RunLock | None = None
    ) -> RunLock:
        """Take a run's lock, if it is free, for `process`.

        Args:
            token: What the lock is known by; of the one who takes it alone.
            instead_of: A lock whose holder is gone: it is replaced, unless it has changed since it was read.

        Returns:
            The lock that the run has now; its token says whose it is.

        Raises:
            StoreError: no such run.
        """
        row = {
            "token": token,
            "host": process.host,
            "space": process.space,
            "pid": process.pid,
            "started": process.started,
            "beats": 0,
            "taken_at": _sql.now(),
        }
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            if instead_of is not None:
                gone = (RunLockRow.token == instead_of.token) & (RunLockRow.beats == instead_of.beats)
                connection.execute(delete(RunLockRow).where(RunLockRow.run_id == run_id, gone))
            _sql.insert_ignore(connection, RunLockRow, [{**row, "run_id": run_id}])
            return _lock(connection.execute(select(RunLockRow.__table__).where(RunLockRow.run_id == run_id)).one())

    def beat_run_locks(self, token: str, spent: Mapping[str, float] | None = None) -> set[str]:
        """Say that the holder of this token is still there. Returns the runs whose locks it holds, by id.

        Args:
            spent: Seconds that its runs took so far; filed of those that it holds.
        """
        with self._database.writing() as connection:
            connection.execute(update(RunLockRow).where(RunLockRow.token == token).values(beats=RunLockRow.beats + 1))
            held = set(connection.scalars(select(RunLockRow.run_id).where(RunLockRow.token == token)))
            for run_id in sorted(held.intersection(spent or ())):
                running = (RunRow.id == run_id) & (RunRow.status == "running")
                connection.execute(update(RunRow).where(running).values(spent=(spent or {})[run_id]))
            return held

    def release_run_lock(self, run_id: str, token: str) -> None:
        """Give a run's lock back. One that is held by another, or not there, stays as it is."""
        with self._database.writing() as connection:
            connection.execute(delete(RunLockRow).where(RunLockRow.run_id == run_id, RunLockRow.token == token))

    def run_locks(self) -> list[RunLock]:
        """The locks that there are, by run, those whose holder is gone included."""
        with self._database.reading() as connection:
            rows = connection.execute(select(RunLockRow.__table__).order_by(RunLockRow.run_id))
            return [_lock(row) for row in rows.all()]


def locks_of(connection: Connection, run_ids: Iterable[str]) -> list[RunLock]:
    """The locks of these runs."""
    query = select(RunLockRow.__table__).where(RunLockRow.run_id.in_(list(run_ids)))
    return [_lock(row) for row in connection.execute(query).all()]


def _lock(row: Row[tuple[object, ...]]) -> RunLock:
    values = checked(RunLockRow, row)
    process = ProcessName(*(values.pop(name) for name in ("host", "space", "pid", "started")))
    return RunLock(**values, process=process)
