"""Codes from the literature, as goldens, baselines and starting points; and bounds on what a code can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.codes import _gf2
from qecforge.codes._numbers import as_integer
from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = [
    "bicycle_72",
    "bivariate_bicycle",
    "cube",
    "eleven_qubit",
    "five_qubit",
    "golay",
    "graph_state",
    "gross",
    "rotated_surface",
    "shor",
    "singleton_bound",
    "steane",
]


def five_qubit() -> StabilizerCode:
    """The [[5,1,3]] code: cyclic shifts of XZZXI. Source: Laflamme et al. 1996, Bennett et al. 1996."""
    return StabilizerCode.from_paulis(["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"])


def steane() -> StabilizerCode:
    """The [[7,1,3]] code: X and Z checks of the Hamming code. Source: Steane 1996."""
    hamming = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0, 1]])
    return StabilizerCode.from_css(hamming, hamming)


def cube() -> StabilizerCode:
    """The [[8,3,2]] code on the corners of a cube: X on all, Z on faces. Source: Campbell 2016, "The smallest
    interesting colour code"."""
    corners = np.arange(8)
    faces = [(corners >> axis & 1) == 0 for axis in range(3)]
    return StabilizerCode.from_css(
        np.ones((1, 8), dtype=np.uint8), np.array([*faces, corners >> 2 == 1], dtype=np.uint8)
    )


def shor(distance: int = 3) -> StabilizerCode:
    """The [[d²,1,d]] Bacon-Shor code in Shor's gauge: d blocks of d qubits, ZZ within a block, X on pairs of blocks.

    [[9,1,3]] by default. Raises `CodeError` for a distance below 2. Source: Shor 1995.
    """
    d = _at_least(distance, 2, "distance")
    repetition = np.eye(d, dtype=np.uint8)[:-1] + np.eye(d, k=1, dtype=np.uint8)[:-1]
    return StabilizerCode.from_css(
        np.kron(repetition, np.ones(d, np.uint8)), np.kron(np.eye(d, dtype=np.uint8), repetition)
    )


def rotated_surface(distance: int) -> StabilizerCode:
    """The [[d²,1,d]] rotated surface code on a d×d grid of qubits, row by row; d need not be odd.

    Logical X is a column of X, logical Z a row of Z. Raises `CodeError` for a distance below 2.
    Source: Bombin and Martin-Delgado 2007; Horsman et al. 2012.
    """
    d = _at_least(distance, 2, "distance")
    checks: dict[bool, list[NDArray[np.uint8]]] = {False: [], True: []}
    for row in range(-1, d):
        for column in range(-1, d):
            corners = [(r, c) for r in (row, row + 1) for c in (column, column + 1) if 0 <= r < d and 0 <= c < d]
            is_x = (row + column) % 2 == 0
            # Two-qubit X checks lie on the top and bottom edges, two-qubit Z checks on the others.
            on_x_edge = row in (-1, d - 1)
            if len(corners) == 4 or (len(corners) == 2 and is_x == on_x_edge):
                check = np.zeros((d, d), dtype=np.uint8)
                check[tuple(np.transpose(corners))] = 1
                checks[is_x].append(check.ravel())
    return StabilizerCode.from_css(np.array(checks[True]), np.array(checks[False]))


def eleven_qubit() -> StabilizerCode:
    """An [[11,1,5]] code, the shortest that corrects two errors: the dodecacode [[12,0,6]] shortened by a qubit.

    Source: Calderbank, Rains, Shor and Sloane 1998, quant-ph/9608006: the dodecacode is cyclic with generator
    ω10100100101, that is the graph state of the circulant graph on 12 vertices with steps 1, 3 and 6.
    """
    dodecacode = graph_state([[abs(i - j) in (1, 3, 6, 9, 11) for j in range(12)] for i in range(12)])
    # Generators that act on the last qubit with Z are multiplied in pairs, the one that acts with X is left out.
    rows = dodecacode.check_matrix[:11]
    with_z = rows[:, 23] == 1
    first, *others = rows[with_z]
    kept = np.vstack([rows[~with_z], others ^ first])
    return StabilizerCode(np.delete(kept, [11, 23], axis=1))


def graph_state(adjacency: ArrayLike) -> StabilizerCode:
    """The [[n,0]] graph state: generator i is X on vertex i and Z on its neighbours.

    Raises `CodeError` where the (n, n) adjacency matrix is not symmetric with an empty diagonal.
    """
    matrix = _gf2.as_binary_matrix(adjacency, "adjacency matrix")
    if matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any() or matrix.diagonal().any():
        raise CodeError("adjacency matrix: expected a square symmetric one with zeros on the diagonal")
    return StabilizerCode(np.hstack([np.eye(len(matrix), dtype=np.uint8), matrix]))


def golay() -> StabilizerCode:
    """The [[23,1,7]] code: X and Z checks of the binary Golay code's dual. Source: Steane 1996, 2003."""
    # Check polynomial of the [23,12,7] code: (x^23 - 1) / g with g = x^11 + x^9 + x^7 + x^6 + x^5 + x + 1.
    generator = 0b101011100011
    product, check = (1 << 23) | 1, 0
    while product.bit_length() >= generator.bit_length():
        shift = product.bit_length() - generator.bit_length()
        check |= 1 << shift
        product ^= generator << shift
    rows = np.array(
        [[check >> (column - row) & 1 if column >= row else 0 for column in range(23)] for row in range(11)]
    )
    return StabilizerCode.from_css(rows[:, ::-1], rows[:, ::-1])


def bivariate_bicycle(
    rows: int, columns: int, a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]]
) -> StabilizerCode:
    """The bivariate bicycle code on 2 l m qubits, hx = [A | B], hz = [Bᵀ | Aᵀ], with redundant checks left out.

    Args:
        rows, columns: l and m, the orders of the cyclic shifts x and y.
        a, b: Exponents (i, j) of the monomials xⁱ yʲ whose sums are A and B.

    Raises:
        CodeError: sizes below 1 or no monomials.

    Source: Bravyi et al. 2024, "High-threshold and low-overhead fault-tolerant quantum memory", eq. (1) and table 3.
    """
    l, m = _at_least(rows, 1, "rows"), _at_least(columns, 1, "columns")  # noqa: E741
    if not a or not b:
        raise CodeError("bivariate bicycle: both polynomials need at least one monomial")
    x = np.kron(np.roll(np.eye(l, dtype=np.uint8), 1, axis=1), np.eye(m, dtype=np.uint8))
    y = np.kron(np.eye(l, dtype=np.uint8), np.roll(np.eye(m, dtype=np.uint8), 1, axis=1))
    A, B = (
        sum(np.linalg.matrix_power(x, i % l) @ np.linalg.matrix_power(y, j % m) for i, j in monomials) % 2
        for monomials in (a, b)
    )
    return StabilizerCode.from_css(np.hstack([A, B]), np.hstack([B.T, A.T]), drop_redundant=True)


def bicycle_72() -> StabilizerCode:
    """The [[72,12,6]] bivariate bicycle code: l = m = 6, A = x³ + y + y², B = y³ + x + x².

    Source: Bravyi et al. 2024.
    """
    return bivariate_bicycle(6, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])


def gross() -> StabilizerCode:
    """The [[144,12,12]] code: l = 12, m = 6, A = x³ + y + y², B = y³ + x + x². Source: Bravyi et al. 2024."""
    return bivariate_bicycle(12, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])


def singleton_bound(n: int, k: int) -> int:
    """Largest distance that the quantum Singleton bound n - k >= 2 (d - 1) allows an [[n, k]] code with k >= 1.

    Raises `CodeError` unless 1 <= k <= n. Source: Knill and Laflamme 1997.
    """
    n, k = as_integer(n, "n"), as_integer(k, "k")
    if not 1 <= k <= n:
        raise CodeError(f"singleton bound: n is {n} and k is {k}; expected 1 <= k <= n")
    return (n - k) // 2 + 1


def _at_least(value: int, least: int, name: str) -> int:
    value = as_integer(value, name)
    if value < least:
        raise CodeError(f"{name} is {value}; expected at least {least}")
    return value
