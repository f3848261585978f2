"""How much an action would raise the Knill-Laflamme residual, looked up or predicted, and how much is usual.

"Residual" is the component of `Environment.peek` that a configuration names; for the component `reward` it is minus
the reward, so that a rise is bad either way. Actions are counted from 0 here, wherever the environment's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import Environment, Policy
from qecforge.errors import ConfigurationError

__all__ = ["Sensitivity", "TeacherSteps", "fit_sensitivity", "peek_changes", "record_teacher"]

_MEMBERS = 256
"""Members of the environment whose steps are recorded, at most: 128 steps of each are samples enough."""
_SEED = 0
"""Of the recorded episodes: a record is a function of the teacher and of the environment's configuration."""


@dataclass(frozen=True, eq=False)
class TeacherSteps:
    """What a teacher did in its own rollouts.

    Attributes:
        observations: (S, D) float32, before each action; None where they were not asked for.
        actions: (S,) int64, drawn from the teacher.
        changes: (S,) float64, residual after less residual before.
    """

    observations: NDArray[np.float32] | None
    actions: NDArray[np.int64]
    changes: NDArray[np.float64]


def record_teacher(
    env: Environment, teacher: Policy, component: str, steps: int, *, keep_observations: bool = False
) -> TeacherSteps:
    """Let the teacher act, with sampling, for `steps` steps of every member from a reset. The environment is afterwards
    as it was; codes found on the way are dropped.

    The component `reward` is what the steps themselves paid, any other is looked up.

    Raises:
        ConfigurationError: The environment cannot look the component up, or gives numbers that are not finite.
    """
    start = _first_action(env)
    members = min(env.num_envs, _MEMBERS)
    observations: list[NDArray[np.float32]] = []
    actions: list[NDArray[np.int64]] = []
    changes: list[NDArray[np.float64]] = []
    before = env.state_dict()
    try:
        rng = np.random.default_rng(_SEED)
        shown, infos = env.reset(seed=_SEED)
        for _ in range(steps):
            taken = teacher.act(shown, action_mask=infos.get("action_mask"), deterministic=False, rng=rng)
            if keep_observations:
                observations.append(np.asarray(shown[:members], np.float32).reshape(members, -1))
            actions.append(np.asarray(taken[:members], np.int64) - start)
            if component != "reward":
                changes.append(_changes(env, taken[:members, None], env.compact_states()[:members], component)[:, 0])
            shown, rewards, _, _, infos = env.step(taken)
            if component == "reward":
                changes.append(-np.asarray(rewards[:members], np.float64))
    finally:
        env.take_discoveries()
        env.load_state_dict(before)
    return TeacherSteps(
        np.concatenate(observations) if keep_observations else None, np.concatenate(actions), np.concatenate(changes)
    )


def peek_changes(
    env: Environment, states: NDArray[Any], actions: NDArray[np.int64], component: str
) -> NDArray[np.float64]:
    """Residual after each action less residual before, by one step of look-ahead in the environment's own kernel.

    Args:
        states: (M, ...) rows of `Environment.compact_states`.
        actions: (M, K), counted from 0.

    Returns:
        (M, K).

    Raises:
        ConfigurationError: The environment cannot look the component up, or gives numbers that are not finite.
    """
    return _changes(env, actions + _first_action(env), states, component)


def _changes(env: Environment, actions: NDArray[Any], states: NDArray[Any], component: str) -> NDArray[np.float64]:
    if not env.can_peek:
        raise ConfigurationError(
            f"apq: {type(env).__name__} cannot look ahead, which safe needs for {component!r}: set safe to none, or "
            "residual_change to sensitivity with residual_component reward"
        )
    found = env.peek(actions, states)
    if component not in found:
        offered = ", ".join(sorted(name for name in found if not name.startswith("now_")))
        raise ConfigurationError(
            f"apq: residual_component is {component!r}, and the environment looks up {offered}: name one of these, or "
            "set safe to none"
        )
    changes = -found[component] if component == "reward" else found[component] - found[f"now_{component}"][:, None]
    if not np.isfinite(changes).all():
        raise ConfigurationError(
            f"apq: the environment gives a {component} that is not finite: name another residual_component"
        )
    return np.asarray(changes, np.float64)


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """A first-order model of an action's effect on the residual: base_a + slope_a (x - centre), x the observation.

    Attributes:
        base: (N,) float32.
        slope: (N, D) float32.
        centre: (D,) float32, the mean observation.
    """

    base: Tensor
    slope: Tensor
    centre: Tensor

    def changes(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Predicted residual after less residual before: observations (M, *shape), actions (M, K) -> (M, K)."""
        base, slope, centre = (part.to(actions.device) for part in (self.base, self.slope, self.centre))
        x = observations.flatten(1).to(centre) - centre
        found: Tensor = base[actions] + torch.einsum("mkd,md->mk", slope[actions], x)
        return found


def fit_sensitivity(record: TeacherSteps, num_actions: int, ridge: float = 1.0) -> Sensitivity:
    """Least squares for each action by itself on what the teacher saw after taking it, no simulator involved.

    Args:
        record: With observations.
        ridge: Squared base and slope, weighted by this, are added to the squared errors; an action never taken gets the
            mean change and no slope.

    Source: APQ paper, section 4.2, "a first-order sensitivity model fit offline from data"; its form is [ours].
    """
    if record.observations is None:
        raise ConfigurationError("a sensitivity model is fitted to observations: record them")
    centre = record.observations.mean(0, dtype=np.float64)
    usual = float(record.changes.mean())
    D = len(centre)
    base, slope = np.full(num_actions, usual), np.zeros((num_actions, D))
    for action in np.unique(record.actions):
        rows = record.actions == action
        x = np.column_stack([np.ones(rows.sum()), record.observations[rows] - centre])
        y = record.changes[rows] - usual
        if len(x) > D:
            solution = np.linalg.solve(x.T @ x + ridge * np.eye(D + 1), x.T @ y)
        else:
            solution = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), y)
        base[action] += solution[0]
        slope[action] = solution[1:]
    return Sensitivity(*(torch.from_numpy(part.astype(np.float32)) for part in (base, slope, centre)))


def _first_action(env: Environment) -> int:
    return int(getattr(env.single_action_space, "start", 0))
