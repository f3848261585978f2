"""The reproduction of the argmax-preserving quantization paper as a command, `qecforge reproduce apq`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from qecforge.contracts import Order, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_apq.reproduction.runs import Planned

__all__ = ["REPRODUCTION", "ApqOptions"]


class ApqOptions(PluginConfig):
    """Which part of the paper."""

    experiments: tuple[str, ...] | None = Field(
        None,
        description="Experiments among e1,e2,e3,e1_deep and e1_6bits,e1_5bits,..,e3_2bits. Default: the paper's, which "
        "are the first four; e1 with --quick.",
    )
    methods: tuple[str, ...] | None = Field(
        None,
        description="Methods, such as fp32,ptq,apq, or ours, ptq_best and distil. Default: the paper's; those of table "
        "2 with --quick.",
    )
    decisions_only: bool = Field(
        False,
        description="Measure how decisions are kept, and neither searches, nor codes' error rates, nor latencies.",
    )


def _plan(order: Order[ApqOptions], registry: Registry) -> list[Planned]:
    """The float policies of all experiments first: in this order they stand in the tables."""
    from qecforge_apq.reproduction.runs import PAPER_EXPERIMENTS, methods, plan_runs

    papers = [name for name, method in methods().items() if method.table != "ours"]
    quick_methods = [name for name in papers if methods()[name].table == "main"]
    planned = plan_runs(
        order.options.experiments or (["e1"] if order.quick else list(PAPER_EXPERIMENTS)),
        order.options.methods or (quick_methods if order.quick else papers),
        seeds=order.seeds,
        registry=registry,
        overrides=order.overrides,
        decisions_only=order.options.decisions_only,
    )
    return sorted(planned, key=lambda each: each.method.quantizer is not None)


def _report(store: Store, planned: Sequence[Planned]) -> Report:
    from qecforge_apq.reproduction.report import report_of
    from qecforge_apq.reproduction.runs import collect

    return report_of(collect(store, planned))


def _measure(store: Store, planned: Sequence[Planned], registry: Registry) -> None:
    from qecforge_apq.reproduction.latencies import measure_latencies

    measure_latencies(store, [each for each in planned if not each.decisions_only], registry)


REPRODUCTION = ReproductionSpec(
    name="apq",
    summary="The argmax-preserving quantization paper: tables 2 and 3, flips by margin, search, latency",
    source="Reinforcement Learning Agents in Quantum Code Discovery with Argmax-Preserving Quantization, anonymous",
    quick="E1 and the methods of table 2 with 2 seeds: some minutes on 2 cores",
    needs=(
        "environment.code_discovery",
        "reward.knill_laflamme",
        "agent.ppo",
        "quantizer.ptq",
        "quantizer.smoothquant",
        "quantizer.lsq",
        "quantizer.apq",
        "quantizer.distil",
    ),
    options=ApqOptions,
    plan=_plan,
    report=_report,
    measure=_measure,
    recorded=(
        "quantizer/step_change_mean",
        "quantizer/step_change_largest",
        "quantizer/held_out_top1",
        "time/cpu_seconds",
    ),
    recorded_payloads=("decision_fidelity", "decision_fidelity_student", "search"),
)
