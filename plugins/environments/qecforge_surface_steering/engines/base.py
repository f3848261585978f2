"""What an engine is given and what it does: parameters of K candidates in, detection rates out.

Both engines have the same marginals. `closed_form` draws the events of each objective as if they were independent;
`stim` draws faults, so that events have the correlations of the circuit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.landscape import Landscape
from qecforge_surface_steering.device.regions import DetectionModel
from qecforge_surface_steering.device.tagged import TaggedCircuit
from qecforge_surface_steering.engines import _kernels

__all__ = ["Device", "Engine"]

_PARALLEL_WORK = 400_000
"""Parameters of all candidates from which on threads are woken up: below, that takes longer than their work."""


@dataclass(frozen=True, eq=False)
class Device:
    """A processor to be steered, and how it is measured.

    Attributes:
        circuits: Experiments on the same gates.
        model: Their detection rates.
        landscape: The gates' errors.
        shots: Shots of each circuit with every candidate, in an epoch.

    Raises:
        ConfigurationError: Parts that are not made for each other, or no shots.
    """

    circuits: tuple[TaggedCircuit, ...]
    model: DetectionModel
    landscape: Landscape
    shots: int

    def __post_init__(self) -> None:
        if self.shots < 1:
            raise ConfigurationError(f"shots: {self.shots} is too few: give 1 or more")
        expected = (self.model.num_gates,)
        if self.landscape.p_max.shape != expected or not np.allclose(
            self.landscape.p_max * self.model.attenuation, 1, rtol=1e-12, atol=0
        ):
            raise ConfigurationError(
                "landscape: p_max is not where the circuit's gates leave nothing: give TaggedCircuit.p_max"
            )

    @property
    def trials(self) -> NDArray[np.int64]:
        """(m,) detector outcomes that each objective's rate is measured from, for one candidate in one epoch."""
        per_class = self.model.multiplicity * self.shots
        counts = np.bincount(self.model.objective, weights=per_class, minlength=self.model.num_objectives)
        return counts.astype(np.int64)


class Engine(ABC):
    """Measures candidates. A pure function of what `measure` is given: no state between calls but scratch.

    Args:
        device: What is measured.
        num_envs: K candidates.
    """

    def __init__(self, device: Device, num_envs: int) -> None:
        self.device, self.num_envs = device, num_envs
        model, landscape, P = device.model, device.landscape, device.landscape.parameters_per_gate
        K, G = num_envs, model.num_gates
        self._shape = (G, P)
        self._landscape = _kernels.Landscape(
            landscape.floor / landscape.p_max, landscape.curvature / (landscape.p_max * landscape.sizes)
        )
        self._trials = model.multiplicity * device.shots
        self._share = 1.0 / device.trials
        self._made = _kernels.Rates(
            model.indptr,
            model.indices.astype(np.uint32),
            model.counts.astype(np.float64),
            model.fixed,
            self._trials * self._share[model.objective] / model.num_objectives,
        )
        self._evaluated = _kernels.Evaluated(np.zeros((K, G)), np.zeros((K, model.num_classes)), np.zeros(K))
        self._streams = np.zeros((K, 4), np.uint64)
        threads = numba.get_num_threads()
        self._chunk = K if K * G * P < _PARALLEL_WORK else -(-K // threads)

    @classmethod
    def bytes_needed(cls, device: Device, num_envs: int) -> int:
        """Memory of an engine for this many candidates, without its inputs and results."""
        return num_envs * 8 * (device.model.num_gates + device.model.num_classes + 5)

    def measure(
        self, x: NDArray[Any], optimum: NDArray[np.float64], key: np.uint64, rewards: NDArray[np.float32]
    ) -> float:
        """One epoch.

        Args:
            x: (K, G P), float32 or float64: then the arithmetic on parameters is of that precision.
            optimum: (G P,), where the optimum is in this epoch.
            key: What the random numbers are drawn from; the same key brings the same.
            rewards: (K, m), filled with minus the measured rate of each objective.

        Returns:
            The mean exact rate over candidates and objectives.

        Raises:
            ConfigurationError: A parameter that is not finite, or too large for its square; nothing was filled then.
        """
        cost = self._evaluate(x, optimum)
        self._draw(np.uint64(key), rewards)
        return cost

    def _evaluate(self, x: NDArray[Any], optimum: NDArray[np.float64]) -> float:
        """The mean exact rate; exponents and rates of the candidates are there afterwards."""
        G, P = self._shape
        _kernels.evaluate(
            self._chunk,
            np.ascontiguousarray(x).reshape(-1, G, P),
            np.ascontiguousarray(optimum, dtype=x.dtype).reshape(G, P),
            self._landscape,
            self._made,
            self._evaluated,
        )
        costs = self._evaluated.costs
        mean = float(costs.sum()) / len(costs)
        if math.isnan(mean):
            bad = int(np.argmax(np.isnan(costs)))
            raise ConfigurationError(
                f"actions: candidate {bad} has a parameter that is not finite, or too large: give finite numbers"
            )
        return mean

    @abstractmethod
    def _draw(self, key: np.uint64, rewards: NDArray[np.float32]) -> None:
        """Fill `rewards`; exponents and rates of the candidates are there."""
