"""Intervals for what was counted, and the slope of a log-log line through rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.records import ErrorCounts

__all__ = [
    "Interval",
    "SlopeFit",
    "bootstrap_mean_interval",
    "fit_slope",
    "likelihood_interval",
    "mean_interval",
    "wilson_interval",
]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval, low <= estimate <= high."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True)
class SlopeFit:
    """A line through (log p, log rate): rate = prefactor * p^slope. `low`, `high` bound the slope."""

    slope: float
    low: float
    high: float
    prefactor: float


def wilson_interval(errors: int, shots: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a binomial proportion; (0, nan, 1) where there is no shot.

    Raises:
        ConfigurationError: counts or confidence out of range.

    Source: Wilson 1927, JASA 22, 209.
    """
    _check(errors, shots)
    if not 0.0 < confidence < 1.0:
        raise ConfigurationError(f"confidence: got {confidence}, expected a number between 0 and 1, such as 0.95")
    if shots == 0:
        return Interval(0.0, math.nan, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = errors / shots
    unit = 1.0 + z * z / shots
    centre = (rate + z * z / (2 * shots)) / unit
    half = z * math.sqrt(rate * (1 - rate) / shots + z * z / (4 * shots * shots)) / unit
    low = 0.0 if errors == 0 else max(0.0, centre - half)
    high = 1.0 if errors == shots else min(1.0, centre + half)
    return Interval(low, rate, high)


def likelihood_interval(errors: int, shots: int, *, max_likelihood_factor: float = 1000.0) -> Interval:
    """The rates whose likelihood is within a factor of the best one's (`sinter.fit_binomial`).

    Raises:
        ConfigurationError: counts out of range, or a factor below 1.
    """
    _check(errors, shots)
    if max_likelihood_factor < 1.0:
        raise ConfigurationError(f"max_likelihood_factor: got {max_likelihood_factor}, expected 1 or more")
    if shots == 0:
        return Interval(0.0, math.nan, 1.0)
    import sinter

    fit = sinter.fit_binomial(num_shots=shots, num_hits=errors, max_likelihood_factor=max_likelihood_factor)
    return Interval(float(fit.low), float(fit.best), float(fit.high))


def fit_slope(points: Sequence[tuple[float, ErrorCounts]], *, confidence: float = 0.95) -> SlopeFit:
    """The maximum-likelihood line through (log p, log rate), each point a binomial count.

    Points without errors count too: they say that the rate is low there. Exact rates (`ErrorCounts.exact_rate`) are
    fitted by least squares in log-log, and must not be mixed with counts.

    Args:
        points: (p, counts), at least two different p.
        confidence: Of the slope's interval: profile likelihood for counts, Student's t for exact rates.

    Raises:
        ConfigurationError: fewer than two values of p, no error anywhere, or exact rates mixed with counts.
    """
    if len({p for p, _ in points}) < 2:
        raise ConfigurationError(f"slope: got {len(points)} points, expected at least two different values of p")
    exact = [counts.exact_rate is not None for _, counts in points]
    if all(exact):
        return _least_squares(points, confidence)
    if any(exact):
        raise ConfigurationError("slope: got exact rates among counts, expected one kind; fit each kind by itself")
    x = np.log([p for p, _ in points])
    errors = np.array([counts.errors for _, counts in points], dtype=float)
    kept = np.array([counts.kept for _, counts in points], dtype=float)
    if not errors.any():
        raise ConfigurationError("slope: got no logical error at any p, expected some; draw more shots")
    return _binomial_fit(x, errors, kept, confidence)


def _binomial_fit(
    x: NDArray[np.float64], errors: NDArray[np.float64], kept: NDArray[np.float64], confidence: float
) -> SlopeFit:
    from scipy.optimize import brentq, minimize_scalar
    from scipy.stats import chi2

    centre = float(np.average(x, weights=errors))

    def cost(slope: float) -> tuple[float, float]:
        """Minus the log-likelihood, minimised over the height of the line at `centre`."""

        def negative(height: float) -> float:
            logs = np.minimum(height + slope * (x - centre), -1e-9)
            return -float(np.sum(errors * logs + (kept - errors) * np.log1p(-np.exp(logs))))

        guess = math.log(errors.sum() / float(np.sum(kept * np.exp(slope * (x - centre)))))
        best = minimize_scalar(negative, bounds=(guess - 5.0, guess + 5.0), method="bounded", options={"xatol": 1e-10})
        return float(best.fun), float(best.x)

    best = minimize_scalar(lambda slope: cost(slope)[0], bounds=(-2.0, 12.0), method="bounded", options={"xatol": 1e-8})
    slope, least = float(best.x), float(best.fun)
    allowed = float(chi2.ppf(confidence, 1)) / 2

    def excess(other: float) -> float:
        return cost(other)[0] - least - allowed

    ends = [
        float(brentq(excess, slope, end, xtol=1e-6)) if excess(end) > 0 else end for end in (slope - 20.0, slope + 20.0)
    ]
    return SlopeFit(slope, ends[0], ends[1], math.exp(cost(slope)[1] - slope * centre))


def _least_squares(points: Sequence[tuple[float, ErrorCounts]], confidence: float) -> SlopeFit:
    from scipy.stats import linregress, t

    x = np.log([p for p, _ in points])
    y = np.log([counts.rate for _, counts in points])
    line = linregress(x, y)
    half = float(t.ppf(0.5 + confidence / 2, len(x) - 2) * line.stderr) if len(x) > 2 else math.inf
    return SlopeFit(float(line.slope), line.slope - half, line.slope + half, math.exp(line.intercept))


def bootstrap_mean_interval(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """The mean with its bootstrap interval (bias-corrected and accelerated; percentile where all but one value agree).

    Args:
        values: One number per run (seed).
        confidence: Of the interval.
        resamples: Bootstrap samples.
        seed: Same seed, same interval.

    Raises:
        ConfigurationError: no value.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise ConfigurationError("bootstrap: got no value, expected at least one")
    mean = float(sample.mean())
    if sample.size == 1 or np.ptp(sample) == 0.0:
        return Interval(mean, mean, mean)
    from scipy.stats import bootstrap

    method = "BCa" if sample.size > 2 else "percentile"
    result = bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        method=method,
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return Interval(float(interval.low), mean, float(interval.high))


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval, exact for values that are normally distributed, however few.

    Args:
        values: One number for each independent trial.
        confidence: Of the interval; of a single value it is the whole line.

    Raises:
        ConfigurationError: no value.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise ConfigurationError("mean: got no value, expected at least one")
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(-math.inf, mean, math.inf)
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size))
    return Interval(mean - half, mean, mean + half)


def _check(errors: int, shots: int) -> None:
    if not 0 <= errors <= shots:
        raise ConfigurationError(
            f"binomial counts: got {errors} errors in {shots} shots, expected 0 <= errors <= shots"
        )
