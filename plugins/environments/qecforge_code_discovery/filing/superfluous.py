"""Gates of an encoder that can be left out without changing the code.

A gate that a later one undoes, one that commutes to the end and there maps the stabilizer group onto itself, one that
acts trivially on |0>, one that only changes the logical basis: each is found by leaving it out and comparing the
stabilizer groups, so that no rule of commutation can be forgotten. Pairs are tried after single gates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qecforge_code_discovery import _canonical, _kernels
from qecforge_code_discovery._layout import Actions, Rules

__all__ = ["Pruning"]


class Pruning:
    """Leaves superfluous gates out of encoders of one environment.

    The result has no gate, and no pair of gates, that could still be left out: the stabilizer group, up to signs,
    stays the same to the last bit, and the rules of the environment hold for what is left.

    Args:
        actions, rules: As kernels take them.
        initial: (n, 2, W) uint64, the trivial code.
        stabilizers: (W,) uint64, bits of the stabilizer rows.
    """

    def __init__(
        self, actions: Actions, rules: Rules, initial: NDArray[np.uint64], stabilizers: NDArray[np.uint64]
    ) -> None:
        self._actions, self._rules, self._initial, self._stabilizers = actions, rules, initial, stabilizers
        self._columns = np.empty((2 * initial.shape[0], initial.shape[2]), np.uint64)

    def __call__(self, gates: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """The encoder's gates (G,) without superfluous ones, in their order; the same array where there are none."""
        kept = gates
        (wanted,) = self._groups(kept[None])
        while True:
            shorter = self._without(kept, wanted, _singles(len(kept)))
            if shorter is None:
                shorter = self._without(kept, wanted, _pairs(len(kept)))
            if shorter is None:
                return kept
            kept = shorter

    def _without(
        self, gates: NDArray[np.uint16], wanted: bytes | None, left: NDArray[np.int64]
    ) -> NDArray[np.uint16] | None:
        """The first of the shorter encoders, each of the gates `left` (C, G'), that makes the same group."""
        if not len(left):
            return None
        candidates = gates[left]
        for row, group in zip(candidates, self._groups(candidates), strict=True):
            if group == wanted:
                return np.ascontiguousarray(row)
        return None

    def _groups(self, encoders: NDArray[np.uint16]) -> list[bytes | None]:
        """The reduced check matrix of each encoder (C, G), as bytes; None where the rules forbid one of its gates or a
        generator is too heavy."""
        C, G = encoders.shape
        n, _, W = self._initial.shape
        words = np.empty((C, n, 2, W), np.uint64)
        history, gates = np.empty((C, G), np.uint16), np.empty(C, np.int32)
        lengths = np.full(C, G, np.int64)
        sequences = encoders.astype(np.int64)
        _kernels.play_sequences(
            max(C, 1), sequences, lengths, self._actions, self._rules, self._initial, words, history, gates
        )
        fits = gates == G
        if self._rules.weight_limit:
            excess = np.empty(C, np.int64)
            _kernels.excess_weights(words, self._rules, excess)
            fits &= excess == 0
        found: list[bytes | None] = []
        for m in range(C):
            if fits[m]:
                _canonical.group_hash(words[m], self._stabilizers, self._columns)
            found.append(self._columns.tobytes() if fits[m] else None)
        return found


def _singles(count: int) -> NDArray[np.int64]:
    """(G, G - 1): the gates that stay where one is left out."""
    if count < 1:
        return np.empty((0, 0), np.int64)
    return np.array([[i for i in range(count) if i != out] for out in range(count)], np.int64).reshape(count, count - 1)


def _pairs(count: int) -> NDArray[np.int64]:
    """(G (G - 1) / 2, G - 2): the gates that stay where two are left out."""
    a, b = np.triu_indices(count, 1)
    if not len(a):
        return np.empty((0, 0), np.int64)
    stays = np.ones((len(a), count), np.bool_)
    stays[np.arange(len(a)), a] = stays[np.arange(len(a)), b] = False
    return np.nonzero(stays)[1].reshape(len(a), count - 2)
