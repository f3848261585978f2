"""The arrays and constants that kernels are called with, as named tuples (numba takes them apart at each call)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.learning.restoring import restored_array, restored_parts

__all__ = ["Actions", "Episode", "Rules", "Shown", "restored_arrays"]


class Rules(NamedTuple):
    """Constants of an environment, as kernels take them.

    Attributes:
        n, k: Qubits, logical qubits.
        max_steps: Steps per episode.
        css: Whether h is bound to qubits in a product state.
        weight_limit: Largest weight of a generator, 0 for none.
        weight_is_rule: Whether gates that would exceed it are forbidden.
        weight_penalty: Cost of each unit above it, per step.
        masking: Whether gates that undo the last one are masked.
        difference: Whether rewards are differences of values.
        success_reward: Extra reward of a success.
        progress: Whether the last feature is the fraction of steps used.
        noise_code: Number of the noise model, -1 for none.
        sampled: Whether every member has noise of its own.
        aware: Whether noise is among the features.
    """

    n: int
    k: int
    max_steps: int
    css: bool
    weight_limit: int
    weight_is_rule: bool
    weight_penalty: float
    masking: bool
    difference: bool
    success_reward: float
    progress: bool
    noise_code: int
    sampled: bool
    aware: bool


class Actions(NamedTuple):
    """`gates.ActionTable` as kernels take it; `cost` is that of each action, `commute` is `gates.commutation()`."""

    opcode: NDArray[np.uint8]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    inverse: NDArray[np.uint16]
    cost: NDArray[np.float64]
    commute: NDArray[np.bool_]


class Episode(NamedTuple):
    """State of the running episodes, one entry per member.

    Attributes:
        words: (B, n, 2, W) uint64.
        steps, gates: (B,) int32; gates leaves out actions that had no effect.
        stopped: (B,) bool, whether the last action was stop.
        cost: (B,) float64, cost of the last action.
        history: (B, max_gates) uint16, actions that had an effect.
        undoing: (B, U) uint32, actions that would cancel with an earlier one, everything since then commuting with it;
            the first `Shown.masked` entries count. Action in the lowest 16 bits, then 7 bits for each of its qubits.
            U is 0 where undoing is not masked.
        value: (B,) float32, value before the last action.
        total: (B,) float64, rewards so far.
        parameters: (B, P) float64, noise parameters.
        channel: (B, n, 4) float64, noise per qubit where it is sampled, else (0, 0, 0).
    """

    words: NDArray[np.uint64]
    steps: NDArray[np.int32]
    gates: NDArray[np.int32]
    stopped: NDArray[np.bool_]
    cost: NDArray[np.float64]
    history: NDArray[np.uint16]
    undoing: NDArray[np.uint32]
    value: NDArray[np.float32]
    total: NDArray[np.float64]
    parameters: NDArray[np.float64]
    channel: NDArray[np.float64]


class Shown(NamedTuple):
    """What agents see, kept up to date in place.

    Attributes:
        observations: (B, D), uint8 or float32.
        mask: (B, A) bool, or (0, 0) where nothing is masked.
        masked: (B,) int32, length of `Episode.undoing`.
    """

    observations: NDArray[Any]
    mask: NDArray[np.bool_]
    masked: NDArray[np.int32]


def restored_arrays(
    state: Mapping[str, Any], episode: Episode, shown: Shown, ranges: NDArray[np.float64], space: gymnasium.Space[Any]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Each array of the running episodes, by name, with what a checkpoint has for it.

    Raises:
        CheckpointError: One is missing, of another type or shape, or beyond what can be observed or is a probability.
    """
    assert isinstance(space, gymnasium.spaces.Box)
    bounds: dict[str, tuple[Any, Any]] = {
        "channel": (0.0, 1.0),
        "observations": (space.low, space.high),
        "parameters": (0.0, 1e6),
        "ranges": (-1e6, 1e6),
    }
    own = {**episode._asdict(), **shown._asdict(), "ranges": ranges}
    given = {**restored_parts(state["episode"], episode._fields, "code_discovery: episode")}
    given |= {name: state[name] for name in (*shown._fields, "ranges")}
    found = {}
    for name, array in own.items():
        low, high = bounds.get(name, (None, None))
        what = f"code_discovery: {name}"
        found[name] = array, restored_array(given[name], array.dtype, array.shape, what, low=low, high=high)
    return found
