"""Slow, plain references and hypothesis strategies for the tests of `qecforge.codes`."""

from __future__ import annotations

import itertools

import numpy as np
import stim
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode

ONE_QUBIT_GATES = ("H", "S", "SQRT_X", "S_DAG", "X", "Z")
TWO_QUBIT_GATES = ("CX", "CZ", "SWAP", "CY")


@st.composite
def encoders(draw, max_qubits=6, css=False):
    """(circuit text, n, k) of random encoding circuits."""
    n = draw(st.integers(1, max_qubits))
    k = draw(st.integers(0, n))
    lines = []
    if css:
        lines = [f"H {q}" for q in range(n) if draw(st.booleans())]
    for _ in range(draw(st.integers(0, 4 * n))):
        qubits = draw(st.permutations(range(n)))[:2]
        gates = ("CX",) if css else ONE_QUBIT_GATES + TWO_QUBIT_GATES
        gate = draw(st.sampled_from(gates))
        if gate in ONE_QUBIT_GATES:
            lines.append(f"{gate} {qubits[0]}")
        elif n > 1:
            lines.append(f"{gate} {qubits[0]} {qubits[1]}")
    return "\n".join(lines), n, k


@st.composite
def codes(draw, max_qubits=6, css=False, min_logical=0):
    circuit, n, k = draw(encoders(max_qubits, css).filter(lambda drawn: drawn[2] >= min_logical))
    return StabilizerCode.from_circuit(circuit, k, n=n)


def all_logicals(code):
    """Pauli strings of all operators that commute with every stabilizer and are none (k = 0: all stabilizers but I),
    by trying all 4^n with stim."""
    stabilizers = [stim.PauliString(row) for row in code.stabilizers]
    logicals = [
        stim.PauliString("".join("IXZY"[x + 2 * z] for x, z in zip(row[: code.n], row[code.n :], strict=True)))
        for row in np.vstack([code.logical_x, code.logical_z])
    ]
    for letters in itertools.product("IXYZ", repeat=code.n):
        pauli = stim.PauliString("".join(letters))
        if pauli.weight == 0 or not all(pauli.commutes(row) for row in stabilizers):
            continue
        if code.k == 0 or not all(pauli.commutes(row) for row in logicals):
            yield "".join(letters)


def brute_force_distance(code):
    return min(code.n - letters.count("I") for letters in all_logicals(code))


def group_weights(code):
    """Weights of all products of stabilizers, by stim."""
    counts = [0] * (code.n + 1)
    rows = [stim.PauliString(row) for row in code.stabilizers]
    for chosen in itertools.product((0, 1), repeat=len(rows)):
        product = stim.PauliString(code.n)
        for bit, row in zip(chosen, rows, strict=True):
            if bit:
                product *= row
        counts[product.weight] += 1
    return counts


def is_logical(code, pauli):
    """Whether a Pauli string commutes with all stabilizers and is not in their group (k = 0: is in it)."""
    operator = stim.PauliString(pauli)
    if not all(operator.commutes(stim.PauliString(row)) for row in code.stabilizers):
        return False
    return code.contains(pauli) == (code.k == 0) and operator.weight > 0
