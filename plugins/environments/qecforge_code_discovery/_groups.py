"""Groups of members whose k-th episodes start alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.learning.restoring import restored_array, restored_int, restored_parts

__all__ = ["GroupStarts"]


class GroupStarts:
    """What each member's next episode starts from: numbers that depend on its group and its episode's number alone.

    Args:
        key: 0..2^64 - 1; what is drawn depends on nothing else.
        members: B, a multiple of `size`.
        size: G, members of a group.
    """

    def __init__(self, key: int, members: int, size: int) -> None:
        self.key, self.size = key, size
        self._group = np.arange(members, dtype=np.uint64) // np.uint64(size)
        self._episode = np.zeros(members, np.uint64)

    def draw(self, out: NDArray[np.float64]) -> None:
        """Fill (B, P) with the uniform numbers in [0, 1) of each member's next episode."""
        words = _mixed(_mixed(np.uint64(self.key) ^ self._group) ^ self._episode)
        for j in range(out.shape[1]):
            out[:, j] = (_mixed(words ^ np.uint64(j)) >> np.uint64(11)) * 2.0**-53

    def begin(self, members: NDArray[np.bool_]) -> None:
        """These members have begun the episode that was drawn for them."""
        self._episode[members] += np.uint64(1)

    def state_dict(self) -> dict[str, Any]:
        """Key, size, and how many episodes each member has begun."""
        return {"key": str(self.key), "size": self.size, "episode": self._episode.copy()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any] | None, members: int) -> GroupStarts | None:
        """What `state_dict` described; None for None, as checkpoints from before there were groups have it.

        Raises:
            CheckpointError: It is not of so many members.
        """
        if state is None:
            return None
        state = restored_parts(state, ("key", "size", "episode"), "code_discovery: groups")
        key = restored_int(state["key"], "code_discovery: groups: key", high=2**64 - 1)
        size = restored_int(state["size"], "code_discovery: groups: size", low=1, high=members)
        starts = cls(key, members, size)
        starts._episode[...] = restored_array(
            state["episode"], np.uint64, (members,), "code_discovery: groups: episode"
        )
        return starts


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of splitmix64 on each word: a bijection that changes half the bits for any other word."""
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed
