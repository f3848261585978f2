"""The tiny model that learns Qiskit as a command, `qecforge reproduce qiskit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from qecforge.contracts import Order, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_grpo.reproduction.runs import Planned

__all__ = ["REPRODUCTION", "QiskitOptions"]


class QiskitOptions(PluginConfig):
    """Which arms, and where executions are kept."""

    arms: tuple[str, ...] | None = Field(None, description="Of grpo,supervised; both.")
    transcripts: str = Field(
        "qiskit_transcripts.db", description="File of executed programs, which no run and no seed runs again."
    )


def _plan(order: Order[QiskitOptions], registry: Registry) -> list[Planned]:
    from qecforge_grpo.reproduction.runs import ARMS, plan_runs

    return plan_runs(
        order.options.arms or ARMS,
        seeds=order.seeds,
        quick=order.quick,
        registry=registry,
        transcripts=order.options.transcripts,
        overrides=order.overrides,
    )


def _report(store: Store, planned: Sequence[Planned]) -> Report:
    from qecforge_grpo.reproduction.report import report_of
    from qecforge_grpo.reproduction.runs import collect

    return report_of(collect(store, planned))


REPRODUCTION = ReproductionSpec(
    name="qiskit",
    summary="Quantum-verifiable rewards: GRPO on executed Qiskit programs beside more supervised steps, tiny model",
    source="arXiv:2508.20907",
    quick="one seed of each arm, half the updates: under 20 minutes on 2 cores",
    needs=("environment.qiskit_tasks", "reward.qiskit_execution", "agent.grpo_text"),
    options=QiskitOptions,
    plan=_plan,
    report=_report,
    seeds=3,
    quick_seeds=1,
    recorded=(
        *(
            f"{look}/{way}{of}"
            for look in ("warm_start", "held_out")
            for way in ("drawn", "greedy")
            for of in ("", "_removed_api")
        ),
    ),
)
