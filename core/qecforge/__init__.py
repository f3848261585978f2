"""qecforge: optimise quantum error correction with reinforcement learning, from a manifest to a proven code in a store.

    from qecforge import Registry, Store, load_manifest, run_manifest

    run_manifest(load_manifest("examples/steane.yaml", registry=Registry.load()))
    with Store("sqlite:///results.db") as store:
        best = store.codes(n=7, min_distance=3, order_by="gate_count")[0]

Names are imported when first used, so that `import qecforge` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode, Distance, StabilizerCode
    from qecforge.errors import QecforgeError, UserError
    from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates
    from qecforge.executors import run_manifest
    from qecforge.hookspecs import (
        Agent,
        AgentSpec,
        Environment,
        EnvironmentSpec,
        Policy,
        Quantizer,
        QuantizerSpec,
        Reward,
        RewardSpec,
        hookimpl,
    )
    from qecforge.manifest import Manifest, RunPlan, load_manifest
    from qecforge.plugins import Registry
    from qecforge.policies import evaluate_policy, load_policy
    from qecforge.run import RunListener, RunOptions, RunOutcome
    from qecforge.store import Store

__all__ = [
    "Agent",
    "AgentSpec",
    "DiscoveredCode",
    "Distance",
    "Environment",
    "EnvironmentSpec",
    "LogicalErrorRateConfig",
    "Manifest",
    "Policy",
    "QecforgeError",
    "Quantizer",
    "QuantizerSpec",
    "Registry",
    "Reward",
    "RewardSpec",
    "RunListener",
    "RunOptions",
    "RunOutcome",
    "RunPlan",
    "StabilizerCode",
    "Store",
    "UserError",
    "evaluate_policy",
    "hookimpl",
    "load_manifest",
    "load_policy",
    "measure_error_rates",
    "run_manifest",
]

_HOME = {
    **dict.fromkeys(["DiscoveredCode", "Distance", "StabilizerCode"], "codes"),
    **dict.fromkeys(["QecforgeError", "UserError"], "errors"),
    **dict.fromkeys(["LogicalErrorRateConfig", "measure_error_rates"], "evaluation"),
    **dict.fromkeys(["Manifest", "RunPlan", "load_manifest"], "manifest"),
    **dict.fromkeys(["evaluate_policy", "load_policy"], "policies"),
    **dict.fromkeys(["RunListener", "RunOptions", "RunOutcome"], "run"),
    "run_manifest": "executors",
    "Registry": "plugins",
    "Store": "store",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'qecforge' has no attribute {name!r}")
    return getattr(import_module(f"qecforge.{_HOME.get(name, 'hookspecs')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
