"""The tables, as SQLAlchemy models. `migrations/` makes them in a database; a test keeps the two in agreement.

    runs ─┬── run_locks            which process carries the run out
          ├─< metrics              append-only; unique (run, name, step)
          ├─< discoveries >─ codes one row a run and code: the shortest encoder that this run found
          ├─< policy_evaluations
          ├─< artifacts            names of content-addressed files beside the database
          └─< events
    codes ─< error_rates           what was measured: noise, p, circuit, decoder
    error_rates ─< error_counts    additive counts, one row a chunk; a rate is a query

Identifiers of runs and codes are prefixes of content hashes, so a row written again finds itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = [
    "RUN_STATUSES",
    "ArtifactRow",
    "Base",
    "CodeRow",
    "DiscoveryRow",
    "ErrorCountRow",
    "ErrorRateRow",
    "EventRow",
    "MetricRow",
    "PolicyEvaluationRow",
    "RunLockRow",
    "RunRow",
    "StoredObject",
    "Unreadable",
    "UtcDateTime",
]

RUN_STATUSES = ("pending", "running", "interrupted", "failed", "finished")

_HASH = String(64)
_NAME = String(255)
_parse_json = json.JSONDecoder().raw_decode


class Unreadable:
    """What stands in a column that cannot be read as its type: it is refused with its row."""


def _reading(processor: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """A result processor that gives `Unreadable` where it would raise, in the middle of a row."""
    if processor is None:
        return None

    def read(value: Any) -> Any:
        try:
            return processor(value)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return Unreadable()

    return read


class StoredObject(TypeDecorator[dict[str, Any]]):
    """A JSON object."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """See `Unreadable`. Text as SQLite keeps it is parsed at once: layers of SQLAlchemy and json take twice as
        long."""
        slow = _reading(super().result_processor(dialect, coltype))
        if dialect.name != "sqlite" or slow is None:
            return slow

        def read(value: Any) -> Any:
            try:
                found, end = _parse_json(value)
            except (ValueError, TypeError, RecursionError):
                return slow(value)
            return found if end == len(value) else slow(value)

        return read


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC on both sides; kept without zone where the database has no type for one (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, which would be read back as something else."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value}")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """See `Unreadable`. Text as SQLite keeps it, without a zone, is parsed at once."""
        slow = _reading(super().result_processor(dialect, coltype))
        if dialect.name != "sqlite" or slow is None:
            return slow

        def read(value: Any) -> Any:
            if type(value) is not str or len(value) != 26:
                return slow(value)
            try:
                return datetime.fromisoformat(f"{value}+00:00")
            except ValueError:
                return slow(value)

        return read

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Metadata with named constraints, so that later migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        datetime: UtcDateTime,
        dict[str, Any]: StoredObject,
        float: Double,
        int: BigInteger,
        str: Text,
    }


class RunRow(Base):
    """One resolved manifest: one seed, one sweep point, exact plugin versions."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(map(repr, RUN_STATUSES))})", name="status"),
        Index(None, "created_at"),
    )

    id: Mapped[str] = mapped_column(_HASH, primary_key=True)
    identity: Mapped[str] = mapped_column(_HASH, unique=True)
    name: Mapped[str] = mapped_column(_NAME)
    seed: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str | None]
    error: Mapped[str | None]
    environment: Mapped[str] = mapped_column(_NAME)
    reward: Mapped[str | None] = mapped_column(_NAME)
    agent: Mapped[str] = mapped_column(_NAME)
    quantizer: Mapped[str | None] = mapped_column(_NAME)
    manifest: Mapped[str]
    manifest_source: Mapped[str]
    sweep_point: Mapped[dict[str, Any]]
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    spent: Mapped[float | None]


class RunLockRow(Base):
    """Which process carries a run out, and how often it has said that it is still there."""

    __tablename__ = "run_locks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[str] = mapped_column(_HASH, index=True)
    host: Mapped[str] = mapped_column(_NAME)
    space: Mapped[str] = mapped_column(_NAME)
    pid: Mapped[int]
    started: Mapped[int | None]
    beats: Mapped[int]
    taken_at: Mapped[datetime]


class MetricRow(Base):
    """One value of one series. NULL stands for NaN, which SQLite cannot hold."""

    __tablename__ = "metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[float | None]
    wall_time: Mapped[float]


class CodeRow(Base):
    """One stabilizer group, with what is known of its distance, and the fewest gates of all its encoders."""

    __tablename__ = "codes"
    __table_args__ = (
        CheckConstraint("1 <= distance_lower AND distance_lower <= coalesce(distance_upper, n)", name="distance_order"),
        CheckConstraint(
            "CASE distance_kind WHEN 'exact' THEN distance_lower = coalesce(distance_upper, 0)"
            " WHEN 'lower_bound' THEN distance_lower <> coalesce(distance_upper, 0)"
            " WHEN 'upper_bound' THEN distance_lower <> coalesce(distance_upper, distance_lower)"
            " ELSE FALSE END",
            name="distance_kind",
        ),
        # All that codes are sorted and chosen by, so that only those of a page are read.
        Index(
            "ix_codes_listed", "n", "k", "distance_lower", "distance_upper", "distance_kind", "gate_count",
            "two_qubit_gate_count", "created_at", "id",
        ),
        Index(None, "gate_count", "id"),
        Index(None, "created_at"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(_HASH, primary_key=True)
    digest: Mapped[str] = mapped_column(_HASH, unique=True)
    n: Mapped[int]
    k: Mapped[int]
    distance_kind: Mapped[str] = mapped_column(String(16))
    distance_lower: Mapped[int]
    distance_lower_method: Mapped[str]
    distance_upper: Mapped[int | None]
    distance_upper_method: Mapped[str | None]
    distance_witness: Mapped[str | None]
    definition: Mapped[str]
    source: Mapped[str | None]
    created_at: Mapped[datetime]
    gate_count: Mapped[int | None]
    two_qubit_gate_count: Mapped[int | None]


class DiscoveryRow(Base):
    """That a run found a code, and the shortest encoder it found for it."""

    __tablename__ = "discoveries"
    __table_args__ = (Index(None, "code_id", "gate_count", "two_qubit_gate_count"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    code_id: Mapped[str] = mapped_column(ForeignKey("codes.id", ondelete="CASCADE"), primary_key=True)
    encoder: Mapped[str]
    gate_count: Mapped[int]
    two_qubit_gate_count: Mapped[int]
    target_distance: Mapped[int]
    step: Mapped[int]
    wall_time: Mapped[float]
    attributes: Mapped[dict[str, Any]]
    proof: Mapped[dict[str, Any]]
    found_at: Mapped[datetime]


class ErrorRateRow(Base):
    """What is measured: one code under one noise, circuit and decoder. The counts are in `error_counts`."""

    __tablename__ = "error_rates"
    __table_args__ = (Index(None, "code_id", "p"),)

    task_id: Mapped[str] = mapped_column(_HASH, primary_key=True)
    code_id: Mapped[str] = mapped_column(ForeignKey("codes.id", ondelete="CASCADE"))
    experiment: Mapped[str] = mapped_column(_NAME)
    noise: Mapped[str]
    p: Mapped[float]
    extraction: Mapped[str] = mapped_column(_NAME)
    rounds: Mapped[int]
    basis: Mapped[str] = mapped_column(_NAME)
    boundary: Mapped[str] = mapped_column(_NAME)
    decoder: Mapped[str] = mapped_column(_NAME)
    definition: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ErrorCountRow(Base):
    """Counts of one chunk of shots, or an exact rate. A chunk is deterministic: the same one is never counted twice."""

    __tablename__ = "error_counts"
    __table_args__ = (
        CheckConstraint("errors >= 0 AND discards >= 0 AND errors + discards <= shots", name="counts"),
        CheckConstraint("exact_rate IS NULL OR (shots = 0 AND exact_rate BETWEEN 0 AND 1)", name="exact_rate"),
        {"sqlite_with_rowid": False},
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("error_rates.task_id", ondelete="CASCADE"), primary_key=True)
    chunk: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shots: Mapped[int]
    errors: Mapped[int]
    discards: Mapped[int]
    seconds: Mapped[float]
    exact_rate: Mapped[float | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    added_at: Mapped[datetime]


class PolicyEvaluationRow(Base):
    """Named numbers of one evaluation of a run's policy."""

    __tablename__ = "policy_evaluations"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    values: Mapped[dict[str, Any]]
    payload: Mapped[dict[str, Any] | None] = mapped_column(StoredObject(none_as_null=True))
    created_at: Mapped[datetime]


class ArtifactRow(Base):
    """A name for a content-addressed file in the folder beside the database."""

    __tablename__ = "artifacts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(_NAME, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    sha256: Mapped[str] = mapped_column(_HASH, index=True)
    size: Mapped[int]
    created_at: Mapped[datetime]


class EventRow(Base):
    """Something that happened to a run at a time. Append-only."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(_NAME)
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
