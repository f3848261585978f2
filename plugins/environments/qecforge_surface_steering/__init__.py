"""Surface-code memory experiments whose gates drift, steered by their detection events.

A candidate is a vector of the control parameters of all gates; an epoch measures the detection rates that each
candidate leads to. The optimum drifts, and an agent that follows it holds the logical error rate.

Source: arXiv 2511.08493.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qecforge.hookspecs import Environment, EnvironmentSpec, Reward, hookimpl
from qecforge_surface_steering.config import SurfaceSteeringConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qecforge_surface_steering.circuits import color_code, surface_code
    from qecforge_surface_steering.environment import SurfaceSteering
    from qecforge_surface_steering.regions import DetectionModel
    from qecforge_surface_steering.tagged import TaggedCircuit

__all__ = [
    "DetectionModel",
    "SurfaceSteering",
    "SurfaceSteeringConfig",
    "TaggedCircuit",
    "color_code",
    "make",
    "qecforge_environments",
    "surface_code",
]

_LAZY = {
    "DetectionModel": "regions",
    "SurfaceSteering": "environment",
    "TaggedCircuit": "tagged",
    "color_code": "circuits",
    "surface_code": "circuits",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def make(config: SurfaceSteeringConfig, *, num_envs: int, seed: int, reward: Reward | None) -> Environment:
    """The environment of `EnvironmentSpec.make`; numba and stim are imported here."""
    from qecforge_surface_steering.environment import SurfaceSteering

    return SurfaceSteering(config, num_envs=num_envs, seed=seed, reward=reward)


@hookimpl
def qecforge_environments() -> Sequence[EnvironmentSpec]:
    """The one environment of this plugin."""
    return [
        EnvironmentSpec(
            name="surface_steering",
            summary="Hold a drifting processor calibrated by the detection events of its error correction",
            config=SurfaceSteeringConfig,
            make=make,
            actions="parameters",
            native_reward=True,
        )
    ]
