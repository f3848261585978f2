"""The reproduction of the hybrid paper as a command, `qecforge reproduce hybrid`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from qecforge.contracts import Order, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_td3.reproduction.runs import Planned

__all__ = ["REPRODUCTION", "HybridOptions"]


class HybridOptions(PluginConfig):
    """Which experiments, and which arms of them."""

    experiments: tuple[str, ...] | None = Field(
        None,
        description="Of pendulum,fits,randomness,hopper,humanoid; all of them, the smaller variant without humanoid.",
    )
    arms: tuple[str, ...] | None = Field(
        None, description="Of an experiment's, such as pqc_tangential,none; all of them."
    )


def _plan(order: Order[HybridOptions], registry: Registry) -> list[Planned]:
    from qecforge_td3.reproduction.runs import experiments, plan_runs

    every = tuple(name for name in experiments() if not (order.quick and name == "humanoid"))
    return plan_runs(
        order.options.experiments or every,
        order.options.arms,
        seeds=order.seeds,
        quick=order.quick,
        registry=registry,
        overrides=order.overrides,
    )


def _report(store: Store, planned: Sequence[Planned]) -> Report:
    from qecforge_td3.reproduction.report import report_of
    from qecforge_td3.reproduction.runs import collect, collect_under_way

    return report_of(collect(store, planned), collect_under_way(store, planned))


REPRODUCTION = ReproductionSpec(
    name="hybrid",
    summary="The hybrid quantum-classical TD3 paper: what circuit, randomness and surrogate each add, on three tasks",
    source="arXiv:2503.09119",
    quick="short trainings of two seeds on Pendulum and Hopper: under 20 minutes on 2 cores, too short to learn",
    needs=("environment.humanoid", "agent.td3"),
    options=HybridOptions,
    plan=_plan,
    report=_report,
    seeds=20,
    quick_seeds=2,
    recorded=("test_return",),
)
