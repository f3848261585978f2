"""Logical error rates: what was measured, and additive counts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask
from qecforge.store import _sql
from qecforge.store._base import StoreBase
from qecforge.store._rows import altered, checked
from qecforge.store.models import CodeRow, DiscoveryRow, ErrorCountRow, ErrorRateRow, RunRow
from qecforge.store.records import ErrorRate

__all__ = ["ErrorRateStore"]


class ErrorRateStore(StoreBase):
    """The part of `Store` that keeps logical error rates."""

    def add_error_counts(
        self, code_id: str, task: ErrorRateTask, chunk: int, counts: ErrorCounts, *, run_id: str | None = None
    ) -> None:
        """File what was counted in one chunk of a task. A chunk that is there already is passed over.

        A better `circuit_distance` (exact before bounds, sharper before looser) replaces the one that is there.

        Args:
            run_id: The run that drew the shots, if one did.

        Raises:
            StoreError: no such code or run, or the task is about another code.
        """
        with self._database.writing() as connection:
            code_id = _sql.find_id(connection, CodeRow, code_id)
            if run_id is not None:
                run_id = _sql.find_id(connection, RunRow, run_id)
            self._file_task(connection, code_id, task)
            row = {
                "task_id": task.task_id,
                "chunk": int(chunk),
                "shots": int(counts.shots),
                "errors": int(counts.errors),
                "discards": int(counts.discards),
                "seconds": float(counts.seconds),
                "exact_rate": counts.exact_rate,
                "run_id": run_id,
                "added_at": _sql.now(),
            }
            _sql.insert_ignore(connection, ErrorCountRow, [row])

    def error_counts(self, code_id: str, task_id: str) -> dict[int, ErrorCounts]:
        """Counts by chunk of one task of a code, in order; empty where nothing was measured."""
        query = (
            select(ErrorCountRow.__table__)
            .join(ErrorRateRow, ErrorRateRow.task_id == ErrorCountRow.task_id)
            .where(ErrorCountRow.task_id == task_id)
            .order_by(ErrorCountRow.chunk)
        )
        with self._database.reading() as connection:
            code_id = _sql.find_id(connection, CodeRow, code_id)
            rows = connection.execute(query.where(ErrorRateRow.code_id == code_id)).all()
            return {row.chunk: _counts(row) for row in rows}

    def error_rates(
        self,
        code_id: str | None = None,
        *,
        run: str | None = None,
        experiment: str | None = None,
        noise: str | None = None,
        p: float | None = None,
        extraction: str | None = None,
        rounds: int | None = None,
        basis: str | None = None,
        boundary: str | None = None,
        decoder: str | None = None,
    ) -> list[ErrorRate]:
        """Rates of a code, or of all, that match every filter given: the chunks of each task added up.

        Args:
            run: Only of codes that this run found, whoever drew the shots.
            noise: The noise model without its strength, as in `ErrorRateTask.noise`.

        Returns:
            By code, then circuit and decoder, then p.
        """
        sums = [func.sum(ErrorCountRow.__table__.c[name]).label(name) for name in ("shots", "errors", "discards")]
        query = (
            select(
                ErrorRateRow.task_id,
                ErrorRateRow.code_id,
                ErrorRateRow.definition,
                *sums,
                func.sum(ErrorCountRow.seconds).label("seconds"),
                func.max(ErrorCountRow.exact_rate).label("exact_rate"),
                func.count().label("chunks"),
            )
            .join(ErrorCountRow, ErrorCountRow.task_id == ErrorRateRow.task_id)
            .group_by(ErrorRateRow.task_id)
            .order_by(*(getattr(ErrorRateRow, name) for name in _ORDER))
        )
        filters = {
            "experiment": experiment,
            "noise": noise,
            "p": p,
            "extraction": extraction,
            "rounds": rounds,
            "basis": basis,
            "boundary": boundary,
            "decoder": decoder,
        }
        for name, value in filters.items():
            if value is not None:
                query = query.where(getattr(ErrorRateRow, name) == value)
        with self._database.reading() as connection:
            if code_id is not None:
                query = query.where(ErrorRateRow.code_id == _sql.find_id(connection, CodeRow, code_id))
            if run is not None:
                run_id = _sql.find_id(connection, RunRow, run)
                found = select(DiscoveryRow.code_id).where(DiscoveryRow.run_id == run_id)
                query = query.where(ErrorRateRow.code_id.in_(found))
            return [_error_rate(row) for row in connection.execute(query).all()]

    @staticmethod
    def _file_task(connection: Connection, code_id: str, task: ErrorRateTask) -> None:
        digest = connection.scalar(select(CodeRow.digest).where(CodeRow.id == code_id))
        if digest != task.code_digest:
            raise StoreError(
                f"code {code_id}: the task is about another code, {task.code_digest[:12]}; nothing was stored"
            )
        kept = select(ErrorRateRow.definition).where(ErrorRateRow.task_id == task.task_id)
        definition = connection.scalar(kept)
        if definition is None:
            row = {
                "task_id": task.task_id,
                "code_id": code_id,
                **{name: getattr(task, name) for name in _TASK_COLUMNS},
                "definition": task.to_json(),
                "created_at": _sql.now(),
            }
            _sql.insert_ignore(connection, ErrorRateRow, [row])
            return
        known = _task({"task_id": task.task_id, "definition": definition})
        if _is_sharper(task, known):
            better = replace(
                known, circuit_distance=task.circuit_distance, circuit_distance_kind=task.circuit_distance_kind
            )
            connection.execute(
                update(ErrorRateRow).where(ErrorRateRow.task_id == task.task_id).values(definition=better.to_json())
            )


_TASK_COLUMNS = ("experiment", "noise", "p", "extraction", "rounds", "basis", "boundary", "decoder")
_ORDER = ("code_id", "experiment", "extraction", "rounds", "basis", "boundary", "decoder", "noise", "p", "task_id")


def _is_sharper(task: ErrorRateTask, known: ErrorRateTask) -> bool:
    """Whether the task's circuit distance says more than the known one."""
    if task.circuit_distance is None or known.circuit_distance_kind == "exact":
        return False
    if known.circuit_distance is None or task.circuit_distance_kind == "exact":
        return True
    if task.circuit_distance_kind != known.circuit_distance_kind:
        return False
    if task.circuit_distance_kind == "lower_bound":
        return task.circuit_distance > known.circuit_distance
    return task.circuit_distance < known.circuit_distance


def _counts(row: Row[Any]) -> ErrorCounts:
    # A sum of whole numbers is a decimal on some servers.
    plain = {name: int(value) if isinstance(value, Decimal) else value for name, value in row._mapping.items()}
    values = checked(ErrorCountRow, plain)
    counts = {name: values[name] for name in ("shots", "errors", "discards", "seconds", "exact_rate")}
    try:
        return ErrorCounts(**{**counts, "seconds": float(counts["seconds"])})
    except ConfigurationError as error:
        altered(ErrorCountRow, values, "counts", counts, f"what can be counted ({error})")


def _task(row: Mapping[str, Any]) -> ErrorRateTask:
    values = checked(ErrorRateRow, row)["definition"]
    try:
        return ErrorRateTask.from_json(values).checked()
    except ConfigurationError as error:
        altered(ErrorRateRow, row, "definition", values, f"an error-rate task ({error})")


def _error_rate(row: Row[Any]) -> ErrorRate:
    values = checked(ErrorRateRow, row)
    return ErrorRate(
        task_id=values["task_id"],
        code_id=values["code_id"],
        task=_task(values),
        counts=_counts(row),
        chunks=int(values["chunks"]),
    )
