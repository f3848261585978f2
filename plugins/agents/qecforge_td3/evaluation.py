"""Evaluation `quantum_backends`: a trained policy played with its circuits carried out elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from qecforge.contracts import Environment, EvaluationContext, PluginConfig, Policy
from qecforge.errors import ConfigurationError
from qecforge.hookspecs import EvaluationSpec
from qecforge_td3.config import TD3Config

__all__ = ["QUANTUM_BACKENDS", "Depolarizing", "Fake", "QuantumBackendsConfig"]


class Fake(PluginConfig):
    """A backend of qiskit that imitates a device: its gates, its connections, its noise."""

    fake: str = Field(description="Its name, such as generic_10, or one of qiskit-ibm-runtime's where that is there.")


class Depolarizing(PluginConfig):
    """The simulation of qiskit-aer with noise."""

    depolarizing: float = Field(
        ge=0, le=1, description="Parameter of the depolarizing channel after every gate, on each of its qubits."
    )


class QuantumBackendsConfig(PluginConfig):
    """Test returns of the trained policy with its circuits on each of these backends."""

    backends: tuple[Literal["exact"] | Fake | Depolarizing, ...] = Field(
        default=("exact",),
        min_length=1,
        description="exact: the simulation by which it was trained; {fake: NAME}: a device's imitation; "
        "{depolarizing: p}: noise after every gate.",
    )
    episodes: int = Field(default=20, ge=1, description="Episodes on each, the same starts for all of them.")


def _label(backend: str | Fake | Depolarizing) -> str:
    if isinstance(backend, Fake):
        return f"fake_{backend.fake}"
    return f"depolarizing_{backend.depolarizing:g}" if isinstance(backend, Depolarizing) else backend


def _given(backend: str | Fake | Depolarizing) -> Any:
    """As `qecforge_td3.quantum` takes it."""
    return backend if isinstance(backend, str) else backend.model_dump()


def _check(environment: object, agent: TD3Config, config: QuantumBackendsConfig) -> None:
    """Refuse, while a manifest is read, an agent without circuits, and backends that are not there."""
    if not isinstance(agent, TD3Config) or agent.block != "pqc":
        raise ValueError("quantum_backends: the agent has no quantum circuit: set agent.block to pqc, or leave it out")
    labels = [_label(each) for each in config.backends]
    if len(set(labels)) < len(labels):
        raise ValueError(f"quantum_backends: a backend is named twice ({', '.join(labels)}): leave one out")
    if any(not isinstance(each, str) for each in config.backends):
        from qecforge_td3.quantum import PaperCircuit, make_backend

        for each in config.backends:
            make_backend(_given(each), PaperCircuit(agent.qubits, agent.layers, agent.rotation))


def _evaluate(env: Environment, policy: Policy, config: QuantumBackendsConfig, context: EvaluationContext) -> None:
    from qecforge.evaluation.policies.returns import evaluate_policy
    from qecforge_td3.policy import HybridPolicy

    if not isinstance(policy, HybridPolicy):
        raise ConfigurationError("quantum_backends: the policy is not one of td3's: train it with td3, `block: pqc`")
    each = -(-config.episodes // env.num_envs) * env.num_envs
    for number, backend in enumerate(config.backends):

        def progress(done: int, _: int, before: int = number * each) -> None:
            context.progress(before + done, len(config.backends) * each)

        played = evaluate_policy(
            env,
            policy.with_backend(_given(backend)),
            episodes=config.episodes,
            seed=context.seed,
            should_stop=context.cancelled,
            progress=progress,
        )
        if context.cancelled():
            return
        context.payload(_label(backend), {"backend": _given(backend)} | played.to_payload(), values=played.values())


QUANTUM_BACKENDS = EvaluationSpec(
    name="quantum_backends",
    summary="Test returns of the trained policy with its circuits on other backends: fake devices, noise",
    config=QuantumBackendsConfig,
    evaluate=_evaluate,
    check=_check,
)
