"""Runs: begun, marked, found, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, select, update

from qecforge.errors import ConfigurationError
from qecforge.machine.masking import masked, masked_values
from qecforge.machine.processes import is_running
from qecforge.store import _sql
from qecforge.store._base import StoreBase
from qecforge.store._locks import UNLOCKED_SECONDS, locks_of
from qecforge.store._rows import checked, checked_column
from qecforge.store.models import (
    RUN_STATUSES,
    ArtifactRow,
    CodeRow,
    DiscoveryRow,
    EventRow,
    MetricRow,
    PolicyEvaluationRow,
    RunRow,
)
from qecforge.store.records import Run, RunStatus

__all__ = ["RunStore"]


class RunStore(StoreBase):
    """The part of `Store` that keeps runs."""

    def begin_run(
        self,
        identity: str,
        *,
        name: str,
        seed: int,
        manifest: str,
        manifest_source: str,
        environment: str,
        reward: str | None,
        agent: str,
        quantizer: str | None = None,
        provenance: Mapping[str, Any],
        sweep_point: Mapping[str, Any] | None = None,
    ) -> Run:
        """File a run as `pending`. The run of this identity that is there already is returned as it is.

        Args:
            identity: SHA-256 (hex) of the canonical manifest without its evaluations.
            manifest: The canonical manifest, JSON; `manifest_source` the file as the user wrote it.
            reward: None for the environment's native one.
            provenance: Versions, git revision, machine, threads; JSON values.
            sweep_point: Values of this run in its manifest's sweep, by dotted path.
        """
        row = {
            "identity": identity,
            "name": name,
            "seed": int(seed),
            "status": "pending",
            "environment": environment,
            "reward": reward,
            "agent": agent,
            "quantizer": quantizer,
            "manifest": manifest,
            "manifest_source": manifest_source,
            "sweep_point": _sql.json_object(sweep_point or {}, "sweep point"),
            "provenance": masked_values(_sql.json_object(provenance, "provenance")),
        }
        known = select(RunRow.__table__).where(RunRow.identity == identity)
        with self._database.reading() as connection:
            found = connection.execute(known).one_or_none()
        if found is None:
            with self._database.writing() as connection:
                if connection.execute(known).one_or_none() is None:
                    new_id = _sql.new_id(connection, RunRow, identity)
                    _sql.insert_ignore(connection, RunRow, [{**row, "id": new_id, "created_at": _sql.now()}])
                found = connection.execute(known).one()
        return _run(found)

    def mark_run(
        self,
        run_id: str,
        status: RunStatus,
        *,
        error: str | None = None,
        phase: str | None = None,
        spent: float | None = None,
    ) -> Run:
        """Set a run's status, and with it `started_at`, `ended_at`, `error` and (where given) `phase` and `spent`.

        Args:
            spent: Seconds that were spent on it so far, in all attempts.
        """
        if status not in RUN_STATUSES:
            raise ConfigurationError(f"status: got {status!r}, expected one of {', '.join(RUN_STATUSES)}")
        time = _sql.now()
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            values: dict[str, Any] = {
                "status": status,
                "error": None if error is None else masked(error),
                "ended_at": None if status in ("pending", "running") else time,
            }
            if phase is not None:
                values["phase"] = phase
            if spent is not None:
                values["spent"] = spent
            connection.execute(update(RunRow).where(RunRow.id == run_id).values(values))
            if status == "running":
                started = update(RunRow).where(RunRow.id == run_id, RunRow.started_at.is_(None))
                connection.execute(started.values(started_at=time))
            return self._load_run(connection, run_id)

    def replan_run(self, run_id: str, manifest: str, *, manifest_source: str | None = None) -> Run:
        """Give a run the manifest by which it is, or was, evaluated. What it trains is the same.

        Args:
            manifest: Canonical.
            manifest_source: The file as the user wrote it; None: it stays.
        """
        values = {"manifest": manifest} | ({} if manifest_source is None else {"manifest_source": manifest_source})
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            connection.execute(update(RunRow).where(RunRow.id == run_id).values(values))
            return self._load_run(connection, run_id)

    def restart_run(self, run_id: str) -> Run:
        """Make a run as if it had just been begun: `pending`, without metrics, discoveries, evaluations, artifacts and
        events. Codes that only this run found go too, with their error rates; what others found stays, counts
        included (they are the same whoever draws them)."""
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            files = self._files_of(connection, run_id)
            for model in (MetricRow, PolicyEvaluationRow, ArtifactRow, EventRow):
                connection.execute(delete(model).where(model.run_id == run_id))
            self._delete_discoveries(connection, run_id)
            nothing = dict.fromkeys(("phase", "error", "started_at", "ended_at", "spent"))
            fresh = {"status": "pending", **nothing}
            connection.execute(update(RunRow).where(RunRow.id == run_id).values(fresh))
            run = self._load_run(connection, run_id)
        self._remove_unused_files(files)
        return run

    def delete_run(self, run_id: str) -> Run:
        """Delete a run with everything that belongs to it alone, as `restart_run` says. Returns the deleted run."""
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            run, files = self._load_run(connection, run_id), self._files_of(connection, run_id)
            self._delete_discoveries(connection, run_id)
            connection.execute(delete(RunRow).where(RunRow.id == run_id))
        self._remove_unused_files(files)
        return run

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id begins so. Raises `StoreError` where there is none."""
        with self._database.reading() as connection:
            return self._load_run(connection, _sql.find_id(connection, RunRow, run_id))

    def runs(
        self,
        *,
        name: str | None = None,
        environment: str | None = None,
        reward: str | None = None,
        agent: str | None = None,
        quantizer: str | None = None,
        status: RunStatus | Sequence[RunStatus] | None = None,
        seed: int | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Runs that match every filter given, newest first. One that is filed as `running` by a process of this machine
        which is gone is `interrupted`, and so is one without a lock, from before schema 0002."""
        statuses = [status] if isinstance(status, str) else status
        if unknown := set(statuses or ()) - set(RUN_STATUSES):
            raise ConfigurationError(f"status: got {sorted(unknown)}, expected some of {', '.join(RUN_STATUSES)}")
        query = select(RunRow.__table__).order_by(RunRow.created_at.desc(), RunRow.id)
        wanted = {
            RunRow.name: name,
            RunRow.environment: environment,
            RunRow.reward: reward,
            RunRow.agent: agent,
            RunRow.quantizer: quantizer,
            RunRow.seed: seed,
        }
        for attribute, value in wanted.items():
            if value is not None:
                query = query.where(attribute == value)
        if statuses is None:
            query = query.limit(limit)
        else:
            query = query.where(RunRow.status.in_({*statuses, *(["running"] if "interrupted" in statuses else [])}))
        with self._database.reading() as connection:
            runs = _as_seen(connection, [_run(row) for row in connection.execute(query).all()])
        return [run for run in runs if statuses is None or run.status in statuses][:limit]

    @staticmethod
    def _load_run(connection: Connection, run_id: str) -> Run:
        row = connection.execute(select(RunRow.__table__).where(RunRow.id == run_id)).one()
        return _as_seen(connection, [_run(row)])[0]

    @staticmethod
    def _files_of(connection: Connection, run_id: str) -> Sequence[str]:
        found = connection.scalars(select(ArtifactRow.sha256).where(ArtifactRow.run_id == run_id))
        return checked_column(ArtifactRow, "sha256", found, {"run_id": run_id})

    @staticmethod
    def _delete_discoveries(connection: Connection, run_id: str) -> None:
        """Delete a run's discoveries, and codes that nothing else vouches for."""
        found = connection.scalars(select(DiscoveryRow.code_id).where(DiscoveryRow.run_id == run_id)).all()
        connection.execute(delete(DiscoveryRow).where(DiscoveryRow.run_id == run_id))
        elsewhere = exists().where(DiscoveryRow.code_id == CodeRow.id)
        for code_id in found:
            # The lock first: on a server another run may be filing the same code just now.
            connection.execute(select(CodeRow.id).where(CodeRow.id == code_id).with_for_update())
            connection.execute(delete(CodeRow).where(CodeRow.id == code_id, CodeRow.source.is_(None), ~elsewhere))
            _sql.count_gates(connection, code_id)


def _as_seen(connection: Connection, runs: Sequence[Run]) -> Sequence[Run]:
    """The runs; those whose process is gone without having filed their end as interrupted.

    A run without a lock is of an earlier version, which had none: its process is taken for gone once the run has been
    there for `UNLOCKED_SECONDS`.
    """
    running = {run.id: run for run in runs if run.status == "running"}
    if not running:
        return runs
    locks = locks_of(connection, running)
    gone = {lock.run_id for lock in locks if is_running(lock.process) is False}
    before = _sql.now() - timedelta(seconds=UNLOCKED_SECONDS)
    if unlocked := [
        run_id
        for run_id in running.keys() - {lock.run_id for lock in locks}
        if (running[run_id].started_at or running[run_id].created_at) < before
    ]:
        # Asked again: one that has ended meanwhile gave its lock back.
        still = select(RunRow.id).where(RunRow.id.in_(unlocked), RunRow.status == "running")
        gone.update(connection.scalars(still))
    return [
        replace(run, status="interrupted", error="its process is gone; running its manifest again resumes it")
        if run.id in gone
        else run
        for run in runs
    ]


def _run(row: Row[Any]) -> Run:
    values = checked(RunRow, row)
    values["provenance"] = masked_values(values["provenance"])  # of earlier versions, which filed passwords
    return Run(**values)
