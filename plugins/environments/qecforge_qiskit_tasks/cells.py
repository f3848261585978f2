"""The sandbox that programs of tasks run in: what its fork servers have imported, by tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from qecforge.sandbox import Profile, SandboxConfig, Tier
from qecforge_qiskit_tasks.tasks.loading import SHIPPED

__all__ = ["TYPES", "sandbox_config", "sandbox_report", "tiers"]

TYPES = ("qecforge_qiskit_tasks.codec_types",)
QISKIT = (
    *("qiskit", "qiskit.quantum_info", "qiskit.circuit.library", "qiskit.primitives", "qiskit.providers.fake_provider"),
    *("qiskit.transpiler.preset_passmanagers", "qiskit.transpiler.passes.synthesis.hls_plugins"),
    *("qiskit.circuit._add_control", "qiskit.converters", "qecforge_qiskit_tasks.checks.circuits"),
)
FULL = (
    *("qiskit_aer", "qiskit_aer.noise", "qiskit_aer.primitives", "scipy", "scipy.sparse", "matplotlib.pyplot"),
    "qiskit_ibm_runtime.fake_provider",
)
"""Those of them that are installed."""
CODES = (
    *("stim", "qecforge.codes", "qecforge_qiskit_tasks.checks.qec", "qecforge_qiskit_tasks.checks.qec_codes"),
    *("qecforge_qiskit_tasks.checks.qec_circuits", "qecforge_qiskit_tasks.checks.qec_memory"),
)
WARM = (
    "qiskit.transpiler.preset_passmanagers.plugin:PassManagerStagePluginManager",
    "qiskit.transpiler.passes.synthesis.plugin:HighLevelSynthesisPluginManager",
    "qecforge_qiskit_tasks.warming:use_once",
)
"""The first two look for installed plugins, which costs a transpilation more than all else. To transpile once would be
warmer still, but starts threads."""
ENVIRONMENT = {
    "QISKIT_PARALLEL": "FALSE",
    "QISKIT_IN_PARALLEL": "TRUE",
    "MPLBACKEND": "Agg",
    "MIMALLOC_ARENA_RESERVE": "65536",
}
"""Qiskit's allocator reserves address space by the gigabyte, which a limit on it would refuse."""


def _there(*modules: str) -> tuple[str, ...]:
    """Those of the modules that are installed."""
    from importlib.util import find_spec

    def found(name: str) -> bool:
        try:
            return find_spec(name) is not None
        except ImportError:
            return False

    return tuple(each for each in modules if found(each))


def tiers() -> tuple[Tier, ...]:
    """`core`: Qiskit; `full`: with Aer, scipy and matplotlib; `codes`: with what is known of stabilizer codes, for
    tests."""
    core = _there(*QISKIT)
    full = _there(*FULL)
    return (
        Tier("core", core, WARM),
        Tier("full", (*core, *full), WARM),
        Tier("codes", (*core, *full, *_there(*CODES)), WARM),
    )


def sandbox_config(cells: int | None = None, profile: str = Profile.BUBBLEWRAP) -> SandboxConfig:
    """A sandbox for programs of tasks. Our own tasks, with their tests and references, are hidden in its cells."""
    chosen = Profile(profile)
    return SandboxConfig(
        cells=cells,
        tiers=tiers(),
        types=TYPES,
        hidden=(str(SHIPPED),) if chosen is Profile.BUBBLEWRAP and SHIPPED.is_dir() else (),
        environment=ENVIRONMENT,
        profile=chosen,
    )


@cache
def sandbox_report(profile: str) -> Mapping[str, Any]:
    """What `qecforge sandbox check` finds of a profile on this machine, asked once by a process: `profile`, `holds`,
    and `layers`, each with `layer`, `state`, `probe`, `remedy`."""
    from qecforge.sandbox.checking import check_layers, sandbox_works

    layers = check_layers(Profile(profile))
    rows = [{**asdict(each), "state": each.state.value} for each in layers]
    return {"profile": str(profile), "holds": sandbox_works(layers), "layers": rows}
