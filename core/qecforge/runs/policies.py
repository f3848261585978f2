"""Trained policies, taken from the store and played again, also under conditions that they never saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from qecforge.contracts.closing import closing, closing_on_error
from qecforge.errors import CheckpointError, StoreError

if TYPE_CHECKING:
    from qecforge.contracts.agent import Agent
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.store import Store

__all__ = [
    "POLICY_ARTIFACT",
    "QUANTIZED_ARTIFACT",
    "build_environment",
    "fill_policy",
    "load_policy",
    "opened_environment",
    "policy_bytes",
]

POLICY_ARTIFACT = "policy.safetensors"
QUANTIZED_ARTIFACT = "quantized.safetensors"


def build_environment(
    plan: RunPlan, agent: Agent, *, num_envs: int | None = None, seed: int | None = None
) -> Environment:
    """The plan's environment, for as many members as the agent wants and with the run's seed, unless others are given.
    The caller closes it, and with it its reward."""
    seed = plan.seed if seed is None else seed
    make = partial(plan.environment.spec.make, plan.environment.config, seed=seed)
    members = num_envs or agent.num_envs
    if plan.reward is None:
        return make(num_envs=members, reward=None)
    reward = plan.reward.spec.make(plan.reward.config)
    with closing_on_error(reward, f"reward {plan.reward.spec.name}"):
        env = make(num_envs=members, reward=reward)
    env.hold(reward)
    return env


@contextmanager
def opened_environment(
    plan: RunPlan, agent: Agent, *, num_envs: int | None = None, seed: int | None = None
) -> Iterator[Environment]:
    """The environment of `build_environment`, closed with its reward at the end of the block."""
    env = build_environment(plan, agent, num_envs=num_envs, seed=seed)
    with closing(env, f"environment {plan.environment.spec.name}"):
        yield env


def policy_bytes(policy: Policy) -> bytes:
    """The policy's weights in the safetensors format."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()})


def fill_policy(policy: Policy, content: bytes) -> Policy:
    """Load weights from `policy_bytes` into a policy. Raises `CheckpointError` where they are damaged or do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights = load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"{POLICY_ARTIFACT}: not a safetensors file ({error}): train anew with --force"
        ) from error
    policy.load_state_dict(weights)
    return policy


def load_policy(
    store: Store,
    run_id: str,
    *,
    registry: Registry,
    environment: Mapping[str, Any] | None = None,
    num_envs: int | None = None,
) -> tuple[Environment, Policy]:
    """The policy that a run left, and an environment to play it in, which the caller closes. Of a run with a quantizer,
    the integer one.

    Args:
        run_id: A finished run.
        environment: Keys of the manifest's `environment` to replace, such as `{"noise": {...}}`: a noise-aware policy
            is evaluated on noise that it never saw.
        num_envs: Members of the environment; None for as many as in training.

    Raises:
        StoreError: no such run, or it left no policy.
        ManifestError: the replaced keys do not fit.
    """
    from qecforge.manifest import RunPlan

    run = store.run(run_id)
    artifacts = store.artifacts(run.id, kind="policy" if run.quantizer is None else "quantized")
    if not artifacts:
        raise StoreError(f"run {run.id} ({run.status}) left no policy: run its manifest to the end")
    plan = RunPlan.from_canonical(run.manifest, registry, environment=environment)
    agent = plan.agent.spec.make(plan.agent.config)
    content = store.read_artifact(artifacts[-1])
    env = build_environment(plan, agent, num_envs=num_envs)
    with closing_on_error(env, f"environment {run.environment}"):
        if run.quantizer is None:
            return env, fill_policy(agent.build_policy(env), content)
        from qecforge.inference.policy import load_quantized

        return env, load_quantized(content)
