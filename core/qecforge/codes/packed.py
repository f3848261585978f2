"""The transposed, bit-packed tableau: what code-building environments show and rewards score.

A code of n qubits and k logical qubits is held by its 2k + (n - k) = n + k rows: the logical operators
X̄_1..X̄_k (rows 0..k-1), Z̄_1..Z̄_k (rows k..2k-1), then the n - k stabilizer generators. Per qubit q and
Pauli P in (X, Z) there is one word whose bit i says whether P_q *anticommutes* with row i. So

- a Clifford gate is a handful of word swaps and XORs,
- the word of any error is the XOR of the words of its single-qubit factors (Y = X·Z),
- an error violates the Knill-Laflamme conditions iff its word is non-zero and its stabilizer bits are all zero:
  it commutes with every stabilizer and acts on the logical qubits. For words of one machine word this is the one
  unsigned comparison 0 < word < 2^(2k). Degeneracy is exact.

Signs are not kept: they change neither the distance nor the conditions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TABLEAU", "TableauBatch", "TableauSubject", "words_per_column"]

TABLEAU = "stabilizer_tableau"
"""The name under which environments show tableaus (`EnvironmentSpec.shows`) and rewards score them."""


def words_per_column(n: int, k: int) -> int:
    """Machine words W that hold n + k rows: 1 up to 64 rows, 2 up to 128."""
    return 1 if n + k <= 64 else 2


@dataclass(frozen=True)
class TableauSubject:
    """What stays the same over an environment's life; a reward is compiled for it.

    Attributes:
        n, k: Physical and logical qubits; n + k <= 128.
        target_distance: The distance d sought: every error of weight 1..d-1 must satisfy the conditions.
        num_envs: Largest batch B that will be scored at once.
        noise: None where the environment declares no noise; else `shared` when every member of a batch sees the
            same channel, `per_env` when each has its own.
        uniform: True when each qubit always has the same channel as the others (the penalty then depends on an
            error's Pauli content alone, not on where it acts).
    """

    n: int
    k: int
    target_distance: int
    num_envs: int
    noise: str | None = None
    uniform: bool = True


@dataclass
class TableauBatch:
    """B codes, as rewards see them. Owned by the environment; rewards do not mutate it.

    Attributes:
        words: (B, n, 2, W) uint64, C-contiguous; `[b, q, 0]` for X_q, `[b, q, 1]` for Z_q. Bit i of word w is row
            64 w + i; row order as in the module's docstring. Bits beyond row n + k - 1 are zero.
        noise: Probabilities of (I, X, Y, Z) per qubit, float64: (n, 4) when shared, (B, n, 4) when per environment,
            None when the environment declares none (the reward then uses its own default).
    """

    words: NDArray[np.uint64]
    noise: NDArray[np.float64] | None = None
