"""Trained policies, taken from the store and played again, also under conditions that they never saw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from qecforge.contracts.closing import closing, closing_on_error
from qecforge.contracts.environment import BaseEnvironment, Environment
from qecforge.contracts.policy import WEIGHTS, SavedPolicy
from qecforge.contracts.text import TextEnvironment
from qecforge.errors import CheckpointError, PluginError, StoreError, UserError, one_line
from qecforge.runs._watched import watch_steps

if TYPE_CHECKING:
    from qecforge.contracts.agent import Agent
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.store import Run, Store

__all__ = [
    "FITTED_KIND",
    "QUANTIZED_ARTIFACT",
    "build_environment",
    "file_fitted",
    "fill_policy",
    "fitted_files",
    "kept_files",
    "left_no_policy",
    "load_policy",
    "opened_environment",
    "plan_of_installed",
    "policy_files",
    "policy_of_run",
]

P = TypeVar("P", bound=SavedPolicy)

QUANTIZED_ARTIFACT = "quantized.safetensors"
FITTED_KIND, _FITTED = "environment", "fitted.safetensors"
"""Kind and name of the artifact that keeps what an environment has fitted."""


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
        if isinstance(env, Environment):
            watch_steps(env, plan)
        return env
    with closing(env, f"environment {spec.name}"):
        raise PluginError(
            f"environment {spec.name} takes {spec.actions}, for which it makes a {type(env).__name__}, expected a "
            f"{expected.__name__}: report it to the plugin's authors"
        )


@contextmanager
def opened_environment(
    plan: RunPlan,
    agent: Agent[Any, Any],
    *,
    num_envs: int | None = None,
    seed: int | None = None,
    fitted: Mapping[str, bytes] | None = None,
) -> Iterator[Any]:
    """The environment of `build_environment`, closed with its reward at the end of the block.

    Args:
        fitted: What `fitted_files` gives of the run whose policy is played; None where one is trained from the start.
    """
    env = build_environment(plan, agent, num_envs=num_envs, seed=seed)
    with closing(env, f"environment {plan.environment.spec.name}"):
        _load_fitted(env, fitted)
        yield env


def file_fitted(store: Store, run_id: str, env: BaseEnvironment) -> None:
    """Keep what the environment of a training has fitted (`BaseEnvironment.fitted_state`), if anything, as the run's.
    Done before the policy is kept: a run that has one has all that plays it."""
    if state := env.fitted_state():
        from safetensors.numpy import save

        store.add_artifact(run_id, FITTED_KIND, _FITTED, save({name: np.array(each) for name, each in state.items()}))


def fitted_files(store: Store, run_id: str) -> dict[str, bytes]:
    """What `file_fitted` has kept of a run, by name; none where there was nothing."""
    return {each.name: store.read_artifact(each) for each in store.artifacts(run_id, kind=FITTED_KIND)}


def _load_fitted(env: BaseEnvironment, files: Mapping[str, bytes] | None) -> None:
    if not files or _FITTED not in files:
        return
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state = load(files[_FITTED])
    except SafetensorError as error:
        raise CheckpointError(f"{_FITTED}: not a safetensors file ({error}): run its manifest anew") from error
    env.load_fitted_state(state)


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


def plan_of_installed(run: Run, registry: Registry, *, environment: Mapping[str, Any] | None = None) -> RunPlan:
    """The plan of a run with the plugins that are installed, of whatever version: to build its environment and policy.

    Raises:
        PluginError: they are of other versions than the run's, and cannot be configured as it was.
        ManifestError: keys of `environment` do not fit.
    """
    from qecforge.manifest import RunPlan

    with _blaming_versions(run, registry):
        return RunPlan.from_canonical(run.manifest, registry, environment=environment, any_version=True)


@contextmanager
def _blaming_versions(run: Run, registry: Registry) -> Iterator[None]:
    """Where plugins are of other versions than a run's, that is what is wrong with what cannot be built."""
    try:
        yield
    except UserError as error:
        content = json.loads(run.manifest)
        for kind, planned in content["plugins"].items():
            name, made_with = content[kind]["plugin"], (planned["distribution"], planned["version"])
            installed = registry.get(kind, name)
            if (installed.distribution, installed.version) != made_with:
                raise PluginError(
                    f"run {run.id} was made with {kind} {name} of {' '.join(made_with)}, and {installed.distribution} "
                    f"{installed.version}, which is installed, cannot build what it left ({one_line(error, 300)}): "
                    "install the former"
                ) from error
        raise


def policy_of_run(run: Run, files: Mapping[str, bytes], registry: Registry) -> Any:
    """The float policy of a run, whatever versions of its plugins are installed: built by its agent, else by the
    description in its own file.

    Args:
        files: What `kept_files` gives of the run, or of another one that copied them.

    Raises:
        PluginError: neither can be done, and other versions are installed than the run was made with.
        CheckpointError: the files are damaged.
    """
    try:
        plan = plan_of_installed(run, registry)
        agent = plan.agent.spec.make(plan.agent.config)
        with opened_environment(plan, agent, num_envs=1) as env, _blaming_versions(run, registry):
            return fill_policy(agent.build_policy(env), files)
    except UserError:
        from qecforge.inference.described import described_policy

        described = described_policy(files[WEIGHTS]) if set(files) == {WEIGHTS} else None
        if described is None:
            raise
        return described


def left_no_policy(run: Run) -> str:
    """What to say of a run without one. A finished run has none where it was taken from records."""
    advice = "start the run anew with `force`" if run.status == "finished" else "run its manifest to the end"
    return f"run {run.id} ({run.status}) left no policy: {advice}"


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
        PluginError: the run was made with other versions of its plugins, and those that are installed cannot build its
            environment or its policy.
    """
    run = store.run(run_id)
    quantized = store.artifacts(run.id, kind="quantized")
    files = kept_files(store, run.id) if run.quantizer is None else {}
    if not (files or quantized):
        raise StoreError(left_no_policy(run))
    plan = plan_of_installed(run, registry, environment=environment)
    agent = plan.agent.spec.make(plan.agent.config)
    env = build_environment(plan, agent, num_envs=num_envs)
    with closing_on_error(env, f"environment {run.environment}"):
        _load_fitted(env, fitted_files(store, run.id))
        if run.quantizer is None:
            with _blaming_versions(run, registry):
                return env, fill_policy(agent.build_policy(env), files)
        from qecforge.inference.policy import load_quantized

        return env, load_quantized(store.read_artifact(quantized[-1]))
