"""The engine that samples every candidate's circuit, with all correlations between its detection events.

No circuit is built for a candidate. Stim says once which detectors each Pauli error after each gate flips; in an epoch
the faults of every gate are drawn for every shot, each with its candidate's probability, and their flips combined.
Noise that control has no part in is sampled by stim and combined in the same way.

Source: [ours]; equal in distribution to sampling `TaggedCircuit.with_noise`.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from qecforge_surface_steering.device.faults import FaultTable
from qecforge_surface_steering.engines import _kernels
from qecforge_surface_steering.engines.base import Device, Engine

__all__ = ["StimEngine"]


class StimEngine(Engine):
    """Faults drawn one by one, for each shot of each candidate."""

    def __init__(self, device: Device, num_envs: int) -> None:
        super().__init__(device, num_envs)
        names = tuple(gate.name for gate in device.model.gates)
        tables = [FaultTable.of(circuit, names) for circuit in device.circuits]
        objectives = [
            np.where(classes >= 0, np.append(device.model.objective, 0)[classes], -1)
            for classes in device.model.detector_class
        ]
        self._circuits = [
            _kernels.Circuit(table.first_use, table.bits, table.generator, table.indptr, table.detectors, objective)
            for table, objective in zip(tables, objectives, strict=True)
        ]
        noisy = [circuit.fixed_noise() for circuit in device.circuits]
        self._noise = [None if circuit == circuit.without_noise() else circuit for circuit in noisy]
        self._chunk = -(-num_envs // numba.get_num_threads())
        tasks = -(-num_envs // self._chunk)
        self._flips = [np.zeros((tasks, device.shots, table.num_detectors), np.uint8) for table in tables]
        self._errors = np.zeros_like(self._evaluated.exponents)

    @classmethod
    def bytes_needed(cls, device: Device, num_envs: int) -> int:
        """As in `Engine`, with the events of every shot."""
        threads = min(numba.get_num_threads(), num_envs)
        events = 0
        for circuit in device.circuits:
            fixed = circuit.fixed_noise()
            rows = threads + (num_envs if fixed != fixed.without_noise() else 0)
            events += rows * device.shots * circuit.circuit.num_detectors
        return super().bytes_needed(device, num_envs) + 8 * num_envs * device.model.num_gates + events

    def _draw(self, key: np.uint64, rewards: NDArray[np.float32]) -> None:
        np.multiply(-self.device.landscape.p_max, np.expm1(-self._evaluated.exponents), out=self._errors)
        rewards[...] = 0
        for number, circuit in enumerate(self._circuits):
            _kernels.sample_shots(
                self._chunk,
                self._errors,
                circuit,
                self._share,
                self._base(number, key),
                _kernels.stream_key(int(key), number),
                self._streams,
                self._flips[number],
                rewards,
            )

    def _base(self, number: int, key: np.uint64) -> NDArray[np.uint8]:
        """(K, S, D) events by noise that control has no part in; (0, 0, 0) where there is none."""
        noise = self._noise[number]
        if noise is None:
            return np.zeros((0, 0, 0), np.uint8)
        sampler = noise.compile_detector_sampler(seed=int(_kernels.stream_key(int(key), number, 1)) >> 1)
        events: NDArray[np.bool_] = sampler.sample(self.num_envs * self.device.shots)
        return events.view(np.uint8).reshape(self.num_envs, self.device.shots, -1)
