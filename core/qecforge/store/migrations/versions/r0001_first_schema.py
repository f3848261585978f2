"""The first schema: runs, metrics, codes, discoveries, error rates and counts, evaluations, artifacts, events.

Revision 0001. A revision that was released is never altered: what changes comes as a new one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qecforge.store.models import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables in an empty database."""
    _create_runs()
    _create_codes()
    _create_error_rates()
    _create_records_of_runs()


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("environment", sa.String(length=255), nullable=False),
        sa.Column("reward", sa.String(length=255), nullable=True),
        sa.Column("agent", sa.String(length=255), nullable=False),
        sa.Column("quantizer", sa.String(length=255), nullable=True),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("manifest_source", sa.Text(), nullable=False),
        sa.Column("sweep_point", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'interrupted', 'failed', 'finished')", name=op.f("ck_runs_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("identity", name=op.f("uq_runs_identity")),
    )
    op.create_index(op.f("ix_runs_created_at"), "runs", ["created_at"], unique=False)


def _create_codes() -> None:
    op.create_table(
        "codes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("k", sa.BigInteger(), nullable=False),
        sa.Column("distance_kind", sa.String(length=16), nullable=False),
        sa.Column("distance_lower", sa.BigInteger(), nullable=False),
        sa.Column("distance_lower_method", sa.Text(), nullable=False),
        sa.Column("distance_upper", sa.BigInteger(), nullable=True),
        sa.Column("distance_upper_method", sa.Text(), nullable=True),
        sa.Column("distance_witness", sa.Text(), nullable=True),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "CASE distance_kind WHEN 'exact' THEN distance_lower = coalesce(distance_upper, 0)"
            " WHEN 'lower_bound' THEN distance_lower <> coalesce(distance_upper, 0)"
            " WHEN 'upper_bound' THEN distance_lower <> coalesce(distance_upper, distance_lower)"
            " ELSE FALSE END",
            name=op.f("ck_codes_distance_kind"),
        ),
        sa.CheckConstraint(
            "1 <= distance_lower AND distance_lower <= coalesce(distance_upper, n)",
            name=op.f("ck_codes_distance_order"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_codes")),
        sa.UniqueConstraint("digest", name=op.f("uq_codes_digest")),
    )
    op.create_index(op.f("ix_codes_n_k_distance_lower"), "codes", ["n", "k", "distance_lower"], unique=False)
    op.create_table(
        "discoveries",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("code_id", sa.String(length=64), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("gate_count", sa.BigInteger(), nullable=False),
        sa.Column("two_qubit_gate_count", sa.BigInteger(), nullable=False),
        sa.Column("target_distance", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("wall_time", sa.Double(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("proof", sa.JSON(), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["code_id"], ["codes.id"], name=op.f("fk_discoveries_code_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_discoveries_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "code_id", name=op.f("pk_discoveries")),
    )
    op.create_index(op.f("ix_discoveries_code_id"), "discoveries", ["code_id"], unique=False)


def _create_error_rates() -> None:
    op.create_table(
        "error_rates",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("code_id", sa.String(length=64), nullable=False),
        sa.Column("experiment", sa.String(length=255), nullable=False),
        sa.Column("noise", sa.Text(), nullable=False),
        sa.Column("p", sa.Double(), nullable=False),
        sa.Column("extraction", sa.String(length=255), nullable=False),
        sa.Column("rounds", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.String(length=255), nullable=False),
        sa.Column("boundary", sa.String(length=255), nullable=False),
        sa.Column("decoder", sa.String(length=255), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["code_id"], ["codes.id"], name=op.f("fk_error_rates_code_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_error_rates")),
    )
    op.create_index(op.f("ix_error_rates_code_id_p"), "error_rates", ["code_id", "p"], unique=False)
    op.create_table(
        "error_counts",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("chunk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("shots", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("discards", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("exact_rate", sa.Double(), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "errors >= 0 AND discards >= 0 AND errors + discards <= shots", name=op.f("ck_error_counts_counts")
        ),
        sa.CheckConstraint(
            "exact_rate IS NULL OR (shots = 0 AND exact_rate BETWEEN 0 AND 1)", name=op.f("ck_error_counts_exact_rate")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_error_counts_run_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["error_rates.task_id"], name=op.f("fk_error_counts_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "chunk", name=op.f("pk_error_counts")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_error_counts_run_id"), "error_counts", ["run_id"], unique=False)


def _create_records_of_runs() -> None:
    op.create_table(
        "metrics",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("wall_time", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_metrics_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", "step", name=op.f("pk_metrics")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "policy_evaluations",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_policy_evaluations_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_policy_evaluations")),
    )
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_artifacts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "kind", "name", name=op.f("pk_artifacts")),
    )
    op.create_index(op.f("ix_artifacts_sha256"), "artifacts", ["sha256"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_events_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_run_id"), "events", ["run_id"], unique=False)
