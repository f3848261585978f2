"""Whether an environment looks ahead: as its spec says, or as one that is made for the question answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from qecforge.contracts.closing import closing
from qecforge.contracts.environment import Environment
from qecforge.hookspecs import EnvironmentSpec, RewardSpec
from qecforge.manifest._choice import Choice

__all__ = ["looked_up"]


def looked_up(environment: Choice[EnvironmentSpec], reward: Choice[RewardSpec] | None) -> Sequence[str] | None:
    """Components that `Environment.peek` names, `reward` left out; None where the environment cannot look ahead.

    An environment is made only where the answer is not in its spec: of a spec that says yes, with a reward that has
    components of its own, it is an empty list.
    """
    said = environment.spec.can_peek
    if said is False:
        return None
    if said and reward is not None:
        return ()
    with ExitStack() as opened:
        made: Any = None
        if reward is not None:
            made = reward.spec.make(reward.config)
            opened.enter_context(closing(made, f"reward {reward.spec.name}"))
        env = environment.spec.make(environment.config, num_envs=1, seed=0, reward=made)
        opened.enter_context(closing(env, f"environment {environment.spec.name}"))
        if not isinstance(env, Environment) or not env.can_peek:
            return None
        return _components(env)


def _components(env: Environment) -> tuple[str, ...]:
    """Names of what one look ahead at an allowed action brings."""
    _, infos = env.reset(seed=0)
    mask = infos.get("action_mask")
    space: Any = env.single_action_space
    action = int(space.start) + (0 if mask is None else int(np.asarray(mask)[0].argmax()))
    found = env.peek(np.array([[action]]))
    return tuple(name for name in found if name != "reward" and not name.startswith("now_"))
