"""Error models of one circuit, mechanism by mechanism, and faults drawn from some to be weighed for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates._paired_kernels import draw_faults

if TYPE_CHECKING:
    import stim

__all__ = ["FaultDraws", "MatchedModels", "between", "effective_share", "matched_at", "predicted_share"]

FloatArray = NDArray[np.float64]

_LARGEST_LOG = 300.0
"""Weights beyond exp(300) are held there, so that their squares are numbers: no such sample passes as effective."""


@dataclass(frozen=True, eq=False)
class MatchedModels:
    """Models with the same fault mechanisms. Arrays are not to be written to.

    Attributes:
        effects: For each of F mechanisms what it flips, as stim writes it, such as `D0 D3 L0`.
        probabilities: (K, F) float64, of each model.
        num_detectors, num_observables: Of each model.
    """

    effects: tuple[str, ...]
    probabilities: FloatArray
    num_detectors: int
    num_observables: int

    @classmethod
    def of(cls, models: Sequence[stim.DetectorErrorModel]) -> Self:
        """Match mechanisms by what they flip; those of equal effect in one model are merged, exactly.

        Raises:
            ConfigurationError: No model, or a mechanism or a number of detectors that is not that of the first model.
        """
        if not models:
            raise ConfigurationError("models: got none, expected one error model for each control")
        read = {id(model): _probabilities(model) for model in {id(model): model for model in models}.values()}
        found = [read[id(model)] for model in models]
        first = found[0]
        for number, (each, model) in enumerate(zip(found, models, strict=True)):
            for kind in ("num_detectors", "num_observables"):
                ours, theirs = getattr(models[0], kind), getattr(model, kind)
                if ours != theirs:
                    raise ConfigurationError(
                        f"models[{number}]: {kind} is {theirs}, expected {ours} as in models[0]: give error models of "
                        "one circuit"
                    )
            if odd := first.keys() ^ each.keys():
                effect = min(odd)
                where, other = (0, number) if effect in first else (number, 0)
                raise ConfigurationError(
                    f"models[{number}]: the mechanism {effect!r} is in models[{where}] alone, expected also in "
                    f"models[{other}]: give error models of one circuit whose noise is nowhere exactly 0"
                )
        effects = tuple(first)
        table = np.array([[each[effect] for effect in effects] for each in found], dtype=np.float64)
        return cls(effects, table.reshape(len(found), len(effects)), models[0].num_detectors, models[0].num_observables)

    def noisiest(self) -> int:
        """The model with the most faults in a shot; the first of equals."""
        return int(self.probabilities.sum(axis=1).argmax())


class FaultDraws:
    """Faults drawn from some distributions in equal parts, and what they weigh under each model.

    With q_a the probability of a shot's faults under the a-th of A distributions and p_k under model k, the weight is
    p_k A / sum_a q_a, whichever distribution the shot is from: the balance heuristic. Its mean is 1 exactly.

    Args:
        matched: The models.
        drawn: (A, F) float64, probabilities of the distributions that shots are drawn from. The first must allow for
            whatever any other and any model can do.

    Raises:
        ConfigurationError: The first distribution does not, so that no finite weight would.

    Source: Veach and Guibas 1995 (balance heuristic); all logarithms.
    """

    def __init__(self, matched: MatchedModels, drawn: FloatArray) -> None:
        self.matched, self.drawn = matched, drawn
        self._off, self._on = _log_ratios(np.concatenate([matched.probabilities, drawn[1:]]), drawn[0], matched.effects)
        flipped = [_bits(effect, matched.num_detectors) for effect in matched.effects]
        self._first = np.cumsum([0, *map(len, flipped)], dtype=np.int64)
        self._targets = np.array([bit for bits in flipped for bit in bits], dtype=np.int64)
        self._width = -(-matched.num_detectors // 8), -(-matched.num_observables // 8)

    def sample(
        self, distribution: int, shots: int, seed: int | Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], FloatArray]:
        """Shots from one of the distributions.

        Args:
            distribution: 0..A-1.
            shots: S.
            seed: As numpy takes it. The same seed brings the same shots.

        Returns:
            (S, ceil(D/8)) uint8 detection events and (S, ceil(L/8)) uint8 flips, bits from the lowest; (S, K) float64
            weights, finite.
        """
        rng = np.random.default_rng(seed)
        p = np.ascontiguousarray(self.drawn[distribution])
        bits, sums = draw_faults(rng, shots, p, self._first, self._targets, sum(self._width), self._on.T)
        events, flips = np.hsplit(bits, [self._width[0]])
        return np.ascontiguousarray(events), np.ascontiguousarray(flips), self.weights(sums)

    def weights(self, sums: FloatArray) -> FloatArray:
        """(S, K) weights; `sums`: (S, K + A - 1), over the faults that happened, of what each adds (`terms`)."""
        count = len(self.matched.probabilities)
        logs = self._off + sums
        mixed = np.zeros((len(sums), 1))
        others = logs[:, count:]
        if others.shape[1]:
            mixed = np.logaddexp.reduce(np.hstack([mixed, others]), axis=1, keepdims=True) - np.log(len(self.drawn))
        weights: FloatArray = np.exp(np.minimum(logs[:, :count] - mixed, _LARGEST_LOG))
        return weights

    @property
    def terms(self) -> FloatArray:
        """(F, K + A - 1) float64: what each fault adds to the logarithm of a weight, models first."""
        return self._on.T


def effective_share(
    models: Sequence[stim.DetectorErrorModel], at: int | stim.DetectorErrorModel | None = None
) -> FloatArray:
    """What share of the shots that are drawn from one model is left, as effective sample size, for each model.

    Exact, before a shot is drawn: 1 / E[w^2], with E[w^2] the product over mechanisms of p^2/q + (1 - p)^2/(1 - q).

    Args:
        models: K error models with the same mechanisms.
        at: The model that would be drawn from, as in `paired_error_rates`.

    Returns:
        (K,) float64, 0..1.

    Raises:
        ConfigurationError: As `paired_error_rates`.

    Source: Kish 1965, effective sample size.
    """
    matched, centre = matched_at(models, at)
    return predicted_share(matched, centre)


def predicted_share(matched: MatchedModels, centre: FloatArray) -> FloatArray:
    """(K,): the same of models that are matched, shots drawn with (F,) probabilities."""
    _log_ratios(matched.probabilities, centre, matched.effects)
    free = (centre > 0) & (centre < 1)
    p, q = matched.probabilities[:, free], centre[free]
    share: FloatArray = np.exp(-np.log1p((p - q) ** 2 / (q * (1 - q))).sum(axis=1))
    return share


def matched_at(
    models: Sequence[stim.DetectorErrorModel], at: int | stim.DetectorErrorModel | None
) -> tuple[MatchedModels, FloatArray]:
    """The models, and the (F,) probabilities of the one drawn from: `at`, or the noisiest, its impossible mechanisms as
    likely as in any model."""
    if at is None:
        matched = MatchedModels.of(models)
        noisiest = matched.probabilities[matched.noisiest()]
        return matched, np.where(noisiest > 0, noisiest, matched.probabilities.max(axis=0, initial=0.0))
    if isinstance(at, int):
        if not 0 <= at < len(models):
            raise ConfigurationError(f"at: got {at}, expected the number of a model, 0 to {len(models) - 1}")
        matched = MatchedModels.of(models)
        return matched, matched.probabilities[at]
    both = MatchedModels.of([*models, at])
    rest = MatchedModels(both.effects, both.probabilities[:-1], both.num_detectors, both.num_observables)
    return rest, both.probabilities[-1]


def between(first: FloatArray, last: FloatArray, part: float) -> FloatArray:
    """Probabilities on the way from one distribution to another, even in the logarithm of the odds; 0 is `first`."""
    on = first ** (1 - part) * last**part
    off = (1 - first) ** (1 - part) * (1 - last) ** part
    way: FloatArray = on / (on + off)
    return way


def _log_ratios(p: FloatArray, q: FloatArray, effects: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """(K,) log(p/q) of a shot without faults, and (K, F) what each fault adds to it."""
    beyond = (p != q) & ((q <= 0) | (q >= 1) | (p >= 1))
    if beyond.any():
        k, fault = np.argwhere(beyond)[0]
        raise ConfigurationError(
            f"at: the mechanism {effects[fault]!r} has probability {q[fault]:g} where shots are drawn and "
            f"{p[k, fault]:g} in another model, which no weight makes up for: draw where it is between 0 and 1"
        )
    same = p == q
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(same, 0.0, np.log1p(-p) - np.log1p(-q))
        on = np.where(same, 0.0, np.log(p) - np.log(q))
    return off.sum(axis=1), on - off


def _probabilities(model: stim.DetectorErrorModel) -> dict[str, float]:
    """By what a mechanism flips, in the order of the model; those that flip nothing do not matter. Probabilities of
    exactly 0 that are written out are kept."""
    found: dict[str, float] = {}
    for instruction in model.flattened():
        if instruction.type == "error":
            text = str(instruction)
            effect = _effect(text[text.rindex(")") + 1 :])
            if effect:
                p, before = instruction.args_copy()[0], found.get(effect, 0.0)
                found[effect] = before * (1 - p) + p * (1 - before)
    return found


@lru_cache(maxsize=2**17)
def _effect(targets: str) -> str:
    """Stim's text of what is flipped, decomposition and repeated targets resolved; detectors first, ascending."""
    flipped: set[tuple[bool, int]] = set()
    for target in targets.split():
        if target != "^":
            flipped ^= {(target[0] == "L", int(target[1:]))}
    return " ".join(f"{'L' if logical else 'D'}{number}" for logical, number in sorted(flipped))


@lru_cache(maxsize=2**17)
def _bits(effect: str, num_detectors: int) -> tuple[int, ...]:
    """Where a shot keeps what is flipped: detectors, then observables from the next whole byte on."""
    observables = 8 * -(-num_detectors // 8)
    return tuple(observables * (target[0] == "L") + int(target[1:]) for target in effect.split())
