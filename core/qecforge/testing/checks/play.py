"""Playing an environment at random, and comparing what two plays gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, StepBuffers

__all__ = [
    "MEMBERS",
    "STEPS",
    "MakeEnvironment",
    "Step",
    "go_on",
    "new_buffers",
    "plain_values",
    "play",
    "same",
    "same_play",
    "same_state",
    "sample_actions",
]

MakeEnvironment: TypeAlias = Callable[[int, int], Environment]
"""`make(num_envs, seed)` -> a fresh environment, always of the same configuration."""

MEMBERS = 5
STEPS = 120

Step: TypeAlias = tuple[
    NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any], NDArray[np.bool_] | None
]
"""Observations, rewards, terminated, truncated, what ended episodes counted, action mask."""


def sample_actions(env: Environment, rng: np.random.Generator, mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Random actions, one for each member, allowed where there is a mask.

    Raises:
        TypeError: Actions that are neither discrete nor boxes.
    """
    space = env.single_action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        if mask is None:
            return int(space.start) + rng.integers(int(space.n), size=env.num_envs)
        return int(space.start) + np.array([rng.choice(np.flatnonzero(row)) for row in mask])
    if isinstance(space, gymnasium.spaces.Box):
        low, high = np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)
        return rng.uniform(low, high, size=(env.num_envs, *space.shape)).astype(space.dtype)
    raise TypeError(f"no random actions for {space}: the contract covers Discrete and Box")


def new_buffers(env: Environment) -> StepBuffers:
    """Buffers of the shapes and dtypes that `env` fills, each entry set to what it should overwrite."""
    observations, infos = env.reset()
    actions = sample_actions(env, np.random.default_rng(0), infos.get("action_mask"))
    _, rewards, terminated, truncated, _ = env.step(actions)
    mask = infos.get("action_mask")
    return StepBuffers(
        observations=np.full_like(observations, 1),
        rewards=np.full_like(rewards, np.nan),
        terminated=np.ones_like(terminated),
        truncated=np.ones_like(truncated),
        action_mask=None if mask is None else np.zeros_like(mask),
    )


def play(env: Environment, rng: np.random.Generator, seed: int | None, *, steps: int = STEPS) -> Iterator[Step]:
    """A reset, then steps of random actions."""
    observations, infos = env.reset(seed=seed)
    mask = infos.get("action_mask")
    nothing = np.zeros(env.num_envs, np.bool_)
    yield observations, np.zeros(env.num_envs, np.float32), nothing, nothing, {}, mask
    yield from go_on(env, rng, mask, steps=steps)


def go_on(
    env: Environment, rng: np.random.Generator, mask: NDArray[np.bool_] | None, *, steps: int = STEPS
) -> Iterator[Step]:
    """Steps of random actions, from where the environment is."""
    for _ in range(steps):
        observations, rewards, terminated, truncated, infos = env.step(sample_actions(env, rng, mask))
        mask = infos.get("action_mask")
        over = terminated | truncated
        counts = {name: np.asarray(infos[name])[over] for name in ("episode_return", "episode_length") if over.any()}
        yield observations, rewards, terminated, truncated, counts, mask


def same_play(first: list[Step], second: list[Step]) -> None:
    """Assert that two plays agree in every array."""
    names = ("observations", "rewards", "terminated", "truncated", "infos", "action_mask")
    assert len(first) == len(second)
    for step, (left, right) in enumerate(zip(first, second, strict=True)):
        for name, one, other in zip(names, left, right, strict=True):
            same(one, other, f"{name} at step {step}")


def same(one: Any, other: Any, what: str) -> None:
    """Assert that two nested values are equal."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), what
        for key in one:
            same(one[key], other[key], f"{what}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), what
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, f"{what}[{index}]")
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=f"{what} differs")


def same_state(one: Mapping[str, Any], other: Mapping[str, Any], what: str) -> None:
    """Assert that two states are equal."""
    same(dict(one), dict(other), what)


def plain_values(value: Any, where: str) -> None:
    """Assert that a state holds nothing but what an environment's may."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            assert isinstance(key, str), f"{where} has the key {key!r}, which is no string"
            plain_values(entry, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            plain_values(entry, f"{where}[{index}]")
    else:
        plain = value is None or isinstance(value, (bool, int, float, str, np.ndarray, np.generic))
        assert plain, f"{where} is a {type(value).__name__}: numbers, strings, lists, dicts and numpy arrays only"
        assert getattr(value, "dtype", None) != np.dtype(object), f"{where} is an array of objects"
