"""One step of look-ahead as part of the observation: by how much each action would change the code's value.

A policy that prefers actions by these features alone, softmax(changes / temperature), is the heat-bath rule of a
stochastic descent on the value; an agent learns how to weigh them, and when to depart from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject, words_per_column
from qecforge.contracts import Reward, RewardBuffers, require_valid
from qecforge_code_discovery import _kernels
from qecforge_code_discovery._layout import Actions, Episode, Rules

__all__ = ["LookAhead"]

_CODES = 16384
"""Codes scored at once, about: their words stay in the cache, and threads have enough to do."""


class LookAhead:
    """Writes the features of `CodeDiscoveryConfig.show_lookahead`.

    Args:
        reward: As the environment got it; compiled anew for batches of up to about 16,384 codes.
        subject: The environment's own.
        actions, rules: As kernels take them.
        scale: Change of value that is shown as 1.
        at: Place of the first action's feature among a member's observations.
    """

    def __init__(
        self, reward: Reward, subject: TableauSubject, actions: Actions, rules: Rules, *, scale: float, at: int
    ) -> None:
        self._actions, self._rules, self._scale = actions, rules, scale
        count = len(actions.opcode)
        self._members = max(1, min(subject.num_envs, _CODES // count))
        codes = self._members * count
        self._columns = slice(at, at + count)
        self._reward = reward.compile(
            TableauSubject(
                n=subject.n,
                k=subject.k,
                target_distance=subject.target_distance,
                num_envs=codes,
                noise=subject.noise,
                uniform=subject.uniform,
            )
        )
        self._scores = RewardBuffers(np.zeros(codes, np.float32), np.zeros(codes, np.bool_))
        self._words = np.zeros((codes, subject.n, 2, words_per_column(subject.n, subject.k)), np.uint64)
        self._channel = np.zeros((codes, subject.n, 4) if rules.sampled else (0, 0, 0), np.float64)

    def close(self) -> None:
        """Close the compiled reward."""
        self._reward.close()

    def write(self, episode: Episode, noise: NDArray[np.float64] | None, *observations: NDArray[Any]) -> None:
        """Write every member's features.

        Args:
            episode: Codes and, in `value`, what each is worth at present. Not mutated.
            noise: As in `TableauBatch`, of the members.
            observations: (B, D) float32 each; the same features are written to all.
        """
        B, count = len(episode.words), len(self._actions.opcode)
        for lo in range(0, B, self._members):
            members = min(self._members, B - lo)
            codes = members * count
            _kernels.branch(lo, members, self._actions, self._rules, episode, self._words, self._channel)
            channel = self._channel[:codes] if self._rules.sampled else noise
            batch = TableauBatch(self._words[:codes], channel)
            scores = require_valid(self._reward.score(batch, self._scores), "code_discovery")
            changes = scores.values[:codes].reshape(members, count) - episode.value[lo : lo + members, None]
            changes /= self._scale
            np.clip(changes, -1, 1, out=changes)
            for each in observations:
                each[lo : lo + members, self._columns] = changes
