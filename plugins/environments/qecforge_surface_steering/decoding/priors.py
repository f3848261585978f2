"""Gate error probabilities that a decoder assumes: equal for all gates of a kind, or learned from detection events.

With d_i, d_j whether detectors i and j fire, the parity (-1)^(d_i + d_j) belongs to the product of their detecting
regions, and a product is a region like any other. So for single detectors and for pairs of them alike

    log E[parity] = -sum_g m_g y_g + fixed,    y_g = -log(1 - c_g p_g) >= 0

with m_g the slots of gate g that the region, or the product of both, covers. That is linear in y. Rates of single
detectors are far too few to tell gates apart (8 of them for 41 gates at distance 3); pairs of detectors that a gate
sees together are enough, but for gates that no detection event could ever tell apart: there the nominal value decides.

`GateErrorInference` fits y by penalised weighted least squares with bounds: Fisher's scoring for binomial counts, and a
Student prior around the nominal value. Its tails let a few gates be as bad as they like; a normal one would share what
a single bad gate does among its neighbours.

Source: arXiv 2511.08493, figure 4(c) (priors that follow the device); pairs of detectors: arXiv 2102.06132, "p_ij"; the
linear form in the gates' errors and the fit are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array, triu

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.decoding._prior_kernels import count_odd, solve_in_place
from qecforge_surface_steering.device.faults import FaultTable
from qecforge_surface_steering.device.regions import fixed_faults
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["GateErrorInference", "ParityCounts", "nominal_by_family", "nominal_errors"]

FloatArray = NDArray[np.float64]

_LEAST = 0.01
"""No gate is believed to be better than this fraction of its nominal value."""
_FREEDOM = 3
"""Degrees of freedom of Student's distribution."""
_ITERATIONS, _TOLERANCE = 100, 1e-4


def nominal_errors(config: SurfaceSteeringConfig, family: ArrayLike) -> FloatArray:
    """(G,) the floors that the configuration gives to gates of each family, without what is a gate's own.

    Args:
        config: Its `floor`, whose spread and exceptions are not looked at: they are the device's secret.
        family: (G,) of each gate, as `TaggedCircuit.family`.
    """
    floor = config.floor
    return nominal_by_family(
        family, one_qubit=floor.single_qubit, two_qubit=floor.two_qubit, readout=floor.readout, reset=floor.reset
    )


def nominal_by_family(
    family: ArrayLike, *, one_qubit: float, two_qubit: float, readout: float = 5e-3, reset: float = 2e-3
) -> FloatArray:
    """(G,) one error for all gates of a family."""
    errors = np.array([np.nan, one_qubit, two_qubit, readout, reset])
    found: FloatArray = errors[np.asarray(family)]
    return found


@dataclass(frozen=True, eq=False)
class ParityCounts:
    """How often the parities of each class were odd. Additive.

    Attributes:
        odd: (C,) int64.
        trials: (C,) int64.
    """

    odd: NDArray[np.int64]
    trials: NDArray[np.int64]

    def __add__(self, other: ParityCounts) -> ParityCounts:
        return ParityCounts(self.odd + other.odd, self.trials + other.trials)


class GateErrorInference:
    """Gate errors from the parities of detectors and of pairs of them.

    Detectors, and pairs, whose parities depend on the gates alike are a class, such as one pair of stabilizers in all
    cycles but the first and the last.

    Args:
        circuits: Experiments on the same gates, in whatever order each has them.
        nominal: (G,) errors believed without any data, above 0, in the order of the first circuit's gates.
        spread: Scale of that belief, Student's distribution with three degrees of freedom, as a fraction of the nominal
            value.

    Attributes:
        detectors: For each circuit (N, 2) int64: the detectors of each parity, the second -1 where there is but one.
        classes: For each circuit (N,), the class of each.
        matrix: (C, G) slots of each gate in each class.
        fixed: (C,) float64, log of the parity's mean with perfect gates.

    Raises:
        ConfigurationError: Circuits on different gates, a nominal error outside (0, p_max), a spread that is not
            positive, or noise that is no product of independent faults.
    """

    def __init__(self, circuits: Sequence[TaggedCircuit], nominal: ArrayLike, *, spread: float = 0.5) -> None:
        if not spread > 0:
            raise ConfigurationError(
                f"spread: {spread:g} is not above 0: give a fraction of the nominal errors, such as 0.5"
            )
        self._attenuation = circuits[0].attenuation
        errors = np.asarray(nominal, dtype=np.float64)
        if errors.shape != self._attenuation.shape or not ((errors > 0) & (errors * self._attenuation < 1)).all():
            raise ConfigurationError(
                f"nominal errors: not all of shape {errors.shape} lie inside (0, p_max): "
                f"give one such for each of the {len(self._attenuation)} gates"
            )
        self._nominal = -np.log1p(-self._attenuation * errors)
        self._spread = spread
        names = tuple(gate.name for gate in circuits[0].gates)
        found = [_parities(circuit, names) for circuit in circuits]
        keys = np.concatenate([each.keys for each in found])
        _, first, number = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        rows = [each.matrix for each in found]
        self.matrix: csr_array = _stacked(rows)[first]
        self.fixed: FloatArray = np.concatenate([each.fixed for each in found])[first]
        ends = np.cumsum([len(each.keys) for each in found])
        self.classes = tuple(np.split(number.ravel(), ends[:-1]))
        self.detectors = tuple(each.detectors for each in found)

    def means(self, errors: ArrayLike) -> FloatArray:
        """(C,) exact mean of each class's parity, with (G,) gate errors."""
        p = np.minimum(self._attenuation * np.asarray(errors, dtype=np.float64), 1.0)
        with np.errstate(divide="ignore"):
            means: FloatArray = np.exp(self.matrix @ np.log1p(-p) + self.fixed)
        return means

    def count(self, events: Sequence[NDArray[np.uint8]]) -> ParityCounts:
        """Parities of shots.

        Args:
            events: For each circuit (S, ceil(D/8)) uint8, detection events, bits from the lowest, as
                `LogicalShots.events`.
        """
        odd = np.zeros(len(self.fixed), dtype=np.int64)
        trials = np.zeros(len(self.fixed), dtype=np.int64)
        for packed, pairs, classes in zip(events, self.detectors, self.classes, strict=True):
            counts = _odd(packed, pairs)
            odd += np.bincount(classes, weights=counts, minlength=len(odd)).astype(np.int64)
            trials += len(packed) * np.bincount(classes, minlength=len(odd))
        return ParityCounts(odd, trials)

    def infer(self, counts: ParityCounts) -> FloatArray:
        """(G,) the most likely gate errors, each above 0."""
        A, low = self.matrix, _LEAST * self._nominal
        scale = self._spread * self._nominal
        y, free = self._nominal, np.ones(len(low), dtype=np.bool_)
        seen = counts.trials > 0
        measured = np.divide(counts.odd, counts.trials, out=np.zeros(len(seen)), where=seen)
        for _ in range(_ITERATIONS):
            logs = self.fixed - A @ y
            mean = np.exp(logs)
            rate = (1 - mean) / 2
            variance = np.maximum(rate * (1 - rate), 1e-12)
            weight = counts.trials * mean**2 / (4 * variance)
            target = self.fixed - logs + 2 * (measured - rate) / np.maximum(mean, 1e-12)
            penalty = (_FREEDOM + 1) / (_FREEDOM * scale**2 + (y - self._nominal) ** 2)
            gram = (A.T @ (A * weight[:, None])).toarray() + np.diag(penalty)
            right = A.T @ (weight * target) + penalty * self._nominal
            before, (y, free) = y, _bounded(gram, right, low, free)
            if np.abs(y / before - 1).max() < _TOLERANCE:
                break
        return -np.expm1(-y) / self._attenuation


def _bounded(
    gram: FloatArray, right: FloatArray, low: FloatArray, free: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The minimum of y·gram·y/2 - right·y with y >= low, gram positive definite: block principal pivoting.

    Args:
        gram, right, low: (G, G), (G,) and (G,).
        free: (G,) a guess of what is not at its bound.

    Returns:
        y, and what is not at its bound.

    Source: Kim and Park 2011, SIAM J. Sci. Comput. 33, 3261, algorithm 2, for a bound other than 0.
    """
    unit = 1 / np.sqrt(np.diag(gram))
    gram, right, low, free = gram * np.outer(unit, unit), right * unit, low / unit, free.copy()
    fewest, spare, rounding = len(low) + 1, 3, 1e-12 * max(np.abs(low).max(), np.abs(right).max())
    while True:
        y = low.copy()
        solution = right[free] - gram[np.ix_(free, ~free)] @ low[~free]
        solve_in_place(gram[np.ix_(free, free)], solution)
        y[free] = solution
        slack = np.where(free, y - low, gram @ y - right)
        wrong = np.flatnonzero(slack < -rounding)
        if not len(wrong):
            return np.maximum(y, low) * unit, free
        if len(wrong) < fewest:
            fewest, spare = len(wrong), 3
        elif spare:
            spare -= 1
        else:
            wrong = wrong[-1:]
        free[wrong] = ~free[wrong]


@dataclass(frozen=True, eq=False)
class _Parities:
    """Detectors of one circuit, and pairs of them: `detectors` (N, 2), the second one -1 where there is none."""

    detectors: NDArray[np.int64]
    matrix: csr_array
    fixed: FloatArray
    keys: NDArray[np.uint64]


def _parities(circuit: TaggedCircuit, gates: tuple[str, ...]) -> _Parities:
    table = FaultTable.of(circuit, gates)
    uses, D = len(table.bits), table.num_detectors
    gate = np.repeat(np.arange(len(gates)), np.diff(table.first_use))
    mask = _masks(table)
    covered = csr_array((np.ones(mask.nnz, np.int64), mask.indices, mask.indptr), shape=mask.shape)
    one_hot = csr_array((covered.data, mask.indices * 16 + mask.data, mask.indptr), shape=(D, 16 * uses))
    to_gate = csr_array((np.ones(uses, np.int64), (np.arange(uses), gate)), shape=(uses, len(gates)))
    pattern_to_gate = csr_array(
        (np.ones(16 * uses, np.int64), (np.arange(16 * uses), np.repeat(gate, 16))), shape=(16 * uses, len(gates))
    )
    together = triu(covered @ covered.T, k=1).tocoo()
    first, second = together.row.astype(np.int64), together.col.astype(np.int64)
    singles: csr_array = covered @ to_gate
    both = covered[first].multiply(covered[second]) @ to_gate
    alike = one_hot[first].multiply(one_hot[second]) @ pattern_to_gate
    matrix = _stacked([singles, singles[first] + singles[second] - both - alike])
    detectors = np.concatenate(
        [np.stack([np.arange(D), np.full(D, -1)], axis=1), np.stack([first, second], axis=1)]
    ).astype(np.int64)
    fixed = _fixed(circuit, first, second)
    return _Parities(detectors, matrix, fixed, _keys(matrix, fixed))


def _masks(table: FaultTable) -> csr_array:
    """(D, U) which of a use's generators flip the detector, as bits; a product of both flips it where they differ."""
    generators = np.repeat(np.arange(len(table.indptr) - 1), np.diff(table.indptr))
    owner = np.zeros(len(table.indptr) - 1, dtype=np.int64)
    bit = np.zeros_like(owner)
    for offset in range(4):
        has = offset < table.bits
        owner[table.generator[has] + offset] = np.flatnonzero(has)
        bit[table.generator[has] + offset] = offset
    where = (table.detectors, owner[generators])
    return coo_array((1 << bit[generators], where), shape=(table.num_detectors, len(table.bits))).tocsr()


def _fixed(circuit: TaggedCircuit, first: NDArray[np.int64], second: NDArray[np.int64]) -> FloatArray:
    """(D + pairs,) log of the mean parity that measurements, resets and the circuit's own noise leave."""
    logs, fault, detector = fixed_faults(circuit)
    D = circuit.circuit.num_detectors
    hit = csr_array((np.ones(len(fault)), (fault, detector)), shape=(len(logs), D))
    single: FloatArray = hit.T @ logs
    if not len(first):
        return single  # scipy answers with a sparse array where no place is asked for
    shared = (hit * logs[:, None]).T @ hit if len(logs) else csr_array((D, D))
    pair = single[first] + single[second] - 2 * np.asarray(csr_array(shared)[first, second]).ravel()
    return np.concatenate([single, pair])


def _keys(matrix: csr_array, fixed: FloatArray) -> NDArray[np.uint64]:
    """(N, 2): equal for equal rows, and different for different ones but with probability 2^-64."""
    words = np.random.default_rng(0x9A17).integers(0, 2**64, matrix.shape[1], dtype=np.uint64)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    sums = np.zeros(matrix.shape[0], dtype=np.uint64)
    np.add.at(sums, rows, matrix.data.astype(np.uint64) * words[matrix.indices])
    return np.stack([sums, np.rint(fixed * 1e12).astype(np.int64).view(np.uint64)], axis=1)


def _stacked(parts: Sequence[csr_array]) -> csr_array:
    from scipy.sparse import vstack

    stacked = csr_array(vstack(parts, format="csr"))
    stacked.eliminate_zeros()
    return stacked


def _odd(packed: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) shots in which each parity is odd."""
    detectors = int(pairs.max()) + 1
    shots = np.unpackbits(packed, axis=1, count=detectors, bitorder="little")
    columns = np.zeros((detectors + 1, -(-len(packed) // 64) * 8), dtype=np.uint8)
    columns[:-1, : -(-len(packed) // 8)] = np.packbits(np.ascontiguousarray(shots.T), axis=1)
    odd = np.zeros(len(pairs), dtype=np.int64)
    count_odd(columns.view(np.uint64), np.where(pairs < 0, detectors, pairs), odd)
    return odd
