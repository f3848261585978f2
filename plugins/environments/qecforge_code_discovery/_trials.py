"""Whole sequences of gates, played from the trivial code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch
from qecforge.contracts import RewardBuffers, SequenceTrials
from qecforge.errors import ConfigurationError
from qecforge_code_discovery import _kernels
from qecforge_code_discovery._layout import Actions, Rules
from qecforge_code_discovery.filing.keeping import Solved

__all__ = ["Trials"]

_MIN_CHUNK = 64
"""Sequences that are worth a thread."""


class Trials:
    """`CodeDiscovery.try_sequences`.

    Args:
        actions, rules: As kernels take them.
        initial: (n, 2, W) uint64, the trivial code.
        noise: What all codes share; None where there is none.
        score: What the reward says of up to `batch` codes; raises where it could not score.
        solved: From what the reward scored and the words (M, n, 2, W), which are solved.
        batch: Codes scored at once.
    """

    def __init__(
        self,
        actions: Actions,
        rules: Rules,
        initial: NDArray[np.uint64],
        *,
        noise: NDArray[np.float64] | None,
        score: Callable[[TableauBatch], RewardBuffers],
        solved: Callable[[RewardBuffers, NDArray[np.uint64]], NDArray[np.bool_]],
        batch: int,
    ) -> None:
        self._actions, self._rules, self._initial, self._noise = actions, rules, initial, noise
        self._score, self._solved, self._batch = score, solved, batch

    def __call__(self, actions: NDArray[Any], lengths: NDArray[Any], keep: Callable[[Solved], None]) -> SequenceTrials:
        """See `Environment.try_sequences`; `keep` is given what is solved."""
        sequences, counts = self._checked(actions, lengths)
        M = len(sequences)
        values, solved = np.empty(M, np.float32), np.empty(M, np.bool_)
        for at in range(0, M, self._batch):
            part = slice(at, min(M, at + self._batch))
            values[part], solved[part] = self._play(sequences[part], counts[part], keep)
        return SequenceTrials(values, solved)

    def _play(
        self, sequences: NDArray[np.int64], lengths: NDArray[np.int64], keep: Callable[[Solved], None]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        M, L = sequences.shape
        words = np.empty((M, *self._initial.shape), np.uint64)
        history, gates = np.empty((M, L), np.uint16), np.empty(M, np.int32)
        chunk = max(_MIN_CHUNK, -(-M // numba.get_num_threads()))
        _kernels.play_sequences(
            chunk, sequences, lengths, self._actions, self._rules, self._initial, words, history, gates
        )
        scores = self._score(TableauBatch(words, self._noise))
        solved = self._solved(scores, words)[:M]
        if self._rules.weight_limit and solved.any():
            excess = np.empty(M, np.int64)
            _kernels.excess_weights(words, self._rules, excess)
            solved = solved & (excess == 0)
        if solved.any():
            keep(Solved(solved, words, history, gates))
        return scores.values[:M], solved

    def _checked(self, actions: Any, lengths: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        actions, lengths = np.asarray(actions), np.asarray(lengths)
        for name, array, dimensions in (("actions", actions, 2), ("lengths", lengths, 1)):
            if array.ndim != dimensions or array.dtype.kind not in "iu":
                raise ConfigurationError(
                    f"{name} are {array.dtype} of shape {array.shape}: give integers, actions (M, L) and lengths (M,)"
                )
        (M, L), total = actions.shape, len(self._actions.opcode)
        if len(lengths) != M:
            raise ConfigurationError(f"{len(lengths)} lengths for {M} sequences: give one for each")
        if lengths.size and not (lengths.min() >= 0 and lengths.max() <= min(L, self._rules.max_steps)):
            raise ConfigurationError(
                f"lengths are {lengths.min()}..{lengths.max()}: give 0..{min(L, self._rules.max_steps)}, at most "
                "max_gates"
            )
        if actions.size and not (actions.min() >= 0 and actions.max() < total):
            raise ConfigurationError(f"actions are {actions.min()}..{actions.max()}, out of range: give 0..{total - 1}")
        return np.ascontiguousarray(actions, np.int64), np.ascontiguousarray(lengths, np.int64)
