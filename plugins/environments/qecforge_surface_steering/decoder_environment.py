"""The environment `decoder_steering`: a decoder's priors, scored by the logical errors that they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts import COST, Reward
from qecforge.errors import ConfigurationError
from qecforge_surface_steering._clocked import ClockedEnvironment
from qecforge_surface_steering.decoder_config import DecoderSteeringConfig
from qecforge_surface_steering.decoding.logical import LogicalCounts, LogicalMemory, LogicalShots
from qecforge_surface_steering.decoding.predictors import DistinctShots
from qecforge_surface_steering.decoding.priors import GateErrorInference, nominal_errors
from qecforge_surface_steering.decoding.reweighting import ReweightedDecoder
from qecforge_surface_steering.device.families import FAMILIES
from qecforge_surface_steering.engines import _kernels
from qecforge_surface_steering.environment import SurfaceSteering

__all__ = ["DecoderSteering"]

FloatArray = NDArray[np.float64]

_TRAINING, _ASSESSMENT, _CALIBRATION, _EVALUATION = range(4)
"""Streams of random numbers."""
_LIMIT = 20.0
"""Beyond a factor e^20 either way a prior does not change: no decoder tells such weights apart."""


class DecoderSteering(ClockedEnvironment):
    """A decoder whose beliefs about the gates are tuned on the logical error rate, device and control being held.

    An action is, for each of the K candidates, the natural logarithm of a factor for each gate (or kind of gate): with
    y = -log(1 - c p) of the nominal prior, a gate is believed to err with the probability whose y is that factor times
    the nominal one; for small p that is the factor of p itself. All candidates of an epoch decode the same shots, which
    are drawn anew in each. The reward is minus the logical error rate per cycle, averaged over bases;
    `infos["cost"]` is its mean over candidates, without the sign.

    Attributes:
        config: As given.
        device: What is decoded; its clock does not run.
        gate_errors: (G,) true error probabilities of the device's gates, as it is held.
        nominal: (G,) those of the nominal prior.
        decoder_names: The decoder of each circuit, never `auto`.

    Source: arXiv 2511.08493, figure 4(c) (decoder steering); arXiv 2406.02700 (priors tuned on the logical error rate).
    """

    plugin = "decoder_steering"
    reward_of_its_own = "the logical error rate"
    factor_graph = None

    def __init__(
        self, config: DecoderSteeringConfig, *, num_envs: int, seed: int, reward: Reward | None = None
    ) -> None:
        super().__init__(config, num_envs=num_envs, reward=reward, horizon=config.horizon)
        self.config = config
        self.device = SurfaceSteering(config.device, num_envs=1, seed=seed)
        circuits, self._family = self.device.circuits, self.device.circuits[0].family
        self.nominal = nominal_errors(config.device, self._family)
        self._memory = LogicalMemory(
            circuits, rounds=config.device.rounds, decoder=config.decoder, reference=self.nominal
        )
        self.decoder_names = self._memory.decoder_names
        self._decoders = [
            ReweightedDecoder(name, circuit) for name, circuit in zip(self.decoder_names, circuits, strict=True)
        ]
        number = {gate.name: g for g, gate in enumerate(circuits[0].gates)}
        self._order = [np.array([number[gate.name] for gate in circuit.gates]) for circuit in circuits]
        self._attenuation = circuits[0].attenuation
        self._inference: GateErrorInference | None = None
        self._name_parameters([gate.name for gate in circuits[0].gates])
        self._new_device(seed)
        self._make_spaces(1, vector=False)

    def _name_parameters(self, gates: list[str]) -> None:
        if self.config.parameters == "gate":
            self._owner, names = np.arange(len(gates)), gates
        else:
            kinds, self._owner = np.unique(self._family, return_inverse=True)
            names = [FAMILIES[int(kind)] for kind in kinds]
        self.parameter_names = tuple(f"{name}.prior" for name in names)
        self.exploration_scale = np.full(len(names), self.config.exploration)
        self.exploration_scale.flags.writeable = False

    def _new_device(self, seed: int) -> None:
        self._start_clock(seed)
        self.device.reset(seed=seed)
        epoch = self.config.epoch
        control = self.device.initial_parameters if self.config.control == "fixed" else self.device.optimum(epoch)
        self.gate_errors = self.device.gate_errors(control, epoch)
        self.initial_parameters = np.zeros(len(self.parameter_names))
        if self.config.prior == "learned":
            self.initial_parameters = self.parameters_of(self.learned_errors())
        for array in (self.gate_errors, self.initial_parameters):
            array.flags.writeable = False

    def _check_epoch(self, epoch: int) -> None:
        """The device is held: its drift has no part in the clock."""

    def priors(self, parameters: ArrayLike) -> FloatArray:
        """(..., G) error probabilities of the gates, inside 0..p_max, that (..., P) parameters stand for."""
        factor = np.exp(np.clip(np.asarray(parameters, dtype=np.float64), -_LIMIT, _LIMIT))
        y = -np.log1p(-self._attenuation * self.nominal) * factor[..., self._owner]
        errors: FloatArray = -np.expm1(-y) / self._attenuation
        return errors

    def parameters_of(self, errors: ArrayLike) -> FloatArray:
        """(P,) parameters of (G,) gate errors; of a kind, the mean logarithm of its gates'."""
        believed = np.log1p(-self._attenuation * np.asarray(errors, dtype=np.float64))
        logs = np.log(believed / np.log1p(-self._attenuation * self.nominal))
        P = len(self.parameter_names)
        total: FloatArray = np.bincount(self._owner, weights=logs, minlength=P) / np.bincount(self._owner, minlength=P)
        return total

    def learned_errors(self) -> FloatArray:
        """(G,) gate errors inferred from the detection events of shots that are drawn apart from all others.

        Raises:
            ConfigurationError: Noise in the circuit that is no product of independent faults.
        """
        calibration = self.config.calibration
        if self._inference is None:
            self._inference = GateErrorInference(self.device.circuits, self.nominal, spread=calibration.spread)
        events = self._sample(calibration.shots, _kernels.stream_key(self._seed, _CALIBRATION)).events
        return self._inference.infer(self._inference.count(events))

    def logical_counts(self, priors: ArrayLike, shots: int) -> list[LogicalCounts]:
        """Logical errors with each of (K, G) priors on the same shots, which neither training nor assessments see."""
        drawn = self._sample(shots, _kernels.stream_key(self._seed, _EVALUATION))
        return self._count(np.asarray(priors, dtype=np.float64), drawn)

    def assess(self, parameters: ArrayLike) -> Mapping[str, float]:
        """`logical_error_rate` per cycle with (P,) parameters, and `logical_error_rate_nominal` with the nominal prior
        on the same shots, which training does not see."""
        priors = np.stack([self.priors(parameters), self.nominal])
        tuned, nominal = self._count(priors, self._sample(self.config.assess_shots, self._key(_ASSESSMENT)))
        return {"logical_error_rate": tuned.per_cycle, "logical_error_rate_nominal": nominal.per_cycle}

    def _measure(self, x: NDArray[Any], rewards: NDArray[np.float32]) -> dict[str, float]:
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(bad):
            raise ConfigurationError(
                f"actions: candidate {bad[0]} has a parameter that is not finite: give finite numbers"
            )
        counts = self._count(self.priors(x), self._sample(self.config.shots, self._key(_TRAINING)))
        rewards[...] = [-each.per_cycle for each in counts]
        return {COST: -float(rewards.mean(dtype=np.float64))}

    def _sample(self, shots: int, key: np.uint64) -> LogicalShots:
        return self._memory.sample(self.gate_errors, shots=shots, seed=int(key) >> 2)

    def _count(self, priors: FloatArray, shots: LogicalShots) -> list[LogicalCounts]:
        errors = np.zeros(len(priors), dtype=np.int64)
        for decoder, order, events, flips in zip(
            self._decoders, self._order, shots.events, shots.observables, strict=True
        ):
            distinct = DistinctShots(events, flips)
            errors += [distinct.errors(predictor) for predictor in decoder.predictors(priors[:, order])]
        drawn = sum(len(events) for events in shots.events)
        return [LogicalCounts(drawn, int(count), shots.rounds) for count in errors]
