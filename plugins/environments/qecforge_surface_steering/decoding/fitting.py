"""Gate errors of a device from detection events that were recorded on it, and what they are worth to a decoder.

    fitted = fit_gate_errors(TaggedCircuit(circuit), recorded, nominal)
    fitted.errors                          # (G,) of each gate
    fitted.improvement                     # how the decoder fares with them, where observables were recorded

Source: `GateErrorInference`; arXiv 2511.08493, figure 4(c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation import PairedRates, RecordedEvents
from qecforge_surface_steering.decoding.logical import LogicalMemory
from qecforge_surface_steering.decoding.priors import GateErrorInference
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["FittedErrors", "compare_recorded", "fit_gate_errors"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedErrors:
    """What recorded events say of the gates.

    Attributes:
        errors: (G,) fitted to all shots, in the order of the circuit's gates.
        nominal: (G,) believed before.
        shots: That they were fitted to.
        improvement: Logical error rates per shot with the nominal prior (0) and with one fitted to the first half of
            the shots (1), of the second half, which that fit has not seen; None without recorded observables.
        decoder: By which these were found; empty without them.
    """

    errors: FloatArray
    nominal: FloatArray
    shots: int
    improvement: PairedRates | None
    decoder: str


def fit_gate_errors(
    circuit: TaggedCircuit,
    recorded: RecordedEvents,
    nominal: ArrayLike,
    *,
    spread: float = 0.5,
    decoder: str = "auto",
) -> FittedErrors:
    """Fit the gates' errors.

    Args:
        circuit: What ran on the device.
        recorded: Its shots, 2 at least where observables are among them.
        nominal: (G,) errors believed without data, above 0.
        spread: See `GateErrorInference`.
        decoder: See `LogicalMemory`; used where observables were recorded.

    Raises:
        ConfigurationError: See `GateErrorInference` and `LogicalMemory`; too few shots.
        DecoderError, MissingDependency: See `LogicalMemory`.
    """
    prior = np.asarray(nominal, dtype=np.float64)
    inference = GateErrorInference([circuit], prior, spread=spread)

    def fitted(events: NDArray[np.uint8]) -> FloatArray:
        return inference.infer(inference.count([events]))

    improvement, name = None, ""
    if recorded.observables is not None:
        half = len(recorded) // 2
        if not half:
            raise ConfigurationError(
                f"events: {len(recorded)} shot is too few: one half is fitted to and the other is the test; record more"
            )
        improvement, name = compare_recorded(
            circuit,
            RecordedEvents(recorded.events[half:], recorded.observables[half:]),
            [prior, fitted(recorded.events[:half])],
            decoder=decoder,
        )
    return FittedErrors(fitted(recorded.events), prior, len(recorded), improvement, name)


def compare_recorded(
    circuit: TaggedCircuit, recorded: RecordedEvents, priors: list[FloatArray], *, decoder: str = "auto"
) -> tuple[PairedRates, str]:
    """Logical error rates per shot of the same recorded shots, decoded with each of K priors, and the decoder's name.

    Args:
        recorded: With observables.
        priors: (G,) gate errors each; the first one decides what `auto` stands for.
    """
    assert recorded.observables is not None
    memory = LogicalMemory([circuit], rounds=1, decoder=decoder, reference=priors[0])
    failed = np.array(
        [
            (predictor.decode_shots_bit_packed(bit_packed_detection_event_data=recorded.events) != recorded.observables)
            .any(axis=1)
            .astype(np.float64)
            for predictor in (memory.decoder(prior).predictors[0] for prior in priors)
        ]
    )
    K, shots = failed.shape
    rates = failed.mean(axis=1)
    covariance = (failed @ failed.T / shots - np.outer(rates, rates)) / shots
    failing = failed.sum(axis=1).astype(np.int64)
    alike = np.ones(K)
    found = PairedRates(shots, failing, rates, covariance, alike, np.where(failing > 0, alike, np.nan))
    return found, memory.decoder_names[0]
