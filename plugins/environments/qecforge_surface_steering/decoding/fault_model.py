"""How the gates' errors decide what a decoder believes: the faults of a circuit's error model, in one sparse product.

A fault is a line of stim's detector error model. Noise of probability p_g after each use of gate g is a set of
independent Paulis, so a fault f that n_fg of them bring about has the probability q_f with

    log(1 - 2 q_f) = sum_g n_fg s_g log(1 - c_g p_g) + fixed_f

exactly, s_g = 1/2 for gates of one qubit, 1/8 for those of two, 1 for readouts and resets. Neither the faults nor n_fg
depend on the gates' errors as long as none is 0, so they are found once; what changes with a candidate are numbers.

Source: [ours]; equal to `stim.Circuit.detector_error_model`. Priors as what is tuned: arXiv 2406.02700.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.families import READOUT, RESET
from qecforge_surface_steering.device.faults import FaultTable
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["FaultModel"]

FloatArray = NDArray[np.float64]

_SHARE = {1: 1 / 2, 2: 1 / 8, READOUT: 1.0, RESET: 1.0}
"""s_g: the part of log(1 - c p) that each independent Pauli of a depolarizing channel carries; a flip has all of it."""
_SPARE = 6
"""Trials beyond the unknowns of a fault."""
_NOISE = 1e-13
"""Below, what is left of log(1 - 2 q) once the gates' part is taken away is rounding."""


@dataclass(frozen=True, eq=False)
class FaultModel:
    """Faults of one circuit and the gates that they come from. Arrays are not to be written to.

    Faults that flip no detector are left out: no decoder can know of them.

    Attributes:
        circuit: The experiment.
        targets: For each of F faults, what it flips, with separators where stim suggests a decomposition.
        counts: (F, G) sparse, float64: n_fg s_g.
        fixed: (F,) float64, <= 0: log(1 - 2 q_f) with perfect gates.
    """

    circuit: TaggedCircuit
    targets: tuple[tuple[stim.DemTarget, ...], ...]
    counts: csr_array
    fixed: FloatArray

    @classmethod
    def of(cls, circuit: TaggedCircuit, *, decompose: bool) -> FaultModel:
        """Find the faults and the gates that they come from.

        Args:
            circuit: Its gates are numbered as `circuit.gates`.
            decompose: Split faults that flip more than two detectors into such as flip at most two, as matching needs.

        Raises:
            ConfigurationError: Faults that do not split.
        """
        rng = np.random.default_rng(0xFA17)
        lines = _lines(circuit, np.full(circuit.num_gates, 0.01), decompose)
        detected = [any(target.is_relative_detector_id() for target in line.targets_copy()) for line in lines]
        targets = tuple(tuple(line.targets_copy()) for line, kept in zip(lines, detected, strict=True) if kept)
        first, gate = _origins(circuit, targets, rng)
        most = int(np.diff(first).max(initial=0))
        logs = rng.uniform(-0.3, -0.05, (most + _SPARE, circuit.num_gates))
        seen = np.zeros((len(logs), len(targets)))
        for trial, row in enumerate(logs):
            lines = _lines(circuit, -circuit.p_max * np.expm1(row), decompose)
            seen[trial] = np.log1p(-2 * np.array([line.args_copy()[0] for line in lines])[detected])
        share = np.array([_SHARE[int(family)] for family in circuit.family])
        shares, fixed = _solve(first, gate, logs * share, seen)
        counts = csr_array((shares * share[gate], gate, first), shape=(len(targets), circuit.num_gates))
        counts.eliminate_zeros()
        return cls(circuit, targets, counts, fixed)

    @property
    def num_faults(self) -> int:
        """Number F of faults."""
        return len(self.targets)

    def attenuations(self, p: ArrayLike) -> FloatArray:
        """(..., F) log(1 - 2 q_f), with (..., G) error probabilities of the gates, 0..p_max."""
        with np.errstate(divide="ignore"):
            logs = np.log1p(-np.minimum(self.circuit.attenuation * np.asarray(p, dtype=np.float64), 1.0))
        logs = np.maximum(logs, -1e3)
        total: FloatArray = (self.counts @ logs.reshape(-1, self.circuit.num_gates).T).T + self.fixed
        return total.reshape(*logs.shape[:-1], self.num_faults)

    def probabilities(self, p: ArrayLike) -> FloatArray:
        """(..., F) float64 in [0, 1/2]: q_f of each fault, with (..., G) error probabilities of the gates."""
        return -0.5 * np.expm1(self.attenuations(p))

    def error_model(self, p: ArrayLike) -> stim.DetectorErrorModel:
        """The detector error model with (G,) error probabilities of the gates."""
        return self.error_model_of(self.probabilities(p))

    def error_model_of(self, probabilities: FloatArray) -> stim.DetectorErrorModel:
        """The detector error model with (F,) probabilities of the faults; its detectors have no coordinates."""
        model = stim.DetectorErrorModel()
        for q, targets in zip(probabilities.tolist(), self.targets, strict=True):
            model.append("error", q, targets)
        last = self.circuit.circuit.num_detectors - 1
        model.append("detector", [], [stim.target_relative_detector_id(last)])
        for observable in range(self.circuit.circuit.num_observables):
            model.append("logical_observable", [], [stim.target_logical_observable_id(observable)])
        return model


def _lines(circuit: TaggedCircuit, p: FloatArray, decompose: bool) -> list[stim.DemInstruction]:
    """The error model's faults with (G,) error probabilities of the gates."""
    try:
        model = circuit.with_noise(p).detector_error_model(
            decompose_errors=decompose, approximate_disjoint_errors=True, flatten_loops=True
        )
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"circuit: its faults cannot be decomposed into faults that flip at most two detectors ({reason}): "
            f"choose decoder tesseract"
        ) from error
    return [line for line in model if line.type == "error"]


def _origins(
    circuit: TaggedCircuit, targets: tuple[tuple[stim.DemTarget, ...], ...], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """CSR pointers and gates: for each fault, those of whose Paulis some flips the same detectors.

    Sets of detectors are compared by 64 random bits for each detector: two different ones agree with probability 2^-64.
    """
    table = FaultTable.of(circuit, tuple(gate.name for gate in circuit.gates))
    words = rng.integers(0, 2**64, table.num_detectors, dtype=np.uint64)
    word, gate = _words(table, words)
    order = np.lexsort((gate, word))
    word, gate = word[order], gate[order]
    fresh = np.append(True, (word[1:] != word[:-1]) | (gate[1:] != gate[:-1]))
    word, gate = word[fresh], gate[fresh]
    known, start = np.unique(word, return_index=True)
    start = np.append(start, len(word))
    wanted = np.array([_word(words, fault) for fault in targets], dtype=np.uint64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    lengths = np.where(known[at] == wanted, np.diff(start)[at], 0)
    first = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(first[-1]) - np.repeat(first[:-1], lengths)
    return first, gate[np.repeat(start[at], lengths) + within]


def _words(table: FaultTable, words: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Word of the detectors that each Pauli of each use of a gate flips, and the gate."""
    running = np.concatenate([np.zeros(1, np.uint64), np.bitwise_xor.accumulate(words[table.detectors])])
    generators = running[table.indptr[1:]] ^ running[table.indptr[:-1]]
    owner = np.repeat(np.arange(len(table.first_use) - 1), np.diff(table.first_use))
    found, gates = [], []
    for bits in (1, 2, 4):
        uses = np.flatnonzero(table.bits == bits)
        own = generators[table.generator[uses][:, None] + np.arange(bits)]
        for pauli in range(1, 2**bits):
            chosen = [bit for bit in range(bits) if pauli >> bit & 1]
            found.append(np.bitwise_xor.reduce(own[:, chosen], axis=1))
            gates.append(owner[uses])
    return np.concatenate(found), np.concatenate(gates)


def _word(words: NDArray[np.uint64], fault: tuple[stim.DemTarget, ...]) -> np.uint64:
    flipped = [target.val for target in fault if target.is_relative_detector_id()]
    word: np.uint64 = np.bitwise_xor.reduce(words[flipped])
    return word


def _solve(
    first: NDArray[np.int64], gate: NDArray[np.int64], logs: FloatArray, seen: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How many Paulis of each gate bring about a fault, and what is fixed.

    Args:
        first, gate: CSR, the gates that a fault may come from.
        logs: (R, G), s_g log(1 - c_g p_g) in R trials.
        seen: (R, F), log(1 - 2 q_f) in each.

    Returns:
        One whole number for each entry of `gate`, and (F,).
    """
    counts, fixed = np.zeros(len(gate)), np.zeros(len(first) - 1)
    lengths = np.diff(first)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        entries = first[rows][:, None] + np.arange(length)
        design = np.moveaxis(logs[:, gate[entries]], 0, 1)
        design = np.concatenate([design, np.ones((*design.shape[:2], 1))], axis=2)
        answer = np.linalg.pinv(design) @ seen[:, rows].T[:, :, None]
        counts[entries] = np.round(answer[:, :-1, 0])
        fixed[rows] = np.mean(seen[:, rows].T - (design[:, :, :-1] @ counts[entries][:, :, None])[:, :, 0], axis=1)
    return counts, np.where(np.abs(fixed) < _NOISE, 0.0, fixed)
