"""Fits to what steered runs record: slopes, exponentials, crossings, fluctuations, spectra.

A fit that cannot be made says why (`Missing`) instead of a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.evaluation.statistics import Interval

__all__ = [
    "Exponential",
    "Fitted",
    "Missing",
    "counting_variance",
    "exponential",
    "falls_to",
    "fluctuation",
    "log_log_slope",
    "slope_through_origin",
    "spectrum",
    "upper_corner",
    "vanishes_at",
]

FloatArray: TypeAlias = NDArray[np.float64]
Array: TypeAlias = NDArray[Any]

FEWEST_POINTS = 5
"""An exponential has three numbers of its own."""

WIDEST = 0.5
"""Standard error of the logarithm of a rate, beyond which the rate is not told."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Missing:
    """Why there is no number, in a few words."""

    reason: str


Fitted: TypeAlias = float | Missing


@dataclass(frozen=True)
class Exponential:
    """end + (start - end) exp(-rate t)."""

    start: float
    end: float
    rate: float

    def at(self, t: Array) -> FloatArray:
        """Its value at times since its beginning."""
        value: FloatArray = self.end + (self.start - self.end) * np.exp(-self.rate * t)
        return value


def slope_through_origin(x: Array, y: Array, error: Array) -> Fitted:
    """Slope of y = slope · x by weighted least squares.

    Args:
        error: Standard error of each y; a point with one that is not positive and finite is left out.
    """
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(error) & (error > 0)
    weight = 1 / error[good] ** 2
    square = float(np.sum(weight * x[good] ** 2))
    if good.sum() < 2 or square == 0:
        return Missing("fewer than two directions with errors counted")
    return float(np.sum(weight * x[good] * y[good])) / square


def exponential(t: Array, y: Array, error: Array | None = None) -> Exponential | Missing:
    """Least squares of an exponential approach: start, end and rate are free.

    For each rate the best start and end follow by linear least squares, and the rate is the best between one that
    nothing of the record would show and one that ends before its second point. A rate whose standard error is more than
    half of it is not told.

    Args:
        t: (T,) times since the beginning, ascending.
        y: (T,).
        error: (T,) standard errors; None: all alike. Points with one that is not positive and finite are left out.
    """
    from scipy.optimize import minimize_scalar

    weight = np.ones(len(t)) if error is None else _weights(error)
    good = np.isfinite(y) & (weight > 0)
    t, y, weight = t[good], y[good], weight[good]
    if len(t) < FEWEST_POINTS:
        return Missing(f"{len(t)} points, {FEWEST_POINTS} are needed")
    if np.ptp(y) == 0:
        return Missing("nothing changes")

    def solve(log_rate: float) -> tuple[float, FloatArray]:
        falling = np.exp(-math.exp(log_rate) * t)
        columns = np.stack([falling, 1 - falling], axis=1) * weight[:, None]
        ends = np.linalg.lstsq(columns, y * weight, rcond=None)[0]
        return float(np.sum((columns @ ends - y * weight) ** 2)), np.asarray(ends, np.float64)

    slowest, fastest = math.log(0.2 / t[-1]), math.log(5 / (t[1] - t[0]))
    grid = np.linspace(slowest, fastest, 60)
    best = int(np.argmin([solve(each)[0] for each in grid]))
    if best in (0, len(grid) - 1):
        return Missing("slower than the record is long" if best == 0 else "faster than the record tells")
    found = minimize_scalar(lambda each: solve(each)[0], bounds=(grid[best - 1], grid[best + 1]), method="bounded")
    squares, (start, end) = solve(float(found.x))
    fit = Exponential(float(start), float(end), math.exp(float(found.x)))
    scatter = squares / (len(t) - 3)
    return fit if _error_of_rate(fit, t, weight, scatter) <= WIDEST else Missing("hidden in the scatter")


def falls_to(t: Array, y: Array, level: float) -> Fitted:
    """First time at which y, linear between its points, is at `level` or below."""
    below = np.flatnonzero(y <= level)
    if not len(below):
        return Missing("not reached")
    k = int(below[0])
    if k == 0:
        return float(t[0])
    share = (y[k - 1] - level) / (y[k - 1] - y[k])
    return float(t[k - 1] + share * (t[k] - t[k - 1]))


def vanishes_at(x: Array, y: Array) -> Fitted:
    """Where y, linear in log x between its points, first goes from above 0 to 0 or below.

    Args:
        x: (T,), > 0, ascending.
    """
    if len(x) < 2:
        return Missing("fewer than two frequencies")
    if y[0] <= 0:
        return Missing(f"below {x[0]:.3g}")
    found = falls_to(np.log(x), y, 0.0)
    return Missing(f"above {x[-1]:.3g}") if isinstance(found, Missing) else math.exp(found)


def counting_variance(errors: Array, shots: Array, rounds: int) -> FloatArray:
    """Variance that counting gives a logical error rate per cycle, eps = (1 - (1 - 2 P)^(1/rounds)) / 2.

    To first order: var P · (d eps/d P)², with P = (errors + 1/2) / (shots + 1), since no error at all is no certainty.
    """
    per_shot = np.minimum((errors + 0.5) / (shots + 1), 0.5 - 1e-9)
    slope = (1 - 2 * per_shot) ** (1 / rounds - 1) / rounds
    variance: FloatArray = per_shot * (1 - per_shot) / shots * slope**2
    return variance


def fluctuation(values: Array, noise: Array | float = 0.0) -> Fitted:
    """Standard deviation over time, without the noise of measurement: the root of the sample variance less the mean
    variance of noise.

    Args:
        noise: (T,) variance of each value's noise, independent in time.
    """
    if len(values) < 3:
        return Missing("fewer than three points in time")
    variance = float(np.var(values, ddof=1))
    if variance <= (_ROUNDING * float(np.mean(values))) ** 2:
        return Missing("does not fluctuate")
    variance -= float(np.mean(noise))
    return math.sqrt(variance) if variance > 0 else Missing("fluctuation within counting noise")


def spectrum(values: Array, spacing: float) -> tuple[FloatArray, FloatArray]:
    """One-sided power density of evenly spaced values, their mean taken out, Hann window.

    White noise of variance v has the density 2 v · spacing.

    Returns:
        Frequencies from the lowest above 0, per unit of `spacing`; densities.
    """
    from scipy.signal import periodogram

    frequencies, density = periodogram(values, fs=1 / spacing, window="hann")
    return frequencies[1:], density[1:]


def upper_corner(frequencies: Array, ratio: Array) -> Fitted:
    """Lowest frequency at which a filter lets half the power pass.

    Args:
        frequencies: (F,), ascending.
        ratio: (F,) of power after and before the filter; averaged over octaves here, since single frequencies scatter.
    """
    x, y = octaves(frequencies, ratio)
    if len(x) < 2:
        return Missing("fewer than two octaves")
    if y[0] >= 0.5:
        return Missing(f"below {x[0]:.3g}")
    found = falls_to(np.log(x), -y, -0.5)
    return Missing(f"above {x[-1]:.3g}") if isinstance(found, Missing) else math.exp(found)


def octaves(frequencies: Array, values: Array) -> tuple[FloatArray, FloatArray]:
    """Means over octaves: geometric mean of the frequencies, mean of the values."""
    if not len(frequencies):
        return np.zeros(0), np.zeros(0)
    octave = np.floor(np.log2(frequencies / frequencies[0] * (1 + 1e-9))).astype(int)
    chosen = [octave == number for number in np.unique(octave)]
    return (
        np.array([math.exp(float(np.log(frequencies[each]).mean())) for each in chosen]),
        np.array([float(values[each].mean()) for each in chosen]),
    )


def log_log_slope(x: Sequence[float], y: Sequence[float]) -> Interval | Missing:
    """Exponent of y over x with its 95 % interval (Student's t); at least three points with two values of x."""
    from scipy.stats import linregress, t

    if len(x) < 3 or len(set(x)) < 2 or min(y) <= 0:
        return Missing("fewer than three points")
    if min(y) == max(y):
        return Interval(0.0, 0.0, 0.0)
    line = linregress(np.log(x), np.log(y))
    half = float(t.ppf(0.975, len(x) - 2) * line.stderr)
    return Interval(float(line.slope) - half, float(line.slope), float(line.slope) + half)


def _error_of_rate(fit: Exponential, t: Array, weight: FloatArray, scatter: float) -> float:
    """Standard error of the logarithm of the rate, to first order, all three numbers free."""
    falling = np.exp(-fit.rate * t)
    by_rate = -(fit.start - fit.end) * fit.rate * t * falling
    slopes = np.stack([falling, 1 - falling, by_rate], axis=1) * weight[:, None]
    return math.sqrt(scatter * float(np.linalg.pinv(slopes.T @ slopes)[2, 2]))


def _weights(error: FloatArray) -> FloatArray:
    good = np.isfinite(error) & (error > 0)
    return np.where(good, 1 / np.where(good, error, 1.0), 0.0)
