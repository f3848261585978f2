"""Logical error rates of a memory under several controls from the same shots, which tells small differences apart.

    found = compare_logical(memory, [fixed, steered], [decoder, decoder], shots=20_000, seed=0)
    found.reduction(1)                                   # how much lower the second is, per cycle, with its interval

Source: [ours]; `qecforge.evaluation.paired_error_rates` says how.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation import PairedRates, paired_error_rates
from qecforge_surface_steering.decoding.logical import LogicalDecoder, LogicalMemory

__all__ = ["compare_logical", "equivalent_counts"]

_LEAST = 1e-12
"""Error probability of a perfect gate: its faults have to be possible to be weighed."""


def compare_logical(
    memory: LogicalMemory,
    errors: Sequence[ArrayLike],
    decoders: Sequence[LogicalDecoder],
    *,
    shots: int,
    seed: int,
    at: ArrayLike | None = None,
) -> PairedRates:
    """Logical error rates of devices that differ in their gates' errors, per shot, the mean over bases.

    Shots are drawn from the noisiest device, or from `at`, as long as at least 0.3 of them are effective for each
    device; else from each device too, as many of each, so that no rate is less certain than from shots of its own.

    Args:
        memory: The experiments.
        errors: For each of K cases the (G,) errors of the gates.
        decoders: For each case its decoder. One that occurs twice decodes once.
        shots: Of all bases together, of each device that shots are drawn from.
        seed: 0..2^62. The same seed brings the same result on one kind of machine.
        at: (G,) errors of the device to draw from.

    Raises:
        ConfigurationError: No shot.
    """
    if shots < 1:
        raise ConfigurationError(f"shots: {shots} is too few: give 1 or more")
    centre = () if at is None else tuple(_model(circuit) for circuit in _noisy(memory, at))
    models = _models(memory, errors)
    bases = len(memory.decoder_names)
    share = -(-shots // bases)
    found = [
        paired_error_rates(
            [each[basis] for each in models],
            [decoder.predictors[basis] for decoder in decoders],
            shots=share,
            seed=int(np.random.SeedSequence(seed, spawn_key=(basis,)).generate_state(1, np.uint64)[0]),
            at=centre[basis] if centre else None,
            anchors=None,
        )
        for basis in range(bases)
    ]
    return PairedRates.mean(found)


def equivalent_counts(found: PairedRates, case: int, shots: int) -> tuple[float, float]:
    """(errors, shots) of independent shots that would say as much of a rate per shot.

    Args:
        found: Rates per shot.
        case: 0..K-1.
        shots: What is given where no shot failed, or each did.
    """
    rate, variance = min(float(found.rates[case]), 1.0), float(found.covariance[case, case])
    count = rate * (1 - rate) / variance if variance > 0 and 0 < rate < 1 else float(shots)
    return rate * count, count


def _models(memory: LogicalMemory, errors: Sequence[ArrayLike]) -> list[tuple[stim.DetectorErrorModel, ...]]:
    """For each case the error model of each basis; equal devices share theirs."""
    made: dict[bytes, tuple[stim.DetectorErrorModel, ...]] = {}
    keys = []
    for each in errors:
        key = np.asarray(each, dtype=np.float64).tobytes()
        if key not in made:
            made[key] = tuple(_model(circuit) for circuit in _noisy(memory, each))
        keys.append(key)
    return [made[key] for key in keys]


def _noisy(memory: LogicalMemory, errors: ArrayLike) -> tuple[stim.Circuit, ...]:
    lifted: NDArray[np.float64] = np.maximum(np.asarray(errors, dtype=np.float64), _LEAST)
    return memory.noisy(lifted)


def _model(circuit: stim.Circuit) -> stim.DetectorErrorModel:
    return circuit.detector_error_model(approximate_disjoint_errors=True, flatten_loops=True)
