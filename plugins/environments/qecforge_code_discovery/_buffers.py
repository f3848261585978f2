"""The arrays that a step fills."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import StepBuffers
from qecforge.errors import ConfigurationError
from qecforge_code_discovery._layout import Shown

__all__ = ["Filled", "buffers", "checked_actions"]


class Filled(NamedTuple):
    """Arrays of one step, as in `StepBuffers`; the mask is (B, 0) where nothing is masked."""

    observations: NDArray[Any]
    mask: NDArray[np.bool_]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


def buffers(out: StepBuffers | None, shown: Shown) -> Filled:
    """Those of `out`, or fresh ones. Raises `ConfigurationError` where one of `out` does not fit."""
    B = len(shown.observations)
    if out is None:
        return Filled(
            np.empty_like(shown.observations),
            np.empty_like(shown.mask),
            np.empty(B, np.float32),
            np.empty(B, np.bool_),
            np.empty(B, np.bool_),
        )
    mask = out.action_mask if shown.mask.shape[1] else shown.mask
    if mask is None:
        raise ConfigurationError(f"out.action_mask is None: give a bool array of shape {shown.mask.shape}")
    given = Filled(out.observations, mask, out.rewards, out.terminated, out.truncated)
    shapes = (shown.observations.shape, shown.mask.shape, (B,), (B,), (B,))
    dtypes = [np.dtype(t) for t in (shown.observations.dtype, np.bool_, np.float32, np.bool_, np.bool_)]
    names = ("observations", "action_mask", "rewards", "terminated", "truncated")
    for name, array, shape, dtype in zip(names, given, shapes, dtypes, strict=True):
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise ConfigurationError(
                f"out.{name} is {array.dtype} of shape {array.shape}: "
                f"give a C-contiguous {dtype} array of shape {shape}"
            )
    return given


def checked_actions(actions: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Actions as kernels take them. Raises `ConfigurationError` where they are no integers of this shape."""
    array = np.asarray(actions)
    if array.shape != shape or array.dtype.kind not in "iu":
        raise ConfigurationError(f"actions are {array.dtype} of shape {array.shape}: give integers of shape {shape}")
    return np.ascontiguousarray(array, dtype=np.int64)
