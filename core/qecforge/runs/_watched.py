"""The steps of a run's environment under watch: rewards are finite, and `out` is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.contracts.environment import Environment, ParameterEnvironment, StepBuffers
from qecforge.errors import QecforgeError
from qecforge.learning.stepping import FilledSteps, Step

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan

__all__ = ["WatchedSteps", "count_from", "watch_steps"]


class WatchedSteps(FilledSteps):
    """Stands in the place of an environment's `reset` and `step`.

    Attributes:
        done: Steps as the agent counts them: one for each member or, of parameters, one epoch.
    """

    def __init__(self, env: Environment, plan: RunPlan) -> None:
        super().__init__(env)
        reward = "the native reward" if plan.reward is None else f"reward {plan.reward.spec.name}"
        self._what = f"{reward} of environment {plan.environment.spec.name}"
        self._each = 1 if isinstance(env, ParameterEnvironment) else env.num_envs
        self.done = 0

    def step(self, actions: Any, out: StepBuffers | None = None) -> Step:
        """As `Environment.step`. Raises `QecforgeError` for a reward that is not finite."""
        found = super().step(actions, out)
        self.done += self._each
        rewards = np.asarray(found[1])
        finite = np.isfinite(rewards)
        if not finite.all():
            member = int(np.argwhere(~finite)[0, 0])
            raise QecforgeError(
                f"{self._what}: gave {rewards[~finite][0]} for member {member} at step {self.done}, expected a finite "
                "number: mend what it computes there"
            )
        return found


def watch_steps(env: Environment, plan: RunPlan) -> None:
    """Put an environment's `reset` and `step` under watch, for as long as it lives."""
    watched = WatchedSteps(env, plan)
    env.reset, env.step = watched.reset, watched.step  # type: ignore[method-assign]


def count_from(env: object, step: int) -> None:
    """Say how many steps a watched environment's agent has done."""
    watched = getattr(getattr(env, "step", None), "__self__", None)
    if isinstance(watched, WatchedSteps):
        watched.done = step
