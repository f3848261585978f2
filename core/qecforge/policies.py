"""Trained policies, taken from the store and played again, also under conditions that they never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.errors import CheckpointError, ConfigurationError, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qecforge.hookspecs import Agent, Environment, Policy
    from qecforge.manifest import RunPlan
    from qecforge.plugins import Registry
    from qecforge.store import Store

__all__ = [
    "POLICY_ARTIFACT",
    "QUANTIZED_ARTIFACT",
    "EpisodeStatistics",
    "build_environment",
    "evaluate_policy",
    "fill_policy",
    "load_policy",
    "policy_bytes",
]

POLICY_ARTIFACT = "policy.safetensors"
QUANTIZED_ARTIFACT = "quantized.safetensors"


@dataclass(frozen=True)
class EpisodeStatistics:
    """What a policy did over whole episodes.

    Attributes:
        returns: (N,) float64, undiscounted sum of rewards of each episode.
        lengths: (N,) int64, steps of each episode.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


def build_environment(plan: RunPlan, agent: Agent, *, num_envs: int | None = None) -> Environment:
    """The plan's environment with its reward, for as many members as the agent wants."""
    reward = plan.reward.spec.make(plan.reward.config) if plan.reward else None
    return plan.environment.spec.make(
        plan.environment.config, num_envs=num_envs or agent.num_envs, seed=plan.seed, reward=reward
    )


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
    """The policy that a run left, and an environment to play it in. Of a run with a quantizer, the integer one.

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
    env = build_environment(plan, agent, num_envs=num_envs)
    content = store.read_artifact(artifacts[-1])
    if run.quantizer is not None:
        from qecforge.inference.policy import load_quantized

        return env, load_quantized(content)
    return env, fill_policy(agent.build_policy(env), content)


def evaluate_policy(
    env: Environment, policy: Policy, *, episodes: int, seed: int = 0, deterministic: bool = True
) -> EpisodeStatistics:
    """Play whole episodes, without learning.

    Every member plays the same number of episodes, so that short ones are not counted more often; the result holds at
    least `episodes` of them, `ceil(episodes / B)` for each of the B members.

    Raises:
        ConfigurationError: `episodes` is below 1.
    """
    if episodes < 1:
        raise ConfigurationError(f"episodes: got {episodes}, expected 1 or more")
    quota = -(-episodes // env.num_envs)
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    played = np.zeros(env.num_envs, dtype=np.int64)
    returns = np.zeros((quota, env.num_envs))
    lengths = np.zeros((quota, env.num_envs), dtype=np.int64)
    while played.min() < quota:
        actions = policy.act(observations, action_mask=infos.get("action_mask"), deterministic=deterministic, rng=rng)
        observations, _, terminated, truncated, infos = env.step(actions)
        for member in np.flatnonzero((terminated | truncated) & (played < quota)):
            returns[played[member], member] = infos["episode_return"][member]
            lengths[played[member], member] = infos["episode_length"][member]
            played[member] += 1
    return EpisodeStatistics(returns.T.ravel(), lengths.T.ravel())
