"""Steps of an environment whose arrays are filled for sure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, StepBuffers
from qecforge.errors import QecforgeError

__all__ = ["FilledSteps", "Step"]

Step: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class FilledSteps:
    """`reset` and `step` of an environment, which fill `out` even if the environment ignores it.

    Args:
        env: Closed by whoever made it.
    """

    def __init__(self, env: Environment) -> None:
        self._reset, self._step, self._environment = env.reset, env.step, type(env).__name__
        self._resets_into, self._steps_into = _takes_out(env.reset), _takes_out(env.step)

    def reset(self, *, out: StepBuffers | None = None, **given: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """As `Environment.reset`. Raises `QecforgeError` where what it returns does not fit `out`."""
        if out is None:
            return self._checked_reset(self._reset(**given))
        if self._resets_into:
            given["out"] = out
        observations, infos = self._checked_reset(self._reset(**given))
        self._fill(out, infos, observations=observations)
        return out.observations, infos

    def step(self, actions: Any, out: StepBuffers | None = None) -> Step:
        """As `Environment.step`. Raises `QecforgeError` where what it returns does not fit `out`."""
        if out is None:
            return self._checked_step(self._step(actions))
        returned = self._step(actions, out=out) if self._steps_into else self._step(actions)
        observations, rewards, terminated, truncated, infos = self._checked_step(returned)
        self._fill(out, infos, observations=observations, rewards=rewards, terminated=terminated, truncated=truncated)
        return out.observations, out.rewards, out.terminated, out.truncated, infos

    def _checked_reset(self, returned: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        return cast("tuple[NDArray[Any], dict[str, Any]]", returned)

    def _checked_step(self, returned: Any) -> Step:
        return cast("Step", returned)

    def _fill(self, out: StepBuffers, infos: Mapping[str, Any], **returned: Any) -> None:
        if out.action_mask is not None:
            returned["action_mask"] = infos.get("action_mask")
        for name, array in returned.items():
            buffer = getattr(out, name)
            if array is buffer:
                continue
            given = np.asarray(array)
            if array is None or given.shape != buffer.shape or not np.can_cast(given.dtype, buffer.dtype, "same_kind"):
                got = "nothing" if array is None else f"{given.dtype} of shape {given.shape}"
                raise QecforgeError(
                    f"{self._environment}: its {name} are {got}, expected {buffer.dtype} of shape {buffer.shape}: "
                    "report it to the plugin's authors"
                )
            buffer[...] = given


def _takes_out(method: Callable[..., Any]) -> bool:
    parameters = inspect.signature(method).parameters.values()
    return any(each.name == "out" or each.kind is each.VAR_KEYWORD for each in parameters)
