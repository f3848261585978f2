"""Evaluation: logical error rates of codes, decision fidelity of policies, and the statistics that go with them.

from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates

config = LogicalErrorRateConfig(p=[1e-3, 3e-3], shots=100_000, extraction="flag")
for task, counts in measure_error_rates(code, config):
    print(task.p, counts.rate, task.circuit_distance, task.decoder)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qecforge.evaluation.error_rates.config import LogicalErrorRateConfig
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask, chunk_shots
from qecforge.evaluation.policies.config import (
    ActionFidelityConfig,
    DecisionFidelityConfig,
    ReturnsConfig,
    SearchConfig,
)

if TYPE_CHECKING:
    from qecforge.evaluation.error_rates.circuits.distance import CircuitDistance, circuit_distance
    from qecforge.evaluation.error_rates.events import RecordedEvents, read_events, read_observables
    from qecforge.evaluation.error_rates.fault_draws import effective_share
    from qecforge.evaluation.error_rates.measure import PlannedTask, measure_error_rates, plan_error_rates
    from qecforge.evaluation.error_rates.paired import paired_error_rates
    from qecforge.evaluation.error_rates.paired_rates import PairedRates
    from qecforge.evaluation.policies.action_fidelity import ActionFidelity, action_fidelity
    from qecforge.evaluation.policies.fidelity import (
        DecisionFidelity,
        MarginBucket,
        VisitedStates,
        collect_states,
        decision_fidelity,
        kendall_tau,
        policy_logits,
    )
    from qecforge.evaluation.statistics import (
        Interval,
        SlopeFit,
        bootstrap_mean_interval,
        detectable_difference,
        difference_interval,
        fit_slope,
        likelihood_interval,
        mean_interval,
        wilson_interval,
    )

__all__ = [
    "ActionFidelity",
    "ActionFidelityConfig",
    "CircuitDistance",
    "DecisionFidelity",
    "DecisionFidelityConfig",
    "ErrorCounts",
    "ErrorRateTask",
    "Interval",
    "LogicalErrorRateConfig",
    "MarginBucket",
    "PairedRates",
    "PlannedTask",
    "RecordedEvents",
    "ReturnsConfig",
    "SearchConfig",
    "SlopeFit",
    "VisitedStates",
    "action_fidelity",
    "bootstrap_mean_interval",
    "chunk_shots",
    "circuit_distance",
    "collect_states",
    "decision_fidelity",
    "detectable_difference",
    "difference_interval",
    "effective_share",
    "fit_slope",
    "kendall_tau",
    "likelihood_interval",
    "mean_interval",
    "measure_error_rates",
    "paired_error_rates",
    "plan_error_rates",
    "policy_logits",
    "read_events",
    "read_observables",
    "wilson_interval",
]

_LAZY = {
    "error_rates.circuits.distance": ("CircuitDistance", "circuit_distance"),
    "policies.fidelity": (
        "DecisionFidelity",
        "MarginBucket",
        "VisitedStates",
        "collect_states",
        "decision_fidelity",
        "kendall_tau",
        "policy_logits",
    ),
    "policies.action_fidelity": ("ActionFidelity", "action_fidelity"),
    "error_rates.events": ("RecordedEvents", "read_events", "read_observables"),
    "error_rates.fault_draws": ("effective_share",),
    "error_rates.paired": ("paired_error_rates",),
    "error_rates.paired_rates": ("PairedRates",),
    "error_rates.measure": ("PlannedTask", "measure_error_rates", "plan_error_rates"),
    "statistics": (
        "Interval",
        "SlopeFit",
        "bootstrap_mean_interval",
        "detectable_difference",
        "difference_interval",
        "fit_slope",
        "likelihood_interval",
        "mean_interval",
        "wilson_interval",
    ),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"qecforge.evaluation.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
