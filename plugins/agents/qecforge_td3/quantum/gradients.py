"""Four ways to the derivative of a layer's mean bits by its inputs, weighted by what comes back from behind it.

`exact` is the adjoint method. `parameter_shift` is exact up to shots: each angle's derivative is a weighted sum of
means of circuits with that angle shifted (Mitarai et al. 2018; Wierichs et al. 2022). `spsa` shifts all angles at once,
along random signs (Spall 1992). `tangential` differentiates a network that was fitted to the layer (Luo et al. 2025).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge_td3.quantum.backends import Backend
from qecforge_td3.quantum.circuits import Circuit

__all__ = ["GRADIENTS", "circuits_of_shifts", "parameter_shift", "spsa"]

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
    terms = [(at, shift, factor) for at, rule in circuit.shift_rules for shift, factor in rule]
    columns, shifts, factors = (np.array(each) for each in zip(*terms, strict=True))
    values = circuit.rotations(inputs)
    gradient = np.zeros(values.shape, np.float32)
    rows = max(MOST_NUMBERS // (len(terms) * values.shape[1]), 1)
    for start in range(0, len(values), rows):
        some = slice(start, start + rows)
        shifted = np.repeat(values[some], len(terms), 0).reshape(-1, len(terms), values.shape[1])
        shifted[:, np.arange(len(terms)), columns] += shifts.astype(np.float32)
        flat = shifted.reshape(-1, values.shape[1])
        patterns = None if pairs is None else np.repeat(pairs[some], len(terms), 0)
        means = backend.rotation_means(flat, patterns, shots, rng).reshape(-1, len(terms), circuit.bits)
        parts = np.einsum("btn,bn->bt", means, cotangent[some]) * factors
        for term, column in enumerate(columns):
            gradient[some, column] += parts[:, term]
    return circuit.by_inputs(gradient)


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
