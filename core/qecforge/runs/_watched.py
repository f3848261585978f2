"""The steps of a run's environment under watch: what they give has its shape and is finite, and `out` is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, ParameterEnvironment
from qecforge.errors import QecforgeError, one_line
from qecforge.learning.stepping import FilledSteps, Step

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan

__all__ = ["WatchedSteps", "count_from", "watch_steps"]


class WatchedSteps(FilledSteps):
    """Stands in the place of an environment's `reset` and `step`. Both raise `QecforgeError`, which names the plugin,
    for a number that is not finite and for an array of another shape than the contract has.

    Attributes:
        done: Steps as the agent counts them: one for each member or, of parameters, one epoch.
    """

    def __init__(self, env: Environment, plan: RunPlan) -> None:
        super().__init__(env)
        self._environment = f"environment {plan.environment.spec.name}"
        reward = "the native reward" if plan.reward is None else f"reward {plan.reward.spec.name}"
        self._rewarding = f"{reward} of {self._environment}"
        self._watched = env
        self._of_parameters = isinstance(env, ParameterEnvironment)
        self.done = 0

    def _checked_reset(self, returned: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        observations, infos = self._parts("reset", returned, 2)
        self._check_observations(observations)
        return observations, infos

    def _checked_step(self, returned: Any) -> Step:
        observations, rewards, terminated, truncated, infos = self._parts("step", returned, 5)
        self.done += 1 if self._of_parameters else self._watched.num_envs
        self._check_observations(observations)
        rewarded = np.asarray(rewards)
        members = (self._watched.num_envs,)
        if not (self._of_parameters and rewarded.shape[:1] == members and rewarded.ndim == 2):
            self._check_shape("rewards", rewarded, members)
        self._check_shape("terminated", np.asarray(terminated), members)
        self._check_shape("truncated", np.asarray(truncated), members)
        self._check_finite(self._rewarding, rewarded, "a finite number")
        return observations, rewards, terminated, truncated, infos

    def _parts(self, method: str, returned: Any, count: int) -> Any:
        if isinstance(returned, tuple | list) and len(returned) == count:
            return returned
        got = f"{len(returned)} items" if isinstance(returned, tuple | list) else one_line(repr(returned), 60)
        raise self._unfit(f"{method} returned {got} at step {self.done}, expected {count} items")

    def _check_observations(self, observations: Any) -> None:
        array, space = np.asarray(observations), self._watched.single_observation_space
        if space.shape is not None:
            self._check_shape("observations", array, (self._watched.num_envs, *space.shape))
        self._check_finite(self._environment, array, "finite observations")

    def _check_shape(self, name: str, array: NDArray[Any], expected: tuple[int, ...]) -> None:
        if array.shape != expected or array.dtype.kind not in "biuf":
            got = f"{array.dtype} of shape {array.shape}"
            raise self._unfit(f"its {name} at step {self.done} are {got}, expected numbers of shape {expected}")

    def _unfit(self, what: str) -> QecforgeError:
        return QecforgeError(f"{self._environment}: {what}: report it to the plugin's authors")

    def _check_finite(self, who: str, array: NDArray[Any], expected: str) -> None:
        if array.dtype.kind != "f":
            return
        finite = np.isfinite(array)
        if not finite.all():
            member = int(np.argwhere(~finite)[0, 0])
            raise QecforgeError(
                f"{who}: gave {array[~finite][0]} for member {member} at step {self.done}, expected {expected}: "
                "correct what it computes there"
            )


def watch_steps(env: Environment, plan: RunPlan) -> None:
    """Put an environment's `reset` and `step` under watch, for as long as it lives."""
    watched = WatchedSteps(env, plan)
    env.reset, env.step = watched.reset, watched.step  # type: ignore[method-assign]


def count_from(env: object, step: int) -> None:
    """Say how many steps a watched environment's agent has done."""
    watched = getattr(getattr(env, "step", None), "__self__", None)
    if isinstance(watched, WatchedSteps):
        watched.done = step
