"""Logical error rates: shots of the memory experiments with given gate errors, decoded with given beliefs about them.

    memory = LogicalMemory(env.circuits, rounds=25, decoder="auto", reference=nominal)
    shots = memory.sample(env.gate_errors(x), shots=2000, seed=0)
    memory.decoder(nominal).count(shots).per_cycle

Shots and decoders are apart, so that what does not change is not made anew: one decoder for the shots of many epochs,
one batch of shots for many decoders.

Source: arXiv 2511.08493, figures 3 and 4(c) (LER per cycle of the memory, averaged over X and Z bases).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.decoders import compile_decoder, resolve_decoder
from qecforge.evaluation.statistics import Interval, wilson_interval
from qecforge_surface_steering.decoding.predictors import DecodeDistinct, MatchingPredictor, Predictor
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = [
    "LogicalCounts",
    "LogicalDecoder",
    "LogicalMemory",
    "LogicalShots",
    "measure_logical",
    "per_cycle",
]


@dataclass(frozen=True)
class LogicalCounts:
    """Logical errors among shots, all bases together, as many shots of each. Additive.

    Attributes:
        shots: Shots drawn.
        errors: Those whose logical observable was wrong after decoding.
        rounds: Cycles of one shot.
    """

    shots: int
    errors: int
    rounds: int

    def __add__(self, other: LogicalCounts) -> Self:
        if other.rounds != self.rounds:
            raise ConfigurationError(
                f"logical counts: shots of {self.rounds} and of {other.rounds} cycles do not add up: keep them apart"
            )
        return type(self)(self.shots + other.shots, self.errors + other.errors, self.rounds)

    @property
    def per_shot(self) -> float:
        """Probability P that a shot ends in a logical error, the mean over bases; NaN where there is no shot."""
        return self.errors / self.shots if self.shots else float("nan")

    @property
    def per_cycle(self) -> float:
        """LER per cycle: (1 - (1 - 2 P)^(1/rounds))/2, and 1/2 where P is 1/2 or more."""
        return per_cycle(self.per_shot, self.rounds)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Of the LER per cycle: both ends of Wilson's interval of P, each per cycle."""
        per_shot = wilson_interval(self.errors, self.shots, confidence=confidence)
        low, estimate, high = (per_cycle(p, self.rounds) for p in (per_shot.low, per_shot.estimate, per_shot.high))
        return Interval(low, estimate, high)


def per_cycle(per_shot: float, rounds: int) -> float:
    """LER per cycle of a memory that ends in a logical error with probability `per_shot` after `rounds` cycles."""
    kept = 1 - 2 * min(per_shot, 0.5)
    return float((1 - kept ** (1 / rounds)) / 2)


@dataclass(frozen=True, eq=False)
class LogicalShots:
    """Shots of each circuit, as many of each. Arrays are not to be written to.

    Attributes:
        events: For each circuit (S, ceil(D/8)) uint8, detection events, bits from the lowest.
        observables: For each circuit (S, ceil(L/8)) uint8, which observables flipped.
        rounds: Cycles of one shot.
    """

    events: tuple[NDArray[np.uint8], ...]
    observables: tuple[NDArray[np.uint8], ...]
    rounds: int


class LogicalDecoder:
    """Decoders of all circuits, made for one belief about the gates. Made by `LogicalMemory.decoder`.

    Attributes:
        predictors: One for each circuit.
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        self.predictors = tuple(predictors)

    def count(self, shots: LogicalShots) -> LogicalCounts:
        """Decode shots of the circuits that this decoder was made for. The same shots bring the same counts."""
        errors = 0
        for predictor, events, observables in zip(self.predictors, shots.events, shots.observables, strict=True):
            predicted = predictor.decode_shots_bit_packed(bit_packed_detection_event_data=events)
            errors += int(np.count_nonzero((predicted != observables).any(axis=1)))
        return LogicalCounts(sum(len(events) for events in shots.events), errors, shots.rounds)


class LogicalMemory:
    """Memory experiments on the same gates, to be sampled and decoded.

    Args:
        circuits: The experiments, each with logical observables.
        rounds: Cycles of one shot of each.
        decoder: A name of `qecforge.evaluation.error_rates.config.DECODERS`; `auto` as in
            `qecforge.evaluation.error_rates.decoders.resolve_decoder`, matching first.
        reference: (G,) gate errors, in the order of the first circuit's gates, that decide what `auto` stands for.

    Attributes:
        decoder_names: The decoder of each circuit, never `auto`.

    Raises:
        ConfigurationError: A circuit without observables, or no cycle.
        DecoderError: pymatching on circuits whose faults are not graph-like.
        MissingDependency: The decoder's package is not installed.
    """

    def __init__(
        self, circuits: Sequence[TaggedCircuit], *, rounds: int, decoder: str = "auto", reference: ArrayLike
    ) -> None:
        if rounds < 1:
            raise ConfigurationError(f"rounds: {rounds} is too few: give the cycles of one shot, 1 or more")
        if any(not circuit.circuit.num_observables for circuit in circuits):
            raise ConfigurationError(
                "circuit: it has no logical observable, so it has no logical error rate: add OBSERVABLE_INCLUDE lines"
            )
        self.rounds, self._circuits = rounds, tuple(circuits)
        number = {gate.name: g for g, gate in enumerate(circuits[0].gates)}
        self._order = [np.array([number[gate.name] for gate in circuit.gates]) for circuit in circuits]
        self.decoder_names = tuple(
            resolve_decoder(decoder, circuit, matching_first=True) for circuit in self.noisy(reference)
        )

    def noisy(self, errors: ArrayLike) -> tuple[stim.Circuit, ...]:
        """The experiments with (G,) error probabilities of the gates."""
        p = np.asarray(errors, dtype=np.float64)
        return tuple(circuit.with_noise(p[order]) for circuit, order in zip(self._circuits, self._order, strict=True))

    def sample(self, errors: ArrayLike, *, shots: int, seed: int) -> LogicalShots:
        """Shots of the device.

        Args:
            errors: (G,) error probabilities of its gates.
            shots: Of all circuits together, rounded up to as many of each.
            seed: 0..2^62. The same seed brings the same shots on one kind of machine.

        Raises:
            ConfigurationError: No shot.
        """
        if shots < 1:
            raise ConfigurationError(f"shots: {shots} is too few: give 1 or more")
        share = -(-shots // len(self._circuits))
        drawn = [
            circuit.compile_detector_sampler(seed=_seed(seed, number)).sample(
                share, separate_observables=True, bit_packed=True
            )
            for number, circuit in enumerate(self.noisy(errors))
        ]
        return LogicalShots(tuple(events for events, _ in drawn), tuple(flips for _, flips in drawn), self.rounds)

    def decoder(self, prior: ArrayLike) -> LogicalDecoder:
        """The decoder that believes the gates to err with (G,) probabilities, each above 0."""
        return LogicalDecoder(
            [
                MatchingPredictor.of(circuit)
                if name == "pymatching"
                else DecodeDistinct(compile_decoder(name, circuit))
                for name, circuit in zip(self.decoder_names, self.noisy(prior), strict=True)
            ]
        )


def measure_logical(
    memory: LogicalMemory, errors: ArrayLike, prior: ArrayLike, *, shots: int, seed: int
) -> LogicalCounts:
    """Logical errors of a device with (G,) gate errors whose decoder believes in the (G,) errors `prior`."""
    return memory.decoder(prior).count(memory.sample(errors, shots=shots, seed=seed))


def _predictor(name: str, circuit: stim.Circuit) -> Predictor:
    if name == "pymatching":
        return MatchingPredictor.of(circuit)
    return DecodeDistinct(compile_decoder(name, circuit))


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0]) >> 1
