"""Surface-code memory experiments whose gates drift, steered by their detection events.

A candidate is a vector of the control parameters of all gates; an epoch measures the detection rates that each
candidate leads to. The optimum drifts, and an agent that follows it holds the logical error rate.

Source: arXiv 2511.08493.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qecforge.contracts import Environment, EvaluationContext, PluginConfig, Policy, Reward
from qecforge.hookspecs import EnvironmentSpec, EvaluationSpec, ReproductionSpec, hookimpl
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.decoder_config import DecoderPriorsConfig, DecoderSteeringConfig
from qecforge_surface_steering.evaluations.config import GradientRelationConfig, SteeringEvaluationConfig
from qecforge_surface_steering.reproduction.spec import REPRODUCTION
from qecforge_surface_steering.views import DECODER_STEERING, SURFACE_STEERING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qecforge_surface_steering.decoder_environment import DecoderSteering
    from qecforge_surface_steering.device.circuits import color_code, surface_code
    from qecforge_surface_steering.device.regions import DetectionModel
    from qecforge_surface_steering.device.tagged import TaggedCircuit
    from qecforge_surface_steering.environment import SurfaceSteering

__all__ = [
    "DecoderSteering",
    "DecoderSteeringConfig",
    "DetectionModel",
    "SurfaceSteering",
    "SurfaceSteeringConfig",
    "TaggedCircuit",
    "color_code",
    "make",
    "qecforge_cli",
    "qecforge_environments",
    "qecforge_reproductions",
    "surface_code",
]

_LAZY = {
    "DecoderSteering": "decoder_environment",
    "DetectionModel": "device.regions",
    "SurfaceSteering": "environment",
    "TaggedCircuit": "device.tagged",
    "color_code": "device.circuits",
    "surface_code": "device.circuits",
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


def evaluate_steering(
    env: Environment, policy: Policy, config: SteeringEvaluationConfig, context: EvaluationContext
) -> None:
    """See `evaluation`; stim and pymatching are imported here."""
    from qecforge_surface_steering.evaluations.steering import evaluate_steering

    evaluate_steering(env, policy, config, context)


def check_steering(environment: SurfaceSteeringConfig, agent: PluginConfig, config: SteeringEvaluationConfig) -> None:
    """See `evaluation_check`."""
    from qecforge_surface_steering.evaluations.check import check_steering

    check_steering(environment, agent, config)


def evaluate_gradient_relation(
    env: Environment, policy: Policy, config: GradientRelationConfig, context: EvaluationContext
) -> None:
    """See `gradient_relation`; stim and pymatching are imported here."""
    from qecforge_surface_steering.evaluations.gradient_relation import evaluate_gradient_relation

    evaluate_gradient_relation(env, policy, config, context)


def check_gradient_relation(
    environment: SurfaceSteeringConfig, agent: PluginConfig, config: GradientRelationConfig
) -> None:
    """See `evaluation_check`."""
    from qecforge_surface_steering.evaluations.check import check_gradient_relation

    check_gradient_relation(environment, agent, config)


def make_decoder_steering(
    config: DecoderSteeringConfig, *, num_envs: int, seed: int, reward: Reward | None
) -> Environment:
    """The environment of `EnvironmentSpec.make`; stim and pymatching are imported here."""
    from qecforge_surface_steering.decoder_environment import DecoderSteering

    return DecoderSteering(config, num_envs=num_envs, seed=seed, reward=reward)


def evaluate_decoder_priors(
    env: Environment, policy: Policy, config: DecoderPriorsConfig, context: EvaluationContext
) -> None:
    """See `decoder_evaluation`."""
    from qecforge_surface_steering.evaluations.decoder_priors import compare_priors

    compare_priors(env, policy, config, context)


@hookimpl
def qecforge_environments() -> Sequence[EnvironmentSpec]:
    """The environments of this plugin: a device to be steered, and a decoder."""
    return [
        EnvironmentSpec(
            name="surface_steering",
            summary="Keep a drifting processor calibrated from the detection events of its error correction",
            config=SurfaceSteeringConfig,
            make=make,
            actions="parameters",
            native_reward=True,
            evaluations=(
                EvaluationSpec(
                    name="steering",
                    summary="Fixed, steered and optimal control: detection and logical error rates, response to steps",
                    config=SteeringEvaluationConfig,
                    evaluate=evaluate_steering,
                    check=check_steering,
                ),
                EvaluationSpec(
                    name="gradient_relation",
                    summary="Slopes of the logical error rate and of the detection rate along random directions",
                    config=GradientRelationConfig,
                    evaluate=evaluate_gradient_relation,
                    check=check_gradient_relation,
                ),
            ),
            view=SURFACE_STEERING,
        ),
        EnvironmentSpec(
            name="decoder_steering",
            summary="Tune the gate error probabilities that a decoder assumes, to lower the logical error rate",
            config=DecoderSteeringConfig,
            make=make_decoder_steering,
            actions="parameters",
            native_reward=True,
            evaluations=(
                EvaluationSpec(
                    name="decoder_priors",
                    summary="Logical error rates with the nominal, the tuned, the learned and the true prior",
                    config=DecoderPriorsConfig,
                    evaluate=evaluate_decoder_priors,
                ),
            ),
            view=DECODER_STEERING,
        ),
    ]


@hookimpl
def qecforge_cli(app: Any) -> None:
    """Add `qecforge decoders fit` and `qecforge steering tag`."""
    from qecforge_surface_steering.cli import register

    register(app)


@hookimpl
def qecforge_reproductions() -> Sequence[ReproductionSpec]:
    """`steering`, the paper that this plugin is from."""
    return [REPRODUCTION]
