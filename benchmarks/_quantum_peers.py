"""Peers of the quantum layer's simulation, each told to do the same circuits: what `quantum_layer.py` measures."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit

__all__ = ["LAYERS", "QUBITS", "full_state_bits", "peers", "torch_means", "torch_state"]

QUBITS = LAYERS = 10


@njit(nogil=True, error_model="numpy", fastmath=True, cache=True)
def full_state_bits(angles, pairs, uniforms, bits):  # type: ignore[no-untyped-def]
    """One shot of each circuit, its 2^n amplitudes held as a whole: rotation after rotation, CZ after CZ."""
    layers, qubits = pairs.shape[1], bits.shape[1]
    size = 1 << qubits
    state = np.empty(size, np.complex64)
    for row in range(len(angles)):
        state[:] = 0
        state[0] = 1
        for layer in range(layers):
            for q in range(qubits):
                at = 2 * (layer * qubits + q)
                theta, phi = np.float32(0.5) * angles[row, at], angles[row, at + 1]
                cosine, sine = np.cos(theta), np.sin(theta)
                low = np.complex64(complex(-sine * np.sin(phi), -sine * np.cos(phi)))
                high = np.complex64(complex(sine * np.sin(phi), -sine * np.cos(phi)))
                stride = 1 << q
                for base in range(0, size, 2 * stride):
                    for k in range(base, base + stride):
                        zero, one = state[k], state[k + stride]
                        state[k] = cosine * zero + low * one
                        state[k + stride] = high * zero + cosine * one
            a, b = pairs[row, layer]
            if a != b:
                both = (1 << a) | (1 << b)
                for k in range(size):
                    if k & both == both:
                        state[k] = -state[k]
        left = uniforms[row]
        for k in range(size):
            left -= state[k].real ** 2 + state[k].imag ** 2
            if left < 0 or k == size - 1:
                for q in range(qubits):
                    bits[row, q] = k >> q & 1
                break


def torch_state(angles: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """States of a batch, (B, 2^n) complex64, by torch: one gate on all rows at once."""
    rows, size = len(angles), 1 << QUBITS
    state = torch.zeros(rows, size, dtype=torch.complex64)
    state[:, 0] = 1
    given = angles.reshape(rows, LAYERS, QUBITS, 2)
    cosine, sine = torch.cos(given[..., 0] / 2), torch.sin(given[..., 0] / 2)
    high = torch.complex(sine * torch.sin(given[..., 1]), -sine * torch.cos(given[..., 1]))
    low = torch.complex(-sine * torch.sin(given[..., 1]), -sine * torch.cos(given[..., 1]))
    rotation = torch.stack([cosine + 0j, low, high, cosine + 0j], -1).reshape(rows, LAYERS, QUBITS, 2, 2)
    index = torch.arange(size)
    for layer in range(LAYERS):
        for q in range(QUBITS):
            parts = state.reshape(rows, size >> (q + 1), 2, 1 << q)
            state = torch.einsum("bij,bkjm->bkim", rotation[:, layer, q], parts).reshape(rows, size)
        first, second = pairs[:, layer, :1], pairs[:, layer, 1:]
        both = (index >> first & 1) * (index >> second & 1) * (first != second)
        state = state * (1 - 2 * both)
    return state


def torch_means(angles: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Mean bits (B, n), which autograd differentiates."""
    probabilities = torch_state(angles, pairs).abs().square()
    return probabilities @ (torch.arange(1 << QUBITS)[:, None] >> torch.arange(QUBITS) & 1).float()


def _torch_bits(angles: Any, pairs: Any) -> None:
    with torch.no_grad():
        torch.multinomial(torch_state(torch.from_numpy(angles), torch.from_numpy(pairs)).abs().square(), 1)


def _qulacs_circuits(angles: Any, pairs: Any) -> list[Any]:
    import qulacs

    circuits = []
    for given, qubits in zip(angles.reshape(-1, LAYERS, QUBITS, 2), pairs, strict=True):
        circuit = qulacs.QuantumCircuit(QUBITS)
        for rotations, (a, b) in zip(given, qubits, strict=True):
            for q, (theta, phi) in enumerate(rotations):  # R(theta, phi) = RZ(phi) RX(theta) RZ(-phi), as one matrix
                c, s = np.cos(theta / 2), np.sin(theta / 2)
                matrix = [[c, -1j * np.exp(-1j * phi) * s], [-1j * np.exp(1j * phi) * s, c]]
                circuit.add_gate(qulacs.gate.DenseMatrix(q, matrix))
            if a != b:
                circuit.add_CZ_gate(int(a), int(b))
        circuits.append(circuit)
    return circuits


def _qulacs(angles: Any, pairs: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import qulacs

    circuits = _qulacs_circuits(angles, pairs)

    def run() -> None:
        state = qulacs.QuantumState(QUBITS)
        for circuit in circuits:
            state.set_zero_state()
            circuit.update_quantum_state(state)
            state.sampling(1)

    return lambda: _qulacs_circuits(angles, pairs), run


def _aer(angles: Any, pairs: Any, *, bound: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """`bound`: one circuit with the first row's pairs, to which the rows' angles are bound when it is run; else a
    circuit for each row in one job."""
    from qiskit_aer import AerSimulator

    from qecforge_td3.quantum import PaperCircuit

    family = PaperCircuit(QUBITS, LAYERS)
    simulator = AerSimulator(
        method="statevector", precision="single", max_parallel_threads=1, max_parallel_experiments=1
    )

    def build() -> Any:
        if bound:
            circuit, parameters = family.template(pairs[0])
            columns = angles.astype(float).T.tolist()
            return [circuit], [dict(zip(parameters, columns, strict=True))]
        circuits = []
        for given, qubits in zip(angles.astype(float), pairs, strict=True):
            circuit, parameters = family.template(qubits)
            circuits.append(circuit.assign_parameters(dict(zip(parameters, given.tolist(), strict=True))))
        return circuits, None

    circuits, binds = build()
    return build, lambda: simulator.run(circuits, parameter_binds=binds, shots=1).result()


def _pennylane(angles: Any, pairs: Any, *, device: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """`default.qubit` broadcasts the rows' angles over one circuit with the first row's pairs; `lightning.qubit` runs
    row by row."""
    import pennylane as qml

    given = angles.reshape(-1, LAYERS, QUBITS, 2)

    def circuit(rotations: Any, qubits: Any) -> Any:
        for layer in range(LAYERS):
            for q in range(QUBITS):
                theta, phi = rotations[layer][q]
                qml.RZ(-phi, q)
                qml.RX(theta, q)
                qml.RZ(phi, q)
            a, b = (int(each) for each in qubits[layer])
            if a != b:
                qml.CZ([a, b])
        return qml.sample(wires=range(QUBITS))

    node = qml.set_shots(qml.QNode(circuit, qml.device(device, wires=QUBITS)), shots=1)
    if device == "default.qubit":
        columns = np.moveaxis(given, 0, -1)
        return lambda: None, lambda: node(columns, pairs[0])
    return lambda: None, lambda: [node(row, qubits) for row, qubits in zip(given, pairs, strict=True)]


def peers(angles: Any, pairs: Any) -> dict[str, tuple[int, Callable[[Any, Any], Any]]]:
    """By name, how many of the circuits a peer is given, and what makes a pair of calls of those: build, and run."""

    def built(run: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda a, p: (lambda: None, lambda: run(a, p))

    uniforms, bits = np.random.default_rng(1).random(len(angles)), np.zeros((len(angles), QUBITS), np.uint8)
    return {
        "full state vector, numba loop": (
            len(angles),
            built(lambda a, p: full_state_bits(a, p, uniforms[: len(a)], bits[: len(a)])),
        ),
        "qulacs": (64, _qulacs),
        "torch, batched state vectors": (128, built(_torch_bits)),
        "qiskit-aer, bound parameters, one CZ pattern": (128, functools.partial(_aer, bound=True)),
        "qiskit-aer, a job of circuits": (32, functools.partial(_aer, bound=False)),
        "PennyLane default.qubit, broadcast, one CZ pattern": (
            64,
            functools.partial(_pennylane, device="default.qubit"),
        ),
        "PennyLane lightning.qubit": (8, functools.partial(_pennylane, device="lightning.qubit")),
    }


warnings.filterwarnings("ignore", module="pennylane")
