"""The environment: candidates for all control parameters, scored by the detection events that they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts import COST, TRUE_COST, FactorGraph, Reward
from qecforge.errors import ConfigurationError
from qecforge_surface_steering._clocked import ClockedEnvironment
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.decoding.priors import nominal_errors
from qecforge_surface_steering.device.controls import limits_of
from qecforge_surface_steering.engines import _memory
from qecforge_surface_steering.engines.base import Device, Engine
from qecforge_surface_steering.engines.closed_form import ClosedForm
from qecforge_surface_steering.engines.stim_engine import StimEngine

if TYPE_CHECKING:
    from qecforge_surface_steering.decoding.logical import LogicalDecoder, LogicalMemory

__all__ = ["SurfaceSteering"]

_ASSESSMENT = 1
"""A stream of random numbers that nothing else in an epoch draws from."""
_ENGINES: Mapping[str, type[Engine]] = {"closed_form": ClosedForm, "stim": StimEngine}


class SurfaceSteering(ClockedEnvironment):
    """A memory experiment on a drifting processor, steered by whole vectors of control parameters.

    An action is one vector for each of the K candidates, float32 or float64; an engine works in the precision that it
    is given. All candidates of an epoch meet the same optimum. The reward of objective j is minus its measured
    detection rate, 0..1; `infos["cost"]` is the mean measured rate, `infos["true_cost"]` the mean exact one.
    Parameters whose square overflows are refused.

    Everything random is a function of the seed, of how often `reset` was called without one, and of the epoch.

    Attributes:
        config: As given.
        model: Detection rates as a function of gate errors, and the objectives' names and places.
        landscape: The gates' errors as a function of parameters.
        drift: What moves the optimum.
        circuits: The experiments, gates tagged.
        controls: Which parameter reaches which gates.
        trials: (m,) int64, detector outcomes that each rate of a candidate is measured from.
    """

    plugin = "surface_steering"
    reward_of_its_own = "the detection rates"

    def __init__(
        self, config: SurfaceSteeringConfig, *, num_envs: int, seed: int, reward: Reward | None = None
    ) -> None:
        super().__init__(config, num_envs=num_envs, reward=reward, horizon=config.horizon)
        self.config = config
        self.circuits = config.circuits()
        self.model = config.model(self.circuits)
        self.controls = config.controls()
        self._vector = config.reward == "vector"
        self.factor_graph = self._factor_graph() if self._vector else None
        self.parameter_names = self.controls.names
        self._decoding: tuple[LogicalMemory, LogicalDecoder] | None = None
        self._new_device(seed)
        self._make_spaces(self.model.num_objectives, vector=self._vector)

    def _factor_graph(self) -> FactorGraph:
        parameters = self.config.parameters_per_gate if self.controls.plain else self.controls.gates
        nominal = nominal_errors(self.config, self.circuits[0].family)
        excess = nominal / self.controls.counts
        return self.model.factor_graph(parameters, crosstalk=self.config.crosstalk(), excess=excess, nominal=nominal)

    def _new_device(self, seed: int) -> None:
        self._start_clock(seed)
        self.landscape = self.config.landscape(seed)
        self.drift = self.config.compiled_drift(seed)
        weight = self.model.gradient(self.landscape.floor) * self.landscape.curvature / self.landscape.sizes
        self._weight = np.repeat(weight, self.config.parameters_per_gate)
        self.initial_parameters = self.controls.compromise(self.config.initial_parameters(seed), self._weight)
        scale = np.repeat(self.landscape.natural_scale, self.config.parameters_per_gate)
        self.exploration_scale = self.controls.least(scale)
        self.limits = limits_of(self.config.limits, self.parameter_names)
        if self.limits is not None:
            self.limits.check_start(self.initial_parameters, self.parameter_names)
        for array in (self.initial_parameters, self.exploration_scale):
            array.flags.writeable = False
        device = Device(self.circuits, self.model, self.landscape, self.config.shots)
        kind = _ENGINES[self.config.engine]
        self._check_memory(kind, device)
        self.trials = device.trials
        self._engine = kind(device, self.num_envs)
        self._measured = np.zeros((self.num_envs, self.model.num_objectives), np.float32)

    def _check_memory(self, kind: type[Engine], device: Device) -> None:
        """Actions in float64, rewards twice, and what the engine takes."""
        K, P, m = self.num_envs, len(self.parameter_names), self.model.num_objectives
        needed = K * (8 * P + 8 * m) + kind.bytes_needed(device, K)
        given = self.config.max_memory_gib
        limit = _memory.free_bytes() if given is None else int(given * 2**30)
        if limit is not None and needed > limit:
            what = "are free" if given is None else "are allowed"
            raise ConfigurationError(
                f"num_envs: {K} candidates of {P} parameters need {_memory.shown(needed)}, {_memory.shown(limit)} "
                f"{what}: give fewer candidates" + (" or cycles" if kind is StimEngine else "")
            )

    def optimum(self, epoch: int | None = None) -> NDArray[np.float64]:
        """(P,) where each parameter's optimum is in an epoch; None for the present one. Of a parameter that gates
        share: where the mean detection rate is least, to first order in the errors' excess."""
        return self.controls.compromise(self._slot_optimum(epoch), self._weight)

    def _slot_optimum(self, epoch: int | None = None) -> NDArray[np.float64]:
        return self.landscape.optimum + self.drift.offset(self._epoch if epoch is None else epoch)

    def gate_errors(self, parameters: ArrayLike, epoch: int | None = None) -> NDArray[np.float64]:
        """(..., G) error probabilities with (..., P) parameters in an epoch; None for the present one."""
        optimum = self._slot_optimum(epoch)
        return self.landscape.errors(self.controls.slots(np.asarray(parameters, np.float64), optimum), optimum)

    def true_rates(self, parameters: ArrayLike, epoch: int | None = None) -> NDArray[np.float64]:
        """(..., m) exact detection rates with (..., P) parameters in an epoch; None for the present one."""
        return self.model.rates(self.gate_errors(parameters, epoch))

    def moved_by(self, number: int) -> NDArray[np.int64]:
        """Numbers of the parameters that profile `number` of the drift moves, ascending."""
        return self.controls.numbers(self.drift.moved_by(number))

    def noisy_circuits(self, parameters: ArrayLike, epoch: int | None = None) -> tuple[stim.Circuit, ...]:
        """The experiments with the noise that (P,) parameters bring in an epoch; None for the present one."""
        errors = self.gate_errors(parameters, epoch)
        number = {gate.name: g for g, gate in enumerate(self.model.gates)}
        return tuple(
            circuit.with_noise(errors[[number[gate.name] for gate in circuit.gates]]) for circuit in self.circuits
        )

    def assess(self, parameters: ArrayLike) -> Mapping[str, float]:
        """`logical_error_rate` per cycle of (P,) parameters in the present epoch, decoded with the nominal prior.

        Raises:
            ConfigurationError: A circuit without logical observables.
            DecoderError, MissingDependency: The decoder cannot take the circuits, or is not installed.
        """
        if self._decoding is None:
            self._decoding = self._compiled_decoding()
        memory, decoder = self._decoding
        seed = int(self._key(_ASSESSMENT)) >> 2
        shots = memory.sample(self.gate_errors(parameters), shots=self.config.assess.shots, seed=seed)
        return {"logical_error_rate": decoder.count(shots).per_cycle}

    def _compiled_decoding(self) -> tuple[LogicalMemory, LogicalDecoder]:
        from qecforge_surface_steering.decoding.logical import LogicalMemory

        nominal = nominal_errors(self.config, self.circuits[0].family)
        memory = LogicalMemory(
            self.circuits, rounds=self.config.rounds, decoder=self.config.assess.decoder, reference=nominal
        )
        return memory, memory.decoder(nominal)

    def _check_epoch(self, epoch: int) -> None:
        self.drift.offset(epoch)

    def _measure(self, x: NDArray[Any], rewards: NDArray[np.float32]) -> dict[str, float]:
        measured = rewards if self._vector else self._measured
        optimum = self._slot_optimum()
        true_cost = self._engine.measure(self.controls.slots(x, optimum), optimum, self._key(), measured)
        if not self._vector:
            np.mean(measured, axis=1, out=rewards)
        return {COST: -float(measured.mean(dtype=np.float64)), TRUE_COST: true_cost}
