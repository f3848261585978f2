"""Slow and plain: codes from stim, violations by stim's commutation rules, the conditions by dense matrices."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import combinations, product

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.codes.packed import words_per_column

Rows = list[stim.PauliString]
"""X̄_1..X̄_k, Z̄_1..Z̄_k, then the stabilizers."""

PAULI_MATRICES = {
    "_": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1]),
}


def rows_of(tableau: stim.Tableau, k: int) -> Rows:
    """The code whose encoder is the tableau: qubits 0..k-1 carry the input, the others start in |0>."""
    n = len(tableau)
    logical_x = [tableau.x_output(q) for q in range(k)]
    return logical_x + [tableau.z_output(q) for q in range(n)]


def random_rows(n: int, k: int, rng: np.random.Generator) -> Rows:
    """From the trivial code to a random Clifford encoder: degenerate codes and good ones."""
    circuit = stim.Circuit()
    circuit.append("I", range(n))
    for _ in range(rng.integers(0, 4 * n)):
        if rng.random() < 0.5 or n == 1:
            circuit.append(str(rng.choice(["H", "S", "SQRT_X"])), [int(rng.integers(n))])
        else:
            circuit.append(str(rng.choice(["CX", "CZ", "SWAP"])), [int(q) for q in rng.choice(n, 2, replace=False)])
    return rows_of(circuit.to_tableau(), k)


def rows_from_stabilizers(stabilizers: list[str]) -> Rows:
    """A code given by its generators, with logical operators that stim chooses."""
    paulis = [stim.PauliString(text) for text in stabilizers]
    tableau = stim.Tableau.from_stabilizers(paulis, allow_underconstrained=True)
    n, m = len(tableau), len(paulis)
    logical = range(m, n)
    return [tableau.x_output(q) for q in logical] + [tableau.z_output(q) for q in logical] + paulis


def pack(codes: list[Rows], n: int, k: int) -> NDArray[np.uint64]:
    """(B, n, 2, W) words as in `TableauBatch`."""
    words = np.zeros((len(codes), n, 2, words_per_column(n, k)), np.uint64)
    for b, rows in enumerate(codes):
        assert len(rows) == n + k
        for q, (p, name) in product(range(n), enumerate("XZ")):
            single = stim.PauliString(n)
            single[q] = name
            for i, row in enumerate(rows):
                if not single.commutes(row):
                    words[b, q, p, i // 64] |= np.uint64(1 << (i % 64))
    return words


def errors(n: int, low: int, high: int) -> Iterator[stim.PauliString]:
    """All Paulis of weight low..high."""
    for weight in range(low, high + 1):
        for qubits in combinations(range(n), weight):
            for paulis in product("XYZ", repeat=weight):
                error = stim.PauliString(n)
                for q, name in zip(qubits, paulis, strict=True):
                    error[q] = name
                yield error


def violates(error: stim.PauliString, rows: Rows, k: int) -> bool:
    """Commutes with every stabilizer, and is not one up to phase: then it moves some logical operator."""
    return all(error.commutes(s) for s in rows[2 * k :]) and not all(error.commutes(s) for s in rows[: 2 * k])


def probability(error: stim.PauliString, channel: NDArray[np.float64]) -> float:
    """Of a Pauli under (n, 4) probabilities of I, X, Y, Z; stim numbers the Paulis in that order."""
    return float(np.prod([channel[q, error[q]] for q in range(len(error))]))


def penalty(rows: Rows, k: int, d: int, channel: NDArray[np.float64]) -> tuple[float, int]:
    """The sum of p(E) over violating errors of weight 1..d-1, and their number."""
    found = [e for e in errors(len(rows) - k, 1, d - 1) if violates(e, rows, k)]
    return sum(probability(e, channel) for e in found), len(found)


def dense(pauli: stim.PauliString) -> NDArray[np.complex128]:
    """The matrix of a Pauli string, without its sign where `pauli` is an error; stabilizers keep theirs."""
    return pauli.sign * reduce(np.kron, [PAULI_MATRICES[name] for name in str(pauli)[1:]])


def projector(rows: Rows, k: int) -> NDArray[np.complex128]:
    """Onto the code space."""
    identity = np.eye(2 ** (len(rows) - k))
    return reduce(np.matmul, [(identity + dense(s)) / 2 for s in rows[2 * k :]])


def condition_norm(matrix: NDArray[np.complex128], onto: NDArray[np.complex128], k: int) -> float:
    """min over alpha of ||P M P - alpha P||_F^2."""
    inside = onto @ matrix @ onto
    return float(np.linalg.norm(inside - np.trace(inside) / 2**k * onto) ** 2)


def dense_residual(rows: Rows, k: int, d: int, channel: NDArray[np.float64] | None) -> float:
    """rho of the APQ paper, eq. (4), by matrices; with a channel, of its Kraus operators sqrt(p_i) E_i."""
    onto = projector(rows, k)
    chosen = list(errors(len(rows) - k, 0, (d - 1) // 2))
    weights = [1.0 if channel is None else probability(e, channel) for e in chosen]
    matrices = [dense(e) for e in chosen]
    return sum(
        w_i * w_j * condition_norm(e_i.conj().T @ e_j, onto, k)
        for (w_i, e_i), (w_j, e_j) in product(zip(weights, matrices, strict=True), repeat=2)
    )
