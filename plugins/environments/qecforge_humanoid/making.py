"""Environments of Gymnasium by their ids: which there are, what they need, and making them without a noise."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled, Error
from numpy.typing import NDArray

from qecforge.errors import MissingDependency, did_you_mean, one_line
from qecforge.machine.extras import missing_dependency

__all__ = ["GL_PACKAGES", "check_id", "is_mujoco", "make_single", "quietly", "spec_of"]

logger = logging.getLogger(__name__)

GL_PACKAGES = (
    "install an OpenGL library, such as Debian's libosmesa6 (MUJOCO_GL=osmesa) or libegl1 with libegl-mesa0 "
    "(MUJOCO_GL=egl)"
)
"""What to do where MuJoCo cannot draw."""
_MUJOCO = "gymnasium.envs.mujoco."
_NEEDED = ("mujoco", "imageio")
"""What Gymnasium imports for its MuJoCo environments."""


def check_id(name: str) -> None:
    """Raise `ValueError` unless Gymnasium has an environment of this id with bounded continuous actions, which is the
    same after the same seed and actions.

    Of those in MuJoCo, which are, none is made: a manifest can be read where MuJoCo is not installed.
    """
    spec = spec_of(name)
    if not is_mujoco(spec):
        _check_made(name)


def spec_of(name: str) -> EnvSpec:
    """What Gymnasium has registered as `name`. Raises `ValueError` where there is nothing, naming what is nearest."""
    module, colon, short = name.rpartition(":")
    if colon and not name.startswith(":"):
        try:
            import_module(module)
        except Exception as error:
            raise ValueError(
                f"{name!r}: module {module!r} cannot be imported ({one_line(error, 200)}): install it, or correct it"
            ) from error
    if short not in gymnasium.registry:
        offered = [each for each, spec in gymnasium.registry.items() if isinstance(spec.entry_point, str)]
        near = did_you_mean(short, offered) or " Give one that gymnasium.pprint_registry() lists."
        raise ValueError(f"{short!r} is no environment of Gymnasium {gymnasium.__version__}.{near}")
    return gymnasium.registry[short]


def is_mujoco(spec: EnvSpec) -> bool:
    """Whether it is one of Gymnasium's own in MuJoCo, with nothing wrapped around it."""
    entry = spec.entry_point
    return isinstance(entry, str) and entry.startswith(_MUJOCO) and not spec.additional_wrappers


@contextmanager
def quietly() -> Iterator[None]:
    """In the block, Gymnasium does not warn that an environment of an earlier version was asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*The environment .* is out of date", DeprecationWarning)
        yield


def make_single(name: str, **settings: Any) -> gymnasium.Env[Any, Any]:
    """One environment, without a limit of steps. Its actions go unchecked: the caller checks them.

    Args:
        settings: Of `gymnasium.make`, such as `render_mode`.

    Raises:
        MissingDependency: a package that it needs is not installed.
    """
    spec = spec_of(name)
    if is_mujoco(spec):
        for package in _NEEDED:
            if find_spec(package) is None:
                raise missing_dependency(f"environment humanoid: {spec.id}", package, "control")
        _import_mujoco(spec.id)
    try:
        with quietly():
            made = gymnasium.make(spec, disable_env_checker=True, max_episode_steps=-1, **settings)
    except (DependencyNotInstalled, ImportError) as error:
        raise MissingDependency(f"environment humanoid: {spec.id}: {one_line(error, 200)}") from error
    return made.unwrapped if is_mujoco(spec) else made


@cache
def _check_made(name: str) -> None:
    """Make one and look at it."""
    try:
        env = make_single(name)
    except (MissingDependency, Error, TypeError) as error:
        raise ValueError(f"{name!r} cannot be made: {one_line(error, 200)}") from error
    try:
        _check_spaces(name, env.action_space, env.observation_space)
        if not np.array_equal(_played(env), _played(env)):
            raise ValueError(
                f"{name!r} is not the same after the same seed and actions, so that a run of it could not be resumed: "
                "use only np_random for random numbers in it"
            )
    finally:
        env.close()


def _check_spaces(name: str, actions: gymnasium.Space[Any], observations: gymnasium.Space[Any]) -> None:
    if not isinstance(actions, gymnasium.spaces.Box):
        raise ValueError(
            f"{name!r} has the actions {one_line(actions, 80)}, which are not continuous: choose one whose action "
            "space is a Box, such as Humanoid-v4 or Pendulum-v1"
        )
    if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise ValueError(f"{name!r} has unbounded actions: register it with finite bounds")
    if not isinstance(observations, gymnasium.spaces.Box):
        raise ValueError(
            f"{name!r} shows {type(observations).__name__} observations, expected a Box: register it with "
            "FlattenObservation"
        )


def _played(env: gymnasium.Env[Any, Any]) -> NDArray[np.float64]:
    """Observations and rewards of a few steps, in one row."""
    rng, space = np.random.default_rng(0), env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    found = [np.ravel(env.reset(seed=0)[0])]
    for _ in range(8):
        observation, reward, terminated, truncated, _ = env.step(rng.uniform(space.low, space.high).astype(space.dtype))
        found += [np.ravel(observation), np.array([reward])]
        if terminated or truncated:
            break
    return np.concatenate(found).astype(np.float64)


def _import_mujoco(name: str) -> None:
    """Import MuJoCo, and take its warnings, which it would write to MUJOCO_LOG.TXT in the working directory.

    Raises:
        MissingDependency: MUJOCO_GL asks for a library that is not there, without which MuJoCo is not imported.
    """
    asked = os.environ.get("MUJOCO_GL")
    try:
        import mujoco
    except Exception as error:
        if not asked:
            raise
        raise MissingDependency(
            f"environment humanoid: {name}: MuJoCo cannot be imported with MUJOCO_GL={asked!r} "
            f"({one_line(error, 100)}): {GL_PACKAGES}, or unset MUJOCO_GL"
        ) from error
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_log_warning)


def _log_warning(text: str) -> None:
    logger.warning("MuJoCo: %s", one_line(text, 300))
