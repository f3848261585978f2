"""Circuits of the hybrid TD3 paper by other means: qiskit's `Statevector`, and torch in double precision."""

import numpy as np
import torch
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
from scipy.stats import chi2


def random_circuits(rng, batch, qubits, layers, *, spread=4.0):
    """Angles (B, L n 2) float32 and pairs (B, L, 2), of which some name a qubit twice."""
    angles = rng.uniform(-spread, spread, (batch, layers * qubits * 2)).astype(np.float32)
    return angles, rng.integers(0, qubits, (batch, layers, 2))


def qiskit_state(angles, pairs, qubits, kind):
    """Amplitudes of one circuit, by qiskit."""
    circuit = QuantumCircuit(qubits)
    at = iter(angles.astype(float).tolist())
    for a, b in pairs.tolist():
        for q in range(qubits):
            if kind == "r":
                circuit.r(next(at), next(at), q)
            else:
                circuit.ry(next(at), q)
                circuit.rz(next(at), q)
        if a != b:
            circuit.cz(a, b)
    return np.asarray(Statevector(circuit))


def probabilities(angles, pairs, qubits, kind="r"):
    """Of the strings of one circuit, bit q of an index being qubit q."""
    return np.abs(qiskit_state(angles, pairs, qubits, kind)) ** 2


def means_of(strings):
    """Mean of each bit, of probabilities of strings."""
    qubits = int(np.log2(len(strings)))
    return (strings[:, None] * (np.arange(len(strings))[:, None] >> np.arange(qubits) & 1)).sum(0)


def torch_means(angles, pairs, qubits, kind):
    """Mean bits of one circuit as a function of double-precision angles (L n 2) that autograd differentiates."""
    state = torch.zeros((2,) * qubits, dtype=torch.complex128)
    state[(0,) * qubits] = 1
    given = angles.reshape(len(pairs), qubits, 2)
    for layer, (a, b) in enumerate(pairs.tolist()):
        for q in range(qubits):
            theta, phi = given[layer, q]
            cosine, sine = torch.cos(theta / 2) + 0j, torch.sin(theta / 2) + 0j
            if kind == "r":
                turn = torch.exp(1j * phi)
                rows = [cosine, -1j * turn.conj() * sine, -1j * turn * sine, cosine]
            else:
                turn = torch.exp(0.5j * phi)
                rows = [turn.conj() * cosine, -turn.conj() * sine, turn * sine, turn * cosine]
            state = torch.moveaxis(torch.tensordot(torch.stack(rows).reshape(2, 2), state, ([1], [q])), 0, q)
        if a != b:
            sign = torch.ones((2,) * qubits, dtype=torch.float64)
            sign[tuple(1 if q in (a, b) else slice(None) for q in range(qubits))] = -1
            state = state * sign
    found = state.abs() ** 2
    return torch.stack([found.select(q, 1).sum() for q in range(qubits)])


def p_value(bits, expected):
    """Of a chi-square test that the rows of `bits` (S, n) are drawn from probabilities of strings (2^n,).

    Strings that are expected less than five times are taken together.
    """
    shots, qubits = bits.shape
    counts = np.bincount(bits.astype(np.int64) @ (1 << np.arange(qubits)), minlength=1 << qubits)
    expected = expected * shots
    often = expected >= 5
    observed, wanted = counts[often], expected[often]
    rest = expected[~often].sum()
    if rest < 5:
        assert counts[~often].sum() <= 30, "strings that should hardly occur"
    else:
        observed, wanted = np.append(observed, counts[~often].sum()), np.append(wanted, rest)
    if len(wanted) < 2:
        return 1.0
    wanted = wanted * (observed.sum() / wanted.sum())
    return chi2.sf(((observed - wanted) ** 2 / wanted).sum(), len(wanted) - 1)
