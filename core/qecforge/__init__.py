"""qecforge: optimise quantum error correction with reinforcement learning, from a manifest to a proven code in a store.

    from qecforge import Registry, Store, load_manifest, run_manifest

    run_manifest(load_manifest("examples/steane.yaml", registry=Registry.load()))
    with Store("sqlite:///results.db") as store:
        best = store.codes(n=7, min_distance=3, order_by="gate_count")[0]

Names are imported when first used, so that `import qecforge` stays cheap.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode, Distance, StabilizerCode
    from qecforge.errors import QecforgeError, UserError
    from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates
    from qecforge.evaluation.policies.returns import evaluate_policy
    from qecforge.executors import run_manifest
    from qecforge.manifest import Manifest, RunPlan, load_manifest
    from qecforge.registry import Registry
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
    from qecforge.runs.policies import load_policy
    from qecforge.store import Store

__all__ = [
    "DiscoveredCode",
    "Distance",
    "LogicalErrorRateConfig",
    "Manifest",
    "QecforgeError",
    "Registry",
    "RunListener",
    "RunOptions",
    "RunOutcome",
    "RunPlan",
    "StabilizerCode",
    "Store",
    "UserError",
    "evaluate_policy",
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
    **dict.fromkeys(["RunListener", "RunOptions", "RunOutcome"], "runs.listener"),
    "Registry": "registry",
    "Store": "store",
    "evaluate_policy": "evaluation.policies.returns",
    "load_policy": "runs.policies",
    "run_manifest": "executors",
}

_MOVED = {
    **dict.fromkeys(["Agent", "Environment", "Policy", "Quantizer", "Reward"], "contracts"),
    **dict.fromkeys(["AgentSpec", "EnvironmentSpec", "QuantizerSpec", "RewardSpec", "hookimpl"], "hookspecs"),
}
"""What plugins are made of had its place here too; it goes with 0.3."""


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        home = f"qecforge.{_MOVED[name]}"
        warnings.warn(f"qecforge.{name} is now {home}.{name}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(home), name)
    if name not in _HOME:
        raise AttributeError(f"module 'qecforge' has no attribute {name!r}")
    return getattr(import_module(f"qecforge.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
