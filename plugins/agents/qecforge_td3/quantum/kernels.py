"""The exact simulation on numpy arrays: a batch of circuits to measured bits, mean bits, gradients, amplitudes.

A circuit of the paper's family (Luo et al. 2025, section 3): L layers, each of them a rotation of every qubit by two
angles and then a CZ of one pair of qubits, on qubits that begin in |0>. Throughout:

    angles (B, L * n * 2) float32, in the order layer, qubit, theta before phi, in radians;
    pairs (B, L, 2) int64, qubits from 0; two that are equal are no gate;
    kind "r": R(theta, phi) = exp(-i theta/2 (cos(phi) X + sin(phi) Y)), qiskit's `RGate`; "ry_rz": RY(theta), then
    RZ(phi).

The CZ of the last layer changes no outcome, for measuring follows at once; it counts in `amplitudes` alone. Batches
that take more than a millisecond are worked on by as many threads as numba has (`numba.set_num_threads`); results do
not depend on it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum._batches import amplitude_rows, mean_rows, sample_rows
from qecforge_td3.quantum._rotations import KINDS, LANES

__all__ = ["Batch", "amplitudes", "marginals", "marginals_vjp", "peak_register", "sample_bits"]

FloatArray = NDArray[np.float32]
BitArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Random = np.random.Generator | int

NO_ROTATIONS = np.empty((0, 3), np.int64)


class Batch:
    """Circuits of one shape with their angles, checked.

    Args:
        angles: (B, A) float32.
        pairs: (B, gates, 2) int64, or (1, gates, 2) for all; not changed.
        qubits: At most 16.
        layers: Of rotations; a CZ follows each of them but the last.
        kind, rotations: As in `_batches`.

    Raises:
        ConfigurationError: A shape that does not fit.
    """

    def __init__(
        self,
        angles: FloatArray,
        pairs: IntArray,
        qubits: int,
        layers: int,
        kind: int = 0,
        rotations: IntArray = NO_ROTATIONS,
    ) -> None:
        if not 1 <= qubits <= LANES:
            raise ConfigurationError(f"qubits: got {qubits}, expected 1 to {LANES}: the exact simulation has no more")
        self.angles = np.ascontiguousarray(angles, np.float32)
        self.pairs = np.ascontiguousarray(pairs, np.int64)
        self.qubits, self.layers, self.kind, self.rotations = qubits, layers, kind, rotations

    def __len__(self) -> int:
        return len(self.angles)

    def sample(self, uniforms: FloatArray) -> tuple[BitArray, IntArray]:
        """Measure each circuit S times.

        Args:
            uniforms: (B, S, n) float32 in [0, 1): what decides each outcome.

        Returns:
            The bits (B, S, n), and how many qubits the register held at most in the last of them, (B,).
        """
        bits, peaks = np.empty(uniforms.shape, np.uint8), np.empty(len(self), np.int64)
        self._run(sample_rows, 0.002 * uniforms.shape[1], uniforms, bits, peaks)
        return bits, np.log2(peaks).astype(np.int64)

    def marginals(self) -> FloatArray:
        """The mean of each bit, (B, n)."""
        means = np.empty((len(self), self.qubits), np.float32)
        none = np.empty((len(self), 0), np.float32)
        self._run(mean_rows, 0.003, means, none, none)
        return means

    def vjp(self, cotangents: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The mean bits, and the derivatives by the angles, (B, A), of their sum weighted by `cotangents` (B, n)."""
        means, gradient = np.empty((len(self), self.qubits), np.float32), np.empty_like(self.angles)
        self._run(mean_rows, 0.01, means, np.ascontiguousarray(cotangents, np.float32), gradient)
        return means, gradient

    def amplitudes(self) -> NDArray[np.complex64]:
        """The state before the measurement, (B, 2^n); bit q of an index is qubit q, as in qiskit."""
        out = np.empty((len(self), 1 << self.qubits), np.complex64)
        self._run(amplitude_rows, 0.01, self.qubits, out)
        return out

    def _run(self, rows: Callable[..., int], milliseconds: float, *arguments: Any) -> None:
        given = (self.angles, self.pairs, self.kind, self.rotations, self.layers, *arguments)
        wrong = max(_in_parts(lambda start, stop: rows(*given, start, stop), len(self), milliseconds * len(self)))
        if wrong >= 0:
            raise self._error(*divmod(wrong, 2))

    def _error(self, row: int, of_pairs: int) -> ConfigurationError:
        if of_pairs:
            pairs = self.pairs[min(row, len(self.pairs) - 1)].tolist()
            return ConfigurationError(f"pairs: got {pairs} in row {row}, expected qubits from 0 to {self.qubits - 1}")
        at = int(np.flatnonzero(~np.isfinite(self.angles[row]))[0])
        value = float(self.angles[row, at])
        return ConfigurationError(
            f"angles: got {value} in row {row}, column {at}, expected finite numbers: see what computes them"
        )


def _in_parts(work: Callable[[int, int], int], rows: int, milliseconds: float) -> list[int]:
    """What `work(start, stop)` returns for all rows: in one part, or in one for each thread where that pays."""
    threads = min(numba.get_num_threads(), max(int(milliseconds), 1), max(rows, 1))
    bounds = [rows * part // threads for part in range(threads + 1)]
    found = [-1] * threads

    def one(part: int) -> None:
        found[part] = work(bounds[part], bounds[part + 1])

    others = [threading.Thread(target=one, args=(part,)) for part in range(1, threads)]
    for each in others:
        each.start()
    one(0)
    for each in others:
        each.join()
    return found


def paper_batch(angles: FloatArray, pairs: IntArray, kind: str = "r", *, last_gate: bool = False) -> Batch:
    """A batch of the paper's family.

    Args:
        last_gate: Whether the CZ of the last layer is carried out too.

    Raises:
        ConfigurationError: Shapes that do not fit each other, an unknown kind of rotation.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"rotation: got {kind!r}, expected one of {', '.join(KINDS)}")
    if angles.ndim != 2 or pairs.ndim != 3 or pairs.shape[2] != 2 or len(angles) != len(pairs) or not pairs.shape[1]:
        raise ConfigurationError(
            f"angles and pairs: got shapes {angles.shape} and {pairs.shape}, expected (B, layers * qubits * 2) and "
            "(B, layers, 2)"
        )
    layers = pairs.shape[1]
    qubits, rest = divmod(angles.shape[1], 2 * layers)
    if rest:
        raise ConfigurationError(
            f"angles: got {angles.shape[1]} columns, expected a multiple of {2 * layers}: two for each qubit and layer"
        )
    if last_gate:
        nothing = np.zeros((len(angles), 2 * qubits), np.float32)
        return Batch(np.concatenate([angles, nothing], 1), pairs, qubits, layers + 1, KINDS[kind])
    return Batch(angles, pairs, qubits, layers, KINDS[kind])


def sample_bits(angles: FloatArray, pairs: IntArray, rng: Random, kind: str = "r") -> BitArray:
    """Measure each circuit once.

    Args:
        angles, pairs, kind: As in the module's description; not changed.
        rng: What is drawn from, or a seed: n numbers for each circuit, whatever they meet.

    Returns:
        (B, n) uint8, qubit 0 first; exactly distributed.

    Raises:
        ConfigurationError: Shapes that do not fit, an angle that is not finite, a qubit that is not there.
    """
    batch = paper_batch(angles, pairs, kind)
    uniforms = np.random.default_rng(rng).random((len(batch), 1, batch.qubits), dtype=np.float32)
    return batch.sample(uniforms)[0][:, 0]


def marginals(angles: FloatArray, pairs: IntArray, kind: str = "r") -> FloatArray:
    """The mean of each measured bit, exactly: (B, n) float32, to 1e-6. Raises as `sample_bits`."""
    return paper_batch(angles, pairs, kind).marginals()


def marginals_vjp(angles: FloatArray, pairs: IntArray, cotangent: FloatArray, kind: str = "r") -> FloatArray:
    """The exact derivatives of the mean bits, weighted.

    Args:
        cotangent: (B, n) float32.

    Returns:
        (B, L * n * 2) float32: the derivatives by the angles of `(marginals(angles, pairs) * cotangent).sum()`.

    Raises:
        ConfigurationError: As in `sample_bits`.
    """
    batch = paper_batch(angles, pairs, kind)
    if cotangent.shape != (len(batch), batch.qubits):
        raise ConfigurationError(f"cotangent: got shape {cotangent.shape}, expected {(len(batch), batch.qubits)}")
    return batch.vjp(cotangent)[1]


def amplitudes(angles: FloatArray, pairs: IntArray, kind: str = "r") -> NDArray[np.complex64]:
    """The states before the measurement, (B, 2^n) complex64; bit q of an index is qubit q, as in qiskit."""
    return paper_batch(angles, pairs, kind, last_gate=True).amplitudes()


def peak_register(angles: FloatArray, pairs: IntArray, kind: str = "r") -> IntArray:
    """How many qubits the register holds at most while `sample_bits` works on each circuit, (B,); no outcome changes
    it."""
    batch = paper_batch(angles, pairs, kind)
    return batch.sample(np.zeros((len(batch), 1, batch.qubits), np.float32))[1]
