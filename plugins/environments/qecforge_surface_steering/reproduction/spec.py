"""The reproduction of the surface-code steering paper as a command, `qecforge reproduce steering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from qecforge.contracts import Order, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_surface_steering.reproduction.runs import Planned

__all__ = ["REPRODUCTION", "SteeringOptions"]


class SteeringOptions(PluginConfig):
    """Which part of the paper."""

    results: tuple[str, ...] | None = Field(None, description="Results, such as drift,response,scaling. Default: all.")


def _plan(order: Order[SteeringOptions], registry: Registry) -> list[Planned]:
    from qecforge_surface_steering.reproduction.runs import experiments, plan_runs

    return plan_runs(
        order.options.results or list(experiments()),
        seeds=order.seeds,
        registry=registry,
        quick=order.quick,
        overrides=order.overrides,
    )


def _report(store: Store, planned: Sequence[Planned]) -> Report:
    from qecforge_surface_steering.reproduction.report import report_of
    from qecforge_surface_steering.reproduction.runs import collect

    return report_of(collect(store, planned))


REPRODUCTION = ReproductionSpec(
    name="steering",
    summary=(
        "The surface-code steering paper: its eight results, the curve over drift amplitudes, and other optimizers"
    ),
    source="arXiv:2511.08493",
    quick="Every result, smaller, with 2 seeds: 15 minutes at most on 2 cores",
    needs=(
        "environment.surface_steering",
        "environment.decoder_steering",
        "agent.parameter_ppo",
        "agent.cma_es",
        "agent.spsa",
    ),
    options=SteeringOptions,
    plan=_plan,
    report=_report,
)
