"""What an error weighs: the channel's probabilities turned into one number for each error class.

Channels come as (M, 4) probabilities of I, X, Y, Z, the same for each qubit of a code; M is 1, or the batch size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_knill_laflamme._classes import ErrorClasses, Scheme, pair_counts
from qecforge_knill_laflamme.config import KnillLaflammeConfig

__all__ = [
    "check_channels",
    "default_channel",
    "least_probability",
    "least_weight",
    "penalty_weights",
    "residual_weights",
    "scheme_of",
]

FloatArray = NDArray[np.float64]

_TINY = float(np.finfo(np.float64).tiny)
"""What is smaller has underflown, and counts as zero."""


def default_channel(config: KnillLaflammeConfig) -> FloatArray:
    """(1, 4): p_Z = bias * p_X, p_Y = p_X, adding up to `error_probability`."""
    p_x = config.error_probability / (config.bias + 2)
    return np.array([[1 - config.error_probability, p_x, p_x, config.bias * p_x]])


def check_channels(noise: FloatArray) -> None:
    """Refuse what are not probabilities of (I, X, Y, Z) in the last axis, with a `ConfigurationError`."""
    if not (np.all(noise >= 0) and np.allclose(noise.sum(axis=-1), 1, atol=1e-6)):
        raise ConfigurationError(
            "knill_laflamme: the batch's noise has rows that are no probabilities of (I, X, Y, Z); each must be "
            "non-negative and add up to 1"
        )


def scheme_of(channels: FloatArray) -> Scheme | None:
    """The coarsest classes that serve these (M, 4) channels; None where p_X differs from p_Y."""
    p_x, p_y, p_z = channels[:, 1], channels[:, 2], channels[:, 3]
    if not np.array_equal(p_x, p_y):
        return None
    return "weight" if np.array_equal(p_x, p_z) else "bias"


def penalty_weights(classes: ErrorClasses, channels: FloatArray) -> FloatArray:
    """p(E) of an error of each class, (C, M)."""
    depth = classes.depth
    p_i = _powers(channels[:, 0], depth)
    p_xy, p_z = _powers(channels[:, 1], depth), _powers(channels[:, 3], depth)
    untouched = _power(channels[:, 0], classes.n - depth)
    weights = np.empty((len(classes), len(channels)))
    for c, (z, y) in enumerate(classes.members.tolist()):
        np.multiply(untouched, p_i[depth - z - y], out=weights[c])
        weights[c] *= p_z[z]
        weights[c] *= p_xy[y]
    return weights


def least_weight(weights: FloatArray) -> FloatArray:
    """(M,): the least positive of each column of (C, M) `penalty_weights`; 1 where there is none."""
    return _or_one(np.where(weights >= _TINY, weights, np.inf).min(axis=0, initial=np.inf))


def least_probability(noise: FloatArray, depth: int) -> FloatArray:
    """(M,): the least p(E) > 0 among errors of weight 1..depth, for (M, n, 4) channels; 1 where there is none.

    Qubit by qubit, least[w] is the least positive probability of w errors on the qubits seen so far.
    """
    positive = np.where(noise >= _TINY, noise, np.inf)
    idle, error = positive[:, :, 0], positive[:, :, 1:].min(axis=2)
    least = np.full((depth + 1, len(noise)), np.inf)
    least[0] = 1.0
    for q in range(noise.shape[1]):
        least[1:] = np.minimum(least[1:] * idle[:, q], least[:-1] * error[:, q])
        least[0] *= idle[:, q]
        least[least < _TINY] = np.inf
    return _or_one(least[1:].min(axis=0, initial=np.inf))


def _or_one(least: FloatArray) -> FloatArray:
    return np.where(np.isfinite(least), least, 1.0)


def residual_weights(classes: ErrorClasses, k: int, channels: FloatArray | None) -> FloatArray:
    """What an error of each class adds to rho, (C, M): 2^k times the number of ordered pairs (i, j) of the set whose
    product it is; with `channels` each pair weighs p(E_i) p(E_j). The set: Paulis of weight <= floor(depth / 2)."""
    top = classes.depth // 2
    size = top + 1
    inside = np.add.outer(np.arange(size), np.arange(size)) <= top
    if channels is None:
        p = inside[None].astype(np.float64)
    else:
        p_i, p_xy, p_z = (_powers(channels[:, column], classes.n) for column in (0, 1, 3))
        p = np.zeros((len(channels), size, size))
        for z, y in np.argwhere(inside).tolist():
            p[:, z, y] = p_i[classes.n - z - y] * p_z[z] * p_xy[y]
    counts = np.stack([pair_counts(classes.n, top, z, y) for z, y in classes.members.tolist()])
    weights: FloatArray = 2.0**k * np.einsum("mab,cabde,mde->cm", p, counts, p, optimize=True)
    return weights


def _powers(base: FloatArray, top: int) -> list[FloatArray]:
    """base^0 .. base^top."""
    powers = [np.ones_like(base)]
    for _ in range(top):
        powers.append(powers[-1] * base)
    return powers


def _power(base: FloatArray, exponent: int) -> FloatArray:
    """base^exponent by repeated squaring: several times faster than numpy's `power`."""
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result
