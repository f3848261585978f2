"""Logical error rates of several error models of one circuit from the same shots.

    models = [circuit.detector_error_model(decompose_errors=True) for circuit in (fixed, steered, optimal)]
    found = paired_error_rates(models, "pymatching", shots=100_000, seed=0)
    print(found.reduction(1), found.effective)       # how much lower the second is than the first, with its interval

Faults are drawn once, and each shot is decoded once. What it weighs under another model is the ratio of its faults'
probabilities, which the models say exactly. The estimates of all models then fluctuate together, and their ratio is
known far better than from as many shots of each.

Source: importance sampling with the balance heuristic, Veach and Guibas 1995; what is drawn here and when is [ours].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation.error_rates.decoders import make_decoder
from qecforge.evaluation.error_rates.fault_draws import FaultDraws, MatchedModels, between, matched_at, predicted_share
from qecforge.evaluation.error_rates.paired_rates import PairedRates

if TYPE_CHECKING:
    import sinter
    import stim

__all__ = ["LEAST_EFFECTIVE", "paired_error_rates"]

FloatArray = NDArray[np.float64]

LEAST_EFFECTIVE = 0.3
"""Share of the shots below which their weights are too uneven for an estimate."""
_CHUNK = 8192
_MOST = 0.5
"""Faults are not made likelier than this by `scale`."""


def paired_error_rates(
    models: Sequence[stim.DetectorErrorModel],
    decoder: str | sinter.CompiledDecoder | Sequence[sinter.CompiledDecoder],
    *,
    shots: int,
    seed: int,
    at: int | stim.DetectorErrorModel | None = None,
    anchors: int | None = 0,
    scale: float = 1.0,
) -> PairedRates:
    """Logical error rates of K error models with the same mechanisms, from the same shots.

    Args:
        models: K detector error models of one circuit; their probabilities differ.
        decoder: A name of `make_decoder`, compiled for the model drawn from; or a compiled decoder; or one for each
            model, each distinct one of which decodes all shots. Anything with `decode_shots_bit_packed`.
        shots: Shots to draw from each distribution that is drawn from, 1 or more; there is one where `anchors` is 0.
        seed: 0 or more. The same seed and shots bring the same result. Results of different seeds are independent, and
            add up.
        at: The model to draw from: one of `models` by its number, or another with the same mechanisms. None: the
            noisiest, so that weights are small.
        anchors: 0: all shots are from `at`. A: also from A distributions on the way to each other model, itself the
            last, even in the logarithm of the odds, as many shots from each (of equal ones, only one). For models so
            far apart that the shots of one say little about another. None: 0 where at least 0.3 of the shots are
            effective for each model, else 1, with which no rate is less certain than from shots of its own.
        scale: Factor on the fault probabilities of `at` (at most 1/2) for sampling, and weighed back: for rare errors,
            2 to 3. It does not help where many faults happen in every shot.


    Returns:
        Rates, covariance, effective sample size.

    Raises:
        ConfigurationError: Numbers out of range; models whose mechanisms differ; a mechanism that cannot happen where
            shots are drawn; an effective sample size below 0.3 of the shots.
        DecoderError: An unknown decoder, or one that does not take the model.
        MissingDependency: The decoder's package is not installed.
    """
    for name, value, least in (("shots", shots, 1), ("anchors", anchors or 0, 0), ("seed", seed, 0)):
        if value < least:
            raise ConfigurationError(f"{name}: {value} is too few: give {least} or more")
    if not 1.0 <= scale < float("inf"):
        raise ConfigurationError(f"scale: got {scale:g}, expected 1 or more: 2 to 3 for rare errors")
    matched, centre = matched_at(models, at)
    drawn = _made_likelier(_distributions(matched, centre, anchors or 0), scale)
    instead = "give a smaller scale" if scale > 1 else "compare fewer models" if anchors else "set anchors to 1 or more"
    if len(drawn) == 1:
        predicted = predicted_share(matched, drawn[0])
        if anchors is not None:
            _check(predicted, instead)
        elif predicted.min() < LEAST_EFFECTIVE:
            drawn = _made_likelier(_distributions(matched, centre, 1), scale)
    draws = FaultDraws(matched, drawn)
    count = len(matched.probabilities)
    decoders = _decoders(decoder, _model_drawn_from(models, matched, at), count)
    total = _Sums(len(drawn), count)
    for chunk, start in enumerate(range(0, shots, _CHUNK)):
        for a in range(len(drawn)):
            events, flips, weights = draws.sample(a, min(_CHUNK, shots - start), (seed, chunk, a))
            total.add(a, weights, _failing(decoders, events, flips))
    found = total.rates()
    if anchors:
        _check(found.effective, instead)
    return found


class _Sums:
    """Over the shots of each of A distributions, for K models."""

    def __init__(self, distributions: int, models: int) -> None:
        self._shots = np.zeros(distributions, np.int64)
        self._failing = np.zeros(models, np.int64)
        self._weights = np.zeros((2, models))
        self._squares = np.zeros(models)
        self._first = np.zeros((distributions, models))
        self._second = np.zeros((distributions, models, models))

    def add(self, a: int, weights: FloatArray, failing: NDArray[np.bool_]) -> None:
        """(S, K) weights and whether the shot failed, of shots from distribution `a`."""
        wrong = weights * failing
        wrong = wrong[failing.any(axis=1)]
        self._shots[a] += len(weights)
        self._failing += np.count_nonzero(failing, axis=0)
        self._weights += weights.sum(axis=0), (weights**2).sum(axis=0)
        self._squares += (wrong**2).sum(axis=0)
        self._first[a] += wrong.sum(axis=0)
        self._second[a] += wrong.T @ wrong

    def rates(self) -> PairedRates:
        """Stratified: as many shots of each distribution are no matter of chance."""
        n = self._shots[:, None, None].astype(np.float64)
        mean = self._first / n[:, 0]
        spread = self._second / n - mean[:, :, None] * mean[:, None, :]
        drawn = int(self._shots.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            effective_failing = self._first.sum(axis=0) ** 2 / (self._failing * self._squares)
            effective = self._weights[0] ** 2 / (drawn * self._weights[1])
        return PairedRates(
            shots=drawn,
            failing=self._failing,
            rates=mean.mean(axis=0),
            covariance=(spread / np.maximum(n - 1, 1)).sum(axis=0) / len(n) ** 2,
            effective=effective,
            effective_failing=effective_failing,
        )


def _distributions(matched: MatchedModels, centre: FloatArray, anchors: int) -> FloatArray:
    """(A, F) probabilities of what is drawn from, the first at the centre, each once."""
    ways = [between(centre, p, part / anchors) for p in matched.probabilities for part in range(1, anchors + 1)]
    found: list[FloatArray] = []
    for each in [centre, *ways]:
        if not any(np.allclose(each, other, rtol=1e-9, atol=0) for other in found):
            found.append(each)
    return np.array(found)


def _made_likelier(drawn: FloatArray, scale: float) -> FloatArray:
    return np.where(drawn < _MOST, np.minimum(scale * drawn, _MOST), drawn) if scale > 1 else drawn


def _check(effective: FloatArray, instead: str) -> None:
    k = int(effective.argmin())
    if effective[k] < LEAST_EFFECTIVE:
        raise ConfigurationError(
            f"models[{k}]: its effective sample size is {effective[k]:.2g} of the shots, expected {LEAST_EFFECTIVE:g} "
            f"or more: it is too far from where they are drawn; {instead}, or draw nearer to it by `at`"
        )


def _model_drawn_from(
    models: Sequence[stim.DetectorErrorModel], matched: MatchedModels, at: int | stim.DetectorErrorModel | None
) -> stim.DetectorErrorModel:
    """As it was given: its text keeps the decomposition into edges."""
    if at is None:
        return models[matched.noisiest()]
    return models[at] if isinstance(at, int) else at


def _decoders(
    decoder: str | sinter.CompiledDecoder | Sequence[sinter.CompiledDecoder],
    model: stim.DetectorErrorModel,
    count: int,
) -> list[sinter.CompiledDecoder]:
    """One for each model."""
    if isinstance(decoder, str):
        if decoder == "auto":
            raise DecoderError("decoder: got 'auto', expected a name: `resolve_decoder` finds one for your circuit")
        made = make_decoder(decoder)
        if decoder == "pymatching":
            _check_edges(model)
        return [made.compile_decoder_for_dem(dem=model)] * count
    if not isinstance(decoder, Sequence):
        return [decoder] * count
    if len(decoder) != count:
        raise ConfigurationError(
            f"decoder: got {len(decoder)} of them for {count} models, expected one, or one for each"
        )
    return list(decoder)


def _check_edges(model: stim.DetectorErrorModel) -> None:
    for instruction in model.flattened():
        if instruction.type == "error":
            for part in instruction.target_groups():
                if sum(target.is_relative_detector_id() for target in part) > 2:
                    raise DecoderError(
                        f"decoder pymatching: the mechanism '{instruction}' flips more than two detectors, expected "
                        "edges: make the models with decompose_errors=True, or use tesseract, bposd, bplsd or ml_lookup"
                    )


def _failing(
    decoders: Sequence[sinter.CompiledDecoder], events: NDArray[np.uint8], flips: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """(S, K): whether each decoder is wrong. Each distinct one decodes once."""
    wrong: dict[int, NDArray[np.bool_]] = {}
    for each in decoders:
        if id(each) not in wrong:
            predicted = each.decode_shots_bit_packed(bit_packed_detection_event_data=events)
            if predicted.shape != flips.shape:
                raise DecoderError(
                    f"decoder: it predicts {predicted.shape[1]} bytes of observables for each shot, expected "
                    f"{flips.shape[1]}: compile it for a model with the observables of those compared"
                )
            wrong[id(each)] = (predicted != flips).any(axis=1)
    return np.stack([wrong[id(each)] for each in decoders], axis=1)
