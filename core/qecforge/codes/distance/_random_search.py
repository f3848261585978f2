"""Upper bounds: light logical operators by random information sets.

The rows that span the commuting errors are reduced along a random order of the qubits, after which each row, and each
sum of two, is light on the first qubits of that order. Every one that acts logically is a witness of an upper bound.

Source: Leon 1988 for classical codes; Pryadko, Shabashov and Kozin 2022 (arXiv 2308.15140) for stabilizer codes.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2
from qecforge.codes.distance._budget import OutOfTime, check_deadline
from qecforge.codes.distance._search_space import SearchSpace

__all__ = ["find_light_operator"]


_SLICE = 1 << 26  # word operations in one call of a kernel, well under a second
_FIRST_ROUND_SECONDS = 0.25  # that the first round may take past the deadline


def find_light_operator(
    space: SearchSpace, rounds: int, rng: np.random.Generator, *, below: int | None = None, deadline: float = np.inf
) -> int | None:
    """The lightest logical operator (2n bits) found in some rounds, one random order of the qubits each.

    Args:
        below: Only operators lighter than this; None for any.
        deadline: Stop once `time.perf_counter()` passes it; the first round of a small code is always finished.

    Nothing is lighter than one letter: there the search ends.
    """
    n, rows = space.n, space.commuting
    words = (n + 63) // 64
    mask = (1 << n) - 1
    x_rows = _gf2.to_words([row >> n for row in rows], words) if not space.half else _gf2.to_words(rows, words)
    z_rows = _gf2.to_words([row & mask for row in rows], words) if not space.half else np.zeros_like(x_rows)
    actions = _gf2.to_words(space.row_actions, max(1, (space.action_bits + 63) // 64))
    best, operator = n + 1 if below is None else below, None
    end = max(deadline, time.perf_counter() + _FIRST_ROUND_SECONDS)
    for round_number in range(rounds):
        if best <= 1 or (round_number and time.perf_counter() > deadline):
            break  # nothing is lighter than one letter
        x, z, logical = x_rows.copy(), z_rows.copy(), actions.copy()
        try:
            best, picked = _round(space, x, z, logical, rng.permutation(n), best, end)
        except OutOfTime:
            break
        if picked:
            x_bits, z_bits = (_sum_of_words(array, picked) for array in (x, z))
            operator = space.row_operator(x_bits) if space.half else x_bits << n | z_bits
        end = deadline
    return operator


def _round(
    space: SearchSpace,
    x: NDArray[np.uint64],
    z: NDArray[np.uint64],
    logical: NDArray[np.uint64],
    order: NDArray[np.int64],
    best: int,
    deadline: float,
) -> tuple[int, list[int]]:
    """(weight, rows whose sum has it) of the lightest operator below `best`, no rows where there is none."""
    from qecforge.codes.distance import _kernels

    work = max(1, len(x)) * (x.shape[1] + z.shape[1] + logical.shape[1])
    step = max(1, _SLICE // work)
    lead = 0
    for start in range(0, len(order), step):
        check_deadline(deadline)
        lead = _kernels.reduce_rows(x, z, logical, order[start : start + step], not space.half, lead)
    picked: list[int] = []
    for start in range(0, len(x), step):
        check_deadline(deadline)
        stop = min(start + step, len(x))
        best, i, j = _kernels.lightest_sum(x, z, logical, space.every, best, start, stop)
        if i >= 0:
            picked = [index for index in (i, j) if index >= 0]
    return int(best), picked


def _sum_of_words(array: NDArray[np.uint64], picked: list[int]) -> int:
    total = 0
    for index in picked:
        total ^= int.from_bytes(array[index].astype("<u8").tobytes(), "little")
    return total
