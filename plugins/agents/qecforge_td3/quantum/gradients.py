"""Four ways to the derivative of a layer's mean bits by its inputs, weighted by what comes back from behind it.

`exact` is the adjoint method. `parameter_shift` is exact up to shots: each angle's derivative is a weighted sum of
means of circuits with that angle shifted (Mitarai et al. 2018; Wierichs et al. 2022). `spsa` shifts all angles at once,
along random signs (Spall 1992). `tangential` differentiates a network that was fitted to the layer (Luo et al. 2025).

`agreement` compares two of them. `expectation_gradient` is what all of them leave out where what is behind the layer is
curved: the derivative of the mean over the measured strings, not of the value at the mean bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum.backends import Backend
from qecforge_td3.quantum.circuits import Circuit

__all__ = [
    "GRADIENTS",
    "Agreement",
    "agreement",
    "circuits_of_shifts",
    "expectation_gradient",
    "parameter_shift",
    "spsa",
]

Array = NDArray[Any]

GRADIENTS = ("exact", "parameter_shift", "spsa", "tangential")

MOST_NUMBERS = 1 << 22
"""Angles of shifted circuits that are held at once."""


def circuits_of_shifts(circuit: Circuit) -> int:
    """Circuits that `parameter_shift` takes for one row: 600 for the paper's with R(theta, phi), 400 with RY and RZ."""
    return sum(len(rule) for _, rule in circuit.shift_rules)


def parameter_shift(
    circuit: Circuit,
    backend: Backend,
    inputs: Array,
    pairs: Array | None,
    cotangent: Array,
    shots: int | None,
    rng: np.random.Generator,
) -> Array:
    """Derivatives by the inputs, (B, A) float32, of the sum of mean bits times `cotangent` (B, bits).

    Args:
        shots: Of each shifted circuit; None for exact means where the backend has them.
        rng: Of the shots.
    """

    def sums(rotations: Array, patterns: Array | None, rows: slice) -> Array:
        means = backend.rotation_means(rotations, patterns, shots, rng)
        weights = cotangent[rows]
        found: Array = np.einsum("btn,bn->bt", means.reshape(len(weights), -1, circuit.bits), weights)
        return found

    return _by_shifts(circuit, inputs, pairs, sums, 1)


def spsa(
    backend: Backend,
    inputs: Array,
    pairs: Array | None,
    cotangent: Array,
    shots: int | None,
    rng: np.random.Generator,
    step: float,
    repeats: int,
) -> Array:
    """An estimate of the same: two circuits a row for each of `repeats` random directions, averaged.

    Args:
        shots, rng: As in `parameter_shift`; `rng` draws the directions too.
        step: How far each input is moved, in radians.
    """
    gradient = np.zeros(inputs.shape, np.float32)
    for _ in range(repeats):
        signs = rng.integers(0, 2, inputs.shape).astype(np.float32) * 2 - 1
        both = np.concatenate([inputs + step * signs, inputs - step * signs])
        twice = None if pairs is None else np.concatenate([pairs, pairs])
        if shots is None:
            means = backend.marginals(both, twice)
        else:
            means = backend.shots(both, twice, shots, rng).mean(1, dtype=np.float32)
        differences = ((means[: len(inputs)] - means[len(inputs) :]) * cotangent).sum(1)
        gradient += differences[:, None] / (2 * step * repeats) * signs
    return gradient


def expectation_gradient(circuit: Circuit, inputs: Array, pairs: Array | None, values: Array) -> Array:
    """The exact derivative of the mean of a function over the measured strings, by shifts of whole distributions.

    Holds the 2^qubits amplitudes of every shifted circuit: for small registers. 256 rows of the paper's circuit (10
    qubits, 10 layers) take some seconds.

    Args:
        values: (B, 2^bits), the function of each row's strings; bit k of an index is bit k of the string.

    Returns:
        (B, A) float32: derivatives by the inputs of the sum over strings z of p(z) values[row, z].

    Raises:
        ConfigurationError: Values of another shape.
    """
    if values.shape != (len(inputs), 1 << circuit.bits):
        raise ConfigurationError(
            f"values: got shape {values.shape}, expected {(len(inputs), 1 << circuit.bits)}: one for each string of "
            f"{circuit.bits} bits, in each row"
        )
    of_qubits = np.arange(1 << circuit.qubits)[:, None] >> np.arange(circuit.qubits) & 1
    strings = circuit.read(of_qubits) @ (1 << np.arange(circuit.bits))

    def means(rotations: Array, patterns: Array | None, rows: slice) -> Array:
        probabilities = np.abs(circuit.batch_of_rotations(rotations, patterns).amplitudes()) ** 2
        of_states = values[rows][:, strings]
        found: Array = np.einsum("btz,bz->bt", probabilities.reshape(len(of_states), -1, len(strings)), of_states)
        return found

    return _by_shifts(circuit, inputs, pairs, means, 1 << circuit.qubits)


@dataclass(frozen=True)
class Agreement:
    """How an estimate of a batch's gradients compares with the exact ones.

    Attributes:
        cosine: Of the angle between both, the mean over the rows; 0 for a row whose estimate is zero. A random
            direction among A has about sqrt(2 / (pi A)) in magnitude, and 0 on average.
        norm_ratio: Root mean square of the estimate over that of the exact gradient.
        rows: How many rows count: those whose exact gradient is not zero.
    """

    cosine: float
    norm_ratio: float
    rows: int


def agreement(estimate: Array, exact: Array) -> Agreement:
    """Compare row by row: both (B, A), or (A,) for one row. NaN where every exact gradient is zero.

    Raises:
        ConfigurationError: Their shapes differ.
    """
    if estimate.shape != exact.shape or exact.ndim not in (1, 2):
        raise ConfigurationError(f"gradients: got shapes {estimate.shape} and {exact.shape}, expected the same (B, A)")
    found, wanted = (np.atleast_2d(each).astype(np.float64) for each in (estimate, exact))
    norms = np.linalg.norm(found, axis=1), np.linalg.norm(wanted, axis=1)
    counted = norms[1] > 0
    if not counted.any():
        return Agreement(float("nan"), float("nan"), 0)
    products = norms[0] * norms[1]
    cosines = np.divide((found * wanted).sum(1), products, out=np.zeros(len(found)), where=products > 0)
    ratio = np.linalg.norm(found[counted]) / np.linalg.norm(wanted)
    return Agreement(float(cosines[counted].mean()), float(ratio), int(counted.sum()))


def _by_shifts(
    circuit: Circuit,
    inputs: Array,
    pairs: Array | None,
    means: Callable[[Array, Array | None, slice], Array],
    numbers: int,
) -> Array:
    """Derivatives by the inputs, (B, A) float32, of a mean that is known for shifted circuits.

    Args:
        means: Of shifted angles of rotations (b * T, G), their pairs and which rows these are: (b, T) means.
        numbers: That are held for each shifted circuit, if more than its angles.
    """
    terms = [(at, shift, factor) for at, rule in circuit.shift_rules for shift, factor in rule]
    columns, shifts, factors = (np.array(each) for each in zip(*terms, strict=True))
    values = circuit.rotations(inputs)
    gradient = np.zeros(values.shape, np.float32)
    rows = max(MOST_NUMBERS // (len(terms) * max(values.shape[1], numbers)), 1)
    for start in range(0, len(values), rows):
        some = slice(start, start + rows)
        shifted = np.repeat(values[some], len(terms), 0).reshape(-1, len(terms), values.shape[1])
        shifted[:, np.arange(len(terms)), columns] += shifts.astype(np.float32)
        patterns = None if pairs is None else np.repeat(pairs[some], len(terms), 0)
        parts = means(shifted.reshape(-1, values.shape[1]), patterns, some) * factors
        for term, column in enumerate(columns):
            gradient[some, column] += parts[:, term]
    return circuit.by_inputs(gradient)
