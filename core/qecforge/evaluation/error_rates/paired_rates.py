"""Logical error rates that were measured together, with what they have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.statistics import Interval

__all__ = ["PairedRates"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairedRates:
    """Estimates of K logical error rates from the same shots. Arrays are not to be written to.

    Those of independent shots add up: `first + second`.

    Attributes:
        shots: Shots drawn.
        failing: (K,) int64, those that were decoded wrongly, whatever they weigh.
        rates: (K,) float64, unbiased estimates, each of a shot, or of a round after `per_round`.
        covariance: (K, K) float64, of these estimates.
        effective: (K,) float64, 0..1: effective sample size as a share of `shots`, (sum w)^2 / (shots sum w^2).
        effective_failing: (K,) float64, 0..1: the same of failing shots alone, NaN where there is none.
    """

    shots: int
    failing: NDArray[np.int64]
    rates: FloatArray
    covariance: FloatArray
    effective: FloatArray
    effective_failing: FloatArray

    def __add__(self, other: PairedRates) -> Self:
        """Of both batches, each weighed by its shots: right as long as the batches were drawn alike."""
        if len(self.rates) != len(other.rates):
            raise ConfigurationError(
                f"paired rates: {len(self.rates)} and {len(other.rates)} rates do not add up: keep them apart"
            )
        return self._combined([self, other], [self.shots, other.shots])

    @classmethod
    def mean(cls, parts: Sequence[PairedRates]) -> Self:
        """Mean rates of independent experiments, each counting alike: memory in X and in Z, say."""
        return cls._combined(parts, [1] * len(parts))

    @classmethod
    def _combined(cls, parts: Sequence[PairedRates], counts: Sequence[int]) -> Self:
        share = np.array(counts, dtype=np.float64) / sum(counts)
        failing = np.array([part.failing for part in parts])
        return cls(
            shots=sum(part.shots for part in parts),
            failing=failing.sum(axis=0),
            rates=sum_of(share, [part.rates for part in parts]),
            covariance=sum_of(share**2, [part.covariance for part in parts]),
            effective=1 / sum_of(share, [1 / part.effective for part in parts]),
            effective_failing=_weighted([part.effective_failing for part in parts], failing),
        )

    def rate(self, k: int, *, confidence: float = 0.95) -> Interval:
        """Of one rate; symmetric in its logarithm. (0, 0, nan) where no shot failed."""
        return self._around(float(self.rates[k]), self._log_error({k: 1.0}), confidence)

    def ratio(self, k: int, reference: int = 0, *, confidence: float = 0.95) -> Interval:
        """Of rates[k] / rates[reference], by the delta method for the logarithm; NaN where no shot of either failed."""
        if k == reference:
            return Interval(1.0, 1.0, 1.0)
        if not (self.rates[k] > 0 and self.rates[reference] > 0):
            return Interval(0.0, math.nan, math.inf)
        estimate = float(self.rates[k] / self.rates[reference])
        return self._around(estimate, self._log_error({k: 1.0, reference: -1.0}), confidence)

    def reduction(self, k: int, reference: int = 0, *, confidence: float = 0.95) -> Interval:
        """Of 1 - rates[k] / rates[reference]: how much lower, relatively, rate k is."""
        ratio = self.ratio(k, reference, confidence=confidence)
        return Interval(1 - ratio.high, 1 - ratio.estimate, 1 - ratio.low)

    def log_ratio_error(self, k: int, reference: int = 0) -> float:
        """Standard deviation of log(rates[k] / rates[reference]); NaN where either has no failing shot."""
        return 0.0 if k == reference else self._log_error({k: 1.0, reference: -1.0})

    def per_round(self, rounds: int) -> Self:
        """The same per round of a memory: (1 - (1 - 2 P)^(1/rounds)) / 2, and 1/2 where P is 1/2 or more."""
        if rounds < 1:
            raise ConfigurationError(f"rounds: {rounds} is too few: give the rounds of one shot, 1 or more")
        kept = 1 - 2 * np.minimum(self.rates, 0.5)
        slope = np.maximum(kept, 1e-9) ** (1 / rounds - 1) / rounds
        return type(self)(
            self.shots,
            self.failing,
            (1 - kept ** (1 / rounds)) / 2,
            slope[:, None] * self.covariance * slope,
            self.effective,
            self.effective_failing,
        )

    def _log_error(self, signs: dict[int, float]) -> float:
        if any(not self.rates[k] > 0 for k in signs):
            return math.nan
        slopes = np.array([sign / self.rates[k] for k, sign in signs.items()])
        some = list(signs)
        return math.sqrt(max(0.0, float(slopes @ self.covariance[np.ix_(some, some)] @ slopes)))

    @staticmethod
    def _around(estimate: float, log_error: float, confidence: float) -> Interval:
        if not 0.0 < confidence < 1.0:
            raise ConfigurationError(f"confidence: got {confidence}, expected a number between 0 and 1, such as 0.95")
        if estimate == 0:
            return Interval(0.0, 0.0, math.nan)
        width = math.exp(min(700.0, NormalDist().inv_cdf(0.5 + confidence / 2) * log_error))
        return Interval(estimate / width, estimate, estimate * width)


def sum_of(shares: FloatArray, arrays: Sequence[FloatArray]) -> FloatArray:
    """Of arrays of one shape, each times its share."""
    total: FloatArray = np.tensordot(shares, np.array(arrays), axes=1)
    return total


def _weighted(values: Sequence[FloatArray], counts: NDArray[np.int64]) -> FloatArray:
    """Means over failing shots of parts, of which some may have none: harmonic, as effective sample sizes are."""
    total = np.zeros(counts.shape[1])
    for value, count in zip(values, counts, strict=True):
        total += np.where(count > 0, count / np.where(count > 0, value, 1.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, counts.sum(axis=0) / total, np.nan)
