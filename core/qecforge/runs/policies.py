"""Trained policies, taken from the store and played again, also under conditions that they never saw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qecforge.contracts.closing import closing, closing_on_error
from qecforge.contracts.environment import BaseEnvironment, Environment
from qecforge.contracts.policy import SavedPolicy
from qecforge.contracts.text import TextEnvironment
from qecforge.errors import PluginError, StoreError

if TYPE_CHECKING:
    from qecforge.contracts.agent import Agent
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.store import Store

__all__ = [
    "QUANTIZED_ARTIFACT",
    "build_environment",
    "fill_policy",
    "kept_files",
    "load_policy",
    "opened_environment",
    "policy_files",
]

P = TypeVar("P", bound=SavedPolicy)

QUANTIZED_ARTIFACT = "quantized.safetensors"


def build_environment(
    plan: RunPlan, agent: Agent[Any, Any], *, num_envs: int | None = None, seed: int | None = None
) -> Any:
    """The plan's environment, for as many members as the agent wants and with the run's seed, unless others are given.
    The caller closes it, and with it its reward.

    Returns:
        An `Environment` or, where the kind of action is `text`, a `TextEnvironment`.

    Raises:
        PluginError: The plugin makes the other of the two.
    """
    seed = plan.seed if seed is None else seed
    make = partial(plan.environment.spec.make, plan.environment.config, seed=seed)
    members = num_envs or agent.num_envs
    if plan.reward is None:
        return _of_its_kind(plan, make(num_envs=members, reward=None))
    reward = plan.reward.spec.make(plan.reward.config)
    with closing_on_error(reward, f"reward {plan.reward.spec.name}"):
        env = make(num_envs=members, reward=reward)
    env.hold(reward)
    return _of_its_kind(plan, env)


def _of_its_kind(plan: RunPlan, env: BaseEnvironment) -> BaseEnvironment:
    spec = plan.environment.spec
    expected = TextEnvironment if spec.actions == "text" else Environment
    if isinstance(env, expected):
        return env
    with closing(env, f"environment {spec.name}"):
        raise PluginError(
            f"environment {spec.name} takes {spec.actions}, for which it makes a {type(env).__name__}, expected a "
            f"{expected.__name__}: report it to the plugin's authors"
        )


@contextmanager
def opened_environment(
    plan: RunPlan, agent: Agent[Any, Any], *, num_envs: int | None = None, seed: int | None = None
) -> Iterator[Any]:
    """The environment of `build_environment`, closed with its reward at the end of the block."""
    env = build_environment(plan, agent, num_envs=num_envs, seed=seed)
    with closing(env, f"environment {plan.environment.spec.name}"):
        yield env


def policy_files(policy: SavedPolicy) -> Mapping[str, bytes | Path]:
    """The policy's files by name, to be filed as the run's.

    Raises:
        PluginError: it gives no files, or names that files cannot have.
    """
    files = policy.files()
    if not files:
        raise PluginError(f"{type(policy).__name__}.files() gave none: report it to the plugin's authors")
    for name in files:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
            raise PluginError(
                f"{type(policy).__name__}.files() gave the name {name!r}, expected letters, digits, '.', '_' and '-': "
                "report it to the plugin's authors"
            )
    return files


def kept_files(store: Store, run_id: str) -> dict[str, bytes]:
    """The files of a run's float policy, by name; none where it left none."""
    return {each.name: store.read_artifact(each) for each in store.artifacts(run_id, kind="policy")}


def fill_policy(policy: P, files: Mapping[str, bytes]) -> P:
    """Load `SavedPolicy.files` into a policy. Raises `CheckpointError` where they are damaged or do not fit."""
    policy.load_files(files)
    return policy


def load_policy(
    store: Store,
    run_id: str,
    *,
    registry: Registry,
    environment: Mapping[str, Any] | None = None,
    num_envs: int | None = None,
) -> tuple[Any, Any]:
    """The policy that a run left, and an environment to play it in, which the caller closes. Of a run with a quantizer,
    the integer one.

    Args:
        run_id: A finished run.
        environment: Keys of the manifest's `environment` to replace, such as `{"noise": {...}}`: a noise-aware policy
            is evaluated on noise that it never saw.
        num_envs: Members of the environment; None for as many as in training.

    Returns:
        An `Environment` and a `Policy` or, of a run on text, a `TextEnvironment` and a `TextPolicy`.

    Raises:
        StoreError: no such run, or it left no policy.
        ManifestError: the replaced keys do not fit.
    """
    from qecforge.manifest import RunPlan

    run = store.run(run_id)
    quantized = store.artifacts(run.id, kind="quantized")
    files = kept_files(store, run.id) if run.quantizer is None else {}
    if not (files or quantized):
        raise StoreError(f"run {run.id} ({run.status}) left no policy: run its manifest to the end")
    plan = RunPlan.from_canonical(run.manifest, registry, environment=environment)
    agent = plan.agent.spec.make(plan.agent.config)
    env = build_environment(plan, agent, num_envs=num_envs)
    with closing_on_error(env, f"environment {run.environment}"):
        if run.quantizer is None:
            return env, fill_policy(agent.build_policy(env), files)
        from qecforge.inference.policy import load_quantized

        return env, load_quantized(store.read_artifact(quantized[-1]))
