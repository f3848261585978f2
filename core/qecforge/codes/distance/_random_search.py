"""Upper bounds: light logical operators by random information sets.

The rows that span the commuting errors are reduced along a random order of the qubits, after which each row, and each
sum of two, is light on the first qubits of that order. Every one that acts logically is a witness of an upper bound.

Source: Leon 1988 for classical codes; Pryadko, Shabashov and Kozin 2022 (arXiv 2308.15140) for stabilizer codes.
"""

from __future__ import annotations

import time

import numpy as np

from qecforge.codes import _gf2
from qecforge.codes.distance._search_space import SearchSpace

__all__ = ["find_light_operator"]


def find_light_operator(
    space: SearchSpace, rounds: int, rng: np.random.Generator, *, below: int | None = None, deadline: float = np.inf
) -> int | None:
    """The lightest logical operator (2n bits) found in some rounds, one random order of the qubits each.

    Args:
        below: Only operators lighter than this; None for any.
        deadline: Stop early, yet after one round at least, once `time.perf_counter()` passes it.
    """
    from qecforge.codes.distance import _kernels

    n, rows = space.n, space.commuting
    words = (n + 63) // 64
    mask = (1 << n) - 1
    x_rows = _gf2.to_words([row >> n for row in rows], words) if not space.half else _gf2.to_words(rows, words)
    z_rows = _gf2.to_words([row & mask for row in rows], words) if not space.half else np.zeros_like(x_rows)
    actions = _gf2.to_words([_action(space, row) for row in rows], max(1, (space.action_bits + 63) // 64))
    best, operator = n + 1 if below is None else below, None
    for round_number in range(rounds):
        if round_number and time.perf_counter() > deadline:
            break
        x, z, logical = x_rows.copy(), z_rows.copy(), actions.copy()
        order = rng.permutation(n)
        best, i, j = _kernels.reduce_and_search(x, z, logical, order, not space.half, space.every, best)
        if i >= 0:
            picked = [index for index in (i, j) if index >= 0]
            x_bits, z_bits = (_sum_of_words(array, picked) for array in (x, z))
            operator = space.row_operator(x_bits) if space.half else x_bits << n | z_bits
    return operator


def _action(space: SearchSpace, row: int) -> int:
    action = 0
    for column in space.columns_of(space.row_operator(row)):
        action ^= space.actions[column]
    return action


def _sum_of_words(array: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], picked: list[int]) -> int:
    total = 0
    for index in picked:
        total ^= int.from_bytes(array[index].astype("<u8").tobytes(), "little")
    return total
