"""From a circuit's detecting regions to the rates of detection events, and to who can learn from whom.

A detector's region is where in space and time a fault would flip it (stim's `Circuit.detecting_regions`). With m_gj the
number of slots of gate g that region j covers, depolarizing noise of probability p_g after each gives detection rates

    log(1 - 2 D_j) = sum_g m_gj log(1 - c_g p_g) + fixed_j

exactly: in each slot the Paulis that anticommute with the region are a fraction c_g/2 of p_g, faults are independent,
and `fixed_j` is the same sum over the noise that control has no part in. A readout's slots are the results that the
detector compares.

Source: arXiv 2511.08493, figure 2(c) (factor graph from detecting regions); the closed form and its use as an engine
are ours, exact against stim's detector error model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.families import READOUT
from qecforge_surface_steering.device.tagged import Gate, TaggedCircuit

__all__ = ["DetectionModel", "Objectives", "fixed_attenuation", "fixed_faults", "region_counts"]

Objectives = Literal["stabilizer", "detector"]
_Number = TypeVar("_Number", bound=np.generic)


def region_counts(circuit: TaggedCircuit) -> list[dict[int, int]]:
    """For each detector, gate number -> slots of that gate which its detecting region covers; zeros are left out."""
    sliced = stim.Circuit()
    owners: list[dict[int, int]] = []
    gate_of: list[int] = []
    reader: list[int] = []
    counts: list[dict[int, int]] = []
    for slot in circuit.slots():
        if slot.instruction.name == "TICK":
            continue
        sliced.append(slot.instruction)
        if slot.instruction.name == "DETECTOR":
            results = Counter(target.value % len(reader) for target in slot.instruction.targets_copy())
            odd = Counter(reader[result] for result, times in results.items() if times % 2)
            counts.append({gate: m for gate, m in odd.items() if gate >= 0})
        elif slot.uses and circuit.gates[slot.uses[0][0]].family == READOUT:
            reader += [gate for gate, _ in slot.uses]
            continue
        reader += [-1] * slot.instruction.num_measurements
        if slot.uses:
            sliced.append("TICK")
            owners.append({})
            for gate, qubits in slot.uses:
                owners[-1].update(dict.fromkeys(qubits, len(gate_of)))
                gate_of.append(gate)
    for target, slices in sliced.detecting_regions(targets=["D"]).items():
        row = counts[target.val]
        for tick, region in slices.items():
            owner = owners[tick]
            for use in {owner[q] for q in region.pauli_indices() if q in owner}:
                row[gate_of[use]] = row.get(gate_of[use], 0) + 1
    return counts


def fixed_faults(circuit: TaggedCircuit) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Faults with perfect gates: measurement, reset, and noise that the circuit brings.

    Returns:
        (F,) log(1 - 2 p) of each fault, and the pairs (fault, detector that it flips) as two rows.

    Raises:
        ConfigurationError: Noise that stim can only approximate by independent faults.
    """
    try:
        model = circuit.fixed_noise().detector_error_model(flatten_loops=True)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"circuit: its noise is not a product of independent faults ({reason}): use, for example, DEPOLARIZE1"
        ) from error
    logs: list[float] = []
    fault: list[int] = []
    detector: list[int] = []
    for instruction in model:
        if instruction.type == "error":
            hit = [t.val for t in instruction.targets_copy() if t.is_relative_detector_id()]
            fault += [len(logs)] * len(hit)
            detector += hit
            logs.append(float(np.log1p(-2 * instruction.args_copy()[0])))
    return np.array(logs), np.array(fault, dtype=np.int64), np.array(detector, dtype=np.int64)


def fixed_attenuation(circuit: TaggedCircuit) -> NDArray[np.float64]:
    """(num_detectors,) log(1 - 2 D_j) with perfect gates. Raises as `fixed_faults`."""
    logs, fault, detector = fixed_faults(circuit)
    return np.bincount(detector, logs[fault], minlength=circuit.circuit.num_detectors).astype(np.float64)


@dataclass(frozen=True, eq=False)
class DetectionModel:
    """Detection rates of a memory experiment, or of several on the same gates, as a function of the gates' errors.

    Detectors of one objective with equal rows are a class, kept once. Arrays are read-only.

    Attributes:
        gates: G gates.
        indptr, indices, counts: CSR, int64: class k has `counts` m_gk > 0 of the gates `indices`, ascending.
        fixed: (C,) float64, log(1 - 2 D) from noise that control has no part in.
        objective: (C,) int64, the objective that each class belongs to, ascending.
        multiplicity: (C,) int64, detectors of the class in one shot of each circuit.
        detector_class: For each circuit, (num_detectors,) int64: class of each detector, -1 where it is left out.
        objective_names: m names.
        coordinates: (m, 2) float64 of each objective on the layout, NaN where detectors have none.
        attenuation: (G,) c_g.
    """

    gates: tuple[Gate, ...]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    counts: NDArray[np.int64]
    fixed: NDArray[np.float64]
    objective: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    detector_class: tuple[NDArray[np.int64], ...]
    objective_names: tuple[str, ...]
    coordinates: NDArray[np.float64]
    attenuation: NDArray[np.float64]

    @classmethod
    def from_circuits(
        cls, circuits: Sequence[TaggedCircuit], *, objectives: Objectives = "stabilizer", bulk_only: bool = True
    ) -> DetectionModel:
        """Build the model.

        Args:
            circuits: Experiments on the same gates, such as memory in X and in Z. Detectors of equal coordinates in
                different circuits are taken for the same.
            objectives: stabilizer: detectors whose coordinates differ only in the last, time, are one objective, their
                mean rate; detector: each is one. Detectors without coordinates are always objectives of their own.
            bulk_only: Keep of each stabilizer the detectors with its most frequent row, the one nearest the middle of
                the experiment where several are as frequent: what a long computation sees, without start and end.

        Raises:
            ConfigurationError: No circuit, circuits on different gates, a gate that no objective can see (named), or
                noise that is no product of independent faults.
        """
        if not circuits:
            raise ConfigurationError("detection model: no circuit was given: give one or more")
        gates = circuits[0].gates
        for other in circuits[1:]:
            differing = {gate.name for gate in other.gates} ^ {gate.name for gate in gates}
            if differing:
                raise ConfigurationError(
                    f"circuits: not all have the gate {min(differing)!r}: give circuits on the same gates"
                )
        numbers = {gate.name: g for g, gate in enumerate(gates)}
        found = [item for number, circuit in enumerate(circuits) for item in _found(number, circuit, numbers)]
        if bulk_only:
            found = _bulk(found, [c.circuit.num_detectors for c in circuits])
        return _assemble(circuits, found, objectives)

    @property
    def num_gates(self) -> int:
        """Number G of gates."""
        return len(self.gates)

    @property
    def num_classes(self) -> int:
        """Number C of classes."""
        return len(self.objective)

    @property
    def num_objectives(self) -> int:
        """Entries m of the reward vector."""
        return len(self.objective_names)

    def class_rates(self, p: ArrayLike) -> NDArray[np.float64]:
        """Detection rate of each class.

        Args:
            p: (..., G) error probabilities of the gates, 0..p_max.

        Returns:
            (..., C) float64 in [0, 1/2]. A plain reference: engines have faster ways.
        """
        with np.errstate(divide="ignore"):
            logs = np.log1p(-np.minimum(self.attenuation * np.asarray(p, dtype=np.float64), 1.0))
        total = (self._matrix() @ logs.reshape(-1, self.num_gates).T).T + self.fixed
        rates: NDArray[np.float64] = -0.5 * np.expm1(total.reshape(*logs.shape[:-1], self.num_classes))
        return rates

    def rates(self, p: ArrayLike) -> NDArray[np.float64]:
        """(..., m) float64: mean detection rate of each objective over its detectors, for (..., G) gate errors."""
        return self._mean(self.class_rates(p))

    def gradient(self, p: ArrayLike) -> NDArray[np.float64]:
        """(G,) float64: derivative of the mean rate over all objectives with respect to each gate's error, at (G,)."""
        errors = np.asarray(p, dtype=np.float64)
        detectors = np.bincount(self.objective, self.multiplicity)[self.objective]
        weight = self.multiplicity / (detectors * self.num_objectives)
        kept = 0.5 - self.class_rates(errors)
        per_log: NDArray[np.float64] = self._matrix().T @ (weight * kept)
        return per_log * self.attenuation / (1 - self.attenuation * errors)

    def _matrix(self) -> csr_array:
        return csr_array((self.counts, self.indices, self.indptr), shape=(self.num_classes, self.num_gates))

    def _mean(self, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        starts = np.searchsorted(self.objective, np.arange(self.num_objectives))
        total: NDArray[np.float64] = np.add.reduceat(rates * self.multiplicity, starts, axis=-1)
        return total / np.add.reduceat(self.multiplicity, starts)

    def factor_graph(
        self,
        parameters: int | Sequence[Sequence[int]],
        *,
        crosstalk: NDArray[np.int64] | None = None,
        excess: ArrayLike | None = None,
        nominal: ArrayLike | None = None,
    ) -> FactorGraph:
        """Objectives and parameters: connected where some detector of the objective sees a gate of the parameter.

        Args:
            parameters: P for each gate, gate after gate; or for each parameter the numbers of its gates.
            crosstalk: (N, 2) pairs of gates that disturb each other: a parameter is connected to the objectives of its
                gates' partners too.
            excess: (G,) by how much each gate's error is believed to rise where one of its parameters is one
                exploration scale off: with it, and `nominal`, the graph has weights.
            nominal: (G,) errors of the gates at their optimum, as far as is known.
        """
        row = self.objective[np.repeat(np.arange(self.num_classes), np.diff(self.indptr))]
        shape = (self.num_objectives, self.num_gates)
        sees = csr_array((np.ones(len(row), np.int64), (row, self.indices)), shape=shape)
        worth = None if excess is None or nominal is None else self._slopes(nominal) * np.asarray(excess)
        if crosstalk is not None and len(crosstalk):
            one, other = crosstalk.T
            itself = np.arange(self.num_gates)
            ends = (np.concatenate([itself, one, other]), np.concatenate([itself, other, one]))
            sees = csr_array(sees @ csr_array((np.ones(len(ends[0]), np.int64), ends), shape=shape[1:] * 2))
        if isinstance(parameters, int):
            group, groups = np.repeat(np.arange(self.num_gates), parameters), self.num_gates
        else:
            number: dict[tuple[int, ...], int] = {}
            group = np.array([number.setdefault(tuple(gates), len(number)) for gates in parameters], dtype=np.int64)
            groups = len(number)
            members = ([g for gates in number for g in gates], [k for gates, k in number.items() for _ in gates])
            acts = csr_array((np.ones(len(members[0]), np.int64), members), shape=(self.num_gates, groups))
            sees = csr_array(sees @ acts)
            worth = None if worth is None else worth @ acts
        sees.sum_duplicates()
        of = np.repeat(np.arange(self.num_objectives), np.diff(sees.indptr))
        return FactorGraph(
            indptr=sees.indptr.astype(np.int64),
            indices=sees.indices.astype(np.int64),
            num_objectives=self.num_objectives,
            num_parameters=len(group),
            group=group,
            num_groups=groups,
            weights=None if worth is None else worth[of, sees.indices],
        )

    def _slopes(self, p: ArrayLike) -> NDArray[np.float64]:
        """(m, G): derivative of each objective's mean rate with respect to each gate's error, at (G,) errors."""
        errors = np.asarray(p, dtype=np.float64)
        share = self.multiplicity / np.bincount(self.objective, self.multiplicity)[self.objective]
        per_log = (share * (0.5 - self.class_rates(errors)))[:, None] * self._matrix().toarray()
        slopes = np.zeros((self.num_objectives, self.num_gates))
        np.add.at(slopes, self.objective, per_log * self.attenuation / (1 - self.attenuation * errors))
        return slopes


@dataclass(frozen=True)
class _Found:
    """A detector: where it was found, what it is part of, and its row."""

    circuit: int
    number: int
    place: tuple[float, ...]
    time: tuple[float, ...]
    row: tuple[tuple[tuple[int, int], ...], float]


def _found(number: int, circuit: TaggedCircuit, gate_numbers: dict[str, int]) -> list[_Found]:
    common = [gate_numbers[gate.name] for gate in circuit.gates]
    coordinates = circuit.circuit.get_detector_coordinates()
    fixed = fixed_attenuation(circuit)
    seen: Counter[tuple[float, ...]] = Counter()
    found = []
    place: tuple[float, ...]
    time: tuple[float, ...]
    for detector, counts in enumerate(region_counts(circuit)):
        row = (tuple(sorted((common[g], m) for g, m in counts.items())), round(float(fixed[detector]), 13))
        at = tuple(coordinates[detector])
        if len(at) < 2:
            place, time = (np.inf, number, detector), (0.0,)
        else:
            place, time = at[:-1], (at[-1], seen[at])
            seen[at] += 1
        found.append(_Found(number, detector, place, time, row))
    return found


def _bulk(found: list[_Found], sizes: list[int]) -> list[_Found]:
    """Of each stabilizer the detectors with the most frequent row, the one nearest the middle among equals."""
    frequency = Counter((item.place, item.row) for item in found)
    best: dict[tuple[float, ...], tuple[int, float, tuple[object, ...]]] = {}
    for item in found:
        off_centre = abs(2 * item.number + 1 - sizes[item.circuit]) / sizes[item.circuit]
        rank = (-frequency[item.place, item.row], off_centre, item.row)
        best[item.place] = min(best.get(item.place, rank), rank)
    return [item for item in found if item.row == best[item.place][2]]


def _assemble(circuits: Sequence[TaggedCircuit], found: list[_Found], objectives: Objectives) -> DetectionModel:
    def objective(item: _Found) -> tuple[float, ...]:
        return item.place if objectives == "stabilizer" else (*item.place, *item.time)

    keys = sorted({objective(item) for item in found})
    number = {key: j for j, key in enumerate(keys)}
    frequency = Counter((number[objective(item)], item.row) for item in found)
    classes = sorted(frequency)
    class_number = {key: k for k, key in enumerate(classes)}
    members = [np.full(c.circuit.num_detectors, -1, dtype=np.int64) for c in circuits]
    for item in found:
        members[item.circuit][item.number] = class_number[number[objective(item)], item.row]
    rows = [row for _, (row, _) in classes]
    entries = np.array([entry for row in rows for entry in row], dtype=np.int64).reshape(-1, 2)
    _check_seen(circuits[0].gates, entries[:, 0])
    return DetectionModel(
        gates=circuits[0].gates,
        indptr=_fixed(np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)),
        indices=_fixed(entries[:, 0].copy()),
        counts=_fixed(entries[:, 1].copy()),
        fixed=_fixed(np.array([fixed for _, (_, fixed) in classes])),
        objective=_fixed(np.array([j for j, _ in classes], dtype=np.int64)),
        multiplicity=_fixed(np.array([frequency[key] for key in classes], dtype=np.int64)),
        detector_class=tuple(_fixed(array) for array in members),
        objective_names=tuple(_name(key, objectives, len(circuits)) for key in keys),
        coordinates=_fixed(np.array([key[:2] if np.isfinite(key[0]) else (np.nan, np.nan) for key in keys])),
        attenuation=_fixed(circuits[0].attenuation.copy()),
    )


def _check_seen(gates: tuple[Gate, ...], seen: NDArray[np.int64]) -> None:
    blind = sorted(set(range(len(gates))) - set(seen.tolist()))
    if blind:
        names = ", ".join(gates[g].name for g in blind[:3])
        raise ConfigurationError(
            f"factor graph: {len(blind)} of {len(gates)} gates are seen by no detector ({names}"
            f"{', …' * (len(blind) > 3)}), so their parameters cannot be learnt: add detectors, or take the gates out"
        )


def _name(key: tuple[float, ...], objectives: Objectives, circuits: int) -> str:
    if np.isinf(key[0]):
        return f"D{key[2]:g}" if circuits == 1 else f"D{key[2]:g} of circuit {key[1]:g}"
    shown = key if objectives == "stabilizer" or key[-1] else key[:-1]
    return f"({', '.join(f'{value:g}' for value in shown)})"


def _fixed(array: NDArray[_Number]) -> NDArray[_Number]:
    array.flags.writeable = False
    return array
