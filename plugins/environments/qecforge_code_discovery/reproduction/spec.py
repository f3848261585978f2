"""The search for encoders with few gates as a command, `qecforge reproduce discovery`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from qecforge.contracts import Order, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_code_discovery.reproduction.runs import Planned

__all__ = ["REPRODUCTION", "DiscoveryOptions"]


class DiscoveryOptions(PluginConfig):
    """Which codes, and how they are sought."""

    families: tuple[str, ...] | None = Field(
        None,
        description="Families, such as 7_1_3,15_2_5. Default: all 50 released with the paper and those beyond it; ten "
        "with --quick.",
    )
    agents: tuple[str, ...] = Field(
        ("annealing",),
        description="Agents that search, annealing or ppo or both. Each has a row of its own in the tables.",
    )


def _plan(order: Order[DiscoveryOptions], registry: Registry) -> list[Planned]:
    from qecforge_code_discovery.reproduction.runs import QUICK, families, plan_runs

    chosen = order.options.families or (QUICK if order.quick else tuple(families()))
    return plan_runs(
        chosen,
        order.options.agents,
        seeds=order.seeds,
        quick=order.quick,
        registry=registry,
        overrides=order.overrides,
    )


def _report(store: Store, planned: Sequence[Planned]) -> Report:
    from qecforge_code_discovery.reproduction.report import report_of
    from qecforge_code_discovery.reproduction.runs import collect

    return report_of(collect(store, planned))


REPRODUCTION = ReproductionSpec(
    name="discovery",
    summary="Encoders with few gates for the 50 families of codes released with Olle et al. 2024, and beyond",
    source="arXiv:2311.04750",
    quick="ten families, a tenth of the circuits tried: some minutes on 2 cores",
    needs=("environment.code_discovery", "reward.knill_laflamme", "agent.annealing", "agent.ppo"),
    options=DiscoveryOptions,
    plan=_plan,
    report=_report,
    seeds=1,
    quick_seeds=1,
)
