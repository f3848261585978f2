"""What candidate actions would bring, from states of any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, words_per_column
from qecforge.contracts import RewardBuffers
from qecforge_code_discovery import _kernels
from qecforge_code_discovery._layout import Actions, Rules

__all__ = ["Peek"]


@dataclass(frozen=True)
class Peek:
    """One-step look-ahead for `CodeDiscovery.peek`.

    Attributes:
        actions, rules, base: As kernels take them.
        score: What the reward says of up to `batch` codes; raises where it could not score.
        noise: What all members share; None where each has noise of its own, or none has any.
        solved: From what the reward scored and the words (M, n, 2, W), which are solved.
        batch: Codes scored at once.
    """

    actions: Actions
    rules: Rules
    base: NDArray[np.float64]
    score: Callable[[TableauBatch], RewardBuffers]
    noise: NDArray[np.float64] | None
    solved: Callable[[RewardBuffers, NDArray[np.uint64]], NDArray[np.bool_]]
    batch: int

    def __call__(self, states: NDArray[np.uint64], taken: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Rewards and components after each of (M, K) actions, and `now_` ones before, of M rows of states."""
        now = self._after(states, np.full(len(states), -1, np.int64))
        result = {f"now_{name}": values for name, values in now.items() if name != "reward"}
        K = taken.shape[1]
        ahead = self._after(np.repeat(states, K, axis=0), taken.reshape(-1))
        if self.rules.difference:
            ahead["reward"] += ahead["value"] - np.repeat(now["value"], K)
        del ahead["value"]
        return result | {name: values.reshape(len(states), K) for name, values in ahead.items()}

    def _after(self, states: NDArray[np.uint64], taken: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Values, rewards (all but the difference of values) and components after one action on each of M states."""
        rules, n, W = self.rules, self.rules.n, words_per_column(self.rules.n, self.rules.k)
        results: list[dict[str, NDArray[np.float64]]] = []
        for at in range(0, len(states), self.batch):
            rows, gates = states[at : at + self.batch], taken[at : at + self.batch]
            M = len(rows)
            words = np.empty((M, n, 2, W), np.uint64)
            channel = np.empty((M, n, 4) if rules.sampled else (0, 0, 0), np.float64)
            cost, stopped, excess = np.empty(M), np.empty(M, np.bool_), np.empty(M, np.int64)
            parameters = np.ascontiguousarray(rows[:, 2 * n * W + 1 :]).view(np.float64)
            before = np.ascontiguousarray(rows[:, : 2 * n * W]).reshape(M, n, 2, W)
            _kernels.peek_gates(
                before, gates, self.actions, rules, self.base, parameters, words, channel, cost, stopped, excess
            )
            scores = self.score(TableauBatch(words, channel if rules.sampled else self.noise))
            solved = self.solved(scores, words) if rules.success_reward else np.zeros(M, np.bool_)
            idle = np.where(stopped, rules.max_steps - rows[:, 2 * n * W].astype(np.float64), 1.0)
            value = scores.values.astype(np.float64)
            reward = np.zeros(M) if rules.difference else value * idle
            reward += rules.success_reward * (solved & (excess == 0))
            reward -= (cost + rules.weight_penalty * excess) * idle
            results.append({"value": value, "reward": reward, **scores.components})
        return {name: np.concatenate([part[name] for part in results]) for name in results[0]} if results else {}
