"""Returns and lengths of the latest episodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["EpisodeStatistics"]


class EpisodeStatistics:
    """Returns and lengths of episodes, also of those still under way."""

    def __init__(self, members: int) -> None:
        self.running_return = np.zeros(members)
        self.running_length = np.zeros(members, np.int64)

    def add(
        self, rewards: NDArray[np.float32], ended: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns, lengths and member numbers of the episodes that ended in T steps of B members, oldest first.

        Args:
            rewards: (T, B).
            ended: (T, B), where a member's episode ended with this step.
        """
        returns, lengths, members = [], [], []
        for step_rewards, end in zip(rewards, ended, strict=True):
            self.running_return += step_rewards
            self.running_length += 1
            if end.any():
                who = np.flatnonzero(end)
                returns.append(self.running_return[who])
                lengths.append(self.running_length[who])
                members.append(who)
                self.running_return[who] = 0.0
                self.running_length[who] = 0
        if not returns:
            return np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(returns), np.concatenate(lengths), np.concatenate(members)
