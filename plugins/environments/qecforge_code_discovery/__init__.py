"""Discovery of stabilizer codes and their encoders, gate by gate.

An episode starts with the trivial code (qubits k..n-1 in |0>); each action appends a Clifford gate to the encoder or
stops; it ends on stop, on the gate budget, or once every Knill-Laflamme condition for weight < d holds.

Source: Olle et al., arXiv 2311.04750; the argmax-preserving-quantization paper, section 5 (noise-aware variant).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qecforge.codes.packed import TABLEAU
from qecforge.contracts import Environment, Reward
from qecforge.hookspecs import EnvironmentSpec, ReproductionSpec, hookimpl
from qecforge_code_discovery.config import CodeDiscoveryConfig
from qecforge_code_discovery.reproduction.spec import REPRODUCTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qecforge_code_discovery.environment import CodeDiscovery
    from qecforge_code_discovery.target import config_from_target, connectivity_from_coupling_map, noise_from_target

__all__ = [
    "CodeDiscovery",
    "CodeDiscoveryConfig",
    "config_from_target",
    "connectivity_from_coupling_map",
    "make",
    "noise_from_target",
    "qecforge_environments",
    "qecforge_reproductions",
]

_LAZY = {
    "CodeDiscovery": "environment",
    "config_from_target": "target",
    "connectivity_from_coupling_map": "target",
    "noise_from_target": "target",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def make(config: CodeDiscoveryConfig, *, num_envs: int, seed: int, reward: Reward | None) -> Environment:
    """The environment of `EnvironmentSpec.make`; numba is imported here."""
    from qecforge_code_discovery.environment import CodeDiscovery

    return CodeDiscovery(config, num_envs=num_envs, seed=seed, reward=reward)


@hookimpl
def qecforge_environments() -> Sequence[EnvironmentSpec]:
    """The one environment of this plugin."""
    return [
        EnvironmentSpec(
            name="code_discovery",
            summary="Build an encoding circuit gate by gate until the code has the target distance",
            config=CodeDiscoveryConfig,
            make=make,
            actions="discrete",
            shows=TABLEAU,
            finds_codes=True,
            can_peek=True,
        )
    ]


@hookimpl
def qecforge_reproductions() -> Sequence[ReproductionSpec]:
    """The search for encoders with few gates."""
    return [REPRODUCTION]
