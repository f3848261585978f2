"""pass@k with its interval over tasks, and two models compared on the same tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.statistics import Interval

__all__ = ["Difference", "PassRate", "mean_pass_at_k", "paired_difference", "pass_at_k"]

FloatArray: TypeAlias = NDArray[np.float64]

RESAMPLES = 9999
FEW = 10
"""Tasks, below which a bootstrap's interval is too narrow."""
_EXACT_SIGNS = 16
"""Tasks that differ, up to which every assignment of signs is tried."""


def pass_at_k(completions: int, passed: int, k: int) -> float:
    """The chance that at least one of k completions passes, drawn without replacement from those of a task: unbiased.

    1 - C(n - c, k) / C(n, k) of n completions of which c passed.

    Raises:
        ConfigurationError: k is not from 1 to n, or c not from 0 to n.

    Source: Chen et al. 2021, arXiv 2107.03374, eq. (1).
    """
    if not 0 <= passed <= completions:
        raise ConfigurationError(f"pass@k: got {passed} of {completions} completions passed, expected 0 to all of them")
    if not 1 <= k <= completions:
        raise ConfigurationError(f"pass@{k}: a task has {completions} completions, expected 1 <= k <= {completions}")
    if completions - passed < k:
        return 1.0
    return 1.0 - math.comb(completions - passed, k) / math.comb(completions, k)


@dataclass(frozen=True)
class PassRate:
    """The mean pass@k of some tasks.

    Attributes:
        estimate: NaN where there is no task.
        low, high: Its 95 % interval over tasks.
        method: How the interval was made: `bootstrap` draws tasks with replacement. Where all tasks have the same
            value, or there are fewer than `FEW`, that says too little, and the interval is `wilson`'s, as if each task
            had been tried once.
    """

    estimate: float
    low: float
    high: float
    method: Literal["bootstrap", "wilson", "none"]


def mean_pass_at_k(values: Sequence[float], *, confidence: float = 0.95, seed: int = 0) -> PassRate:
    """The mean over tasks with a bootstrap interval (percentiles of 9999 means; the same seed gives the same interval).

    Args:
        values: pass@k of each task, 0..1.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        return PassRate(math.nan, math.nan, math.nan, "none")
    mean = float(sample.mean())
    if sample.size < FEW or np.ptp(sample) == 0.0:
        return PassRate(mean, *_wilson(mean, sample.size, confidence), "wilson")
    low, high = _percentiles(_resampled_means(sample, seed), confidence)
    return PassRate(mean, low, high, "bootstrap")


def _wilson(rate: float, tasks: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a rate that need not be a whole number of tasks."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    unit = 1 + z * z / tasks
    centre = rate + z * z / (2 * tasks)
    half = z * math.sqrt(rate * (1 - rate) / tasks + z * z / (4 * tasks * tasks))
    return max(0.0, min(rate, (centre - half) / unit)), min(1.0, max(rate, (centre + half) / unit))


@dataclass(frozen=True)
class Difference:
    """How much higher the first of two models is, on the same tasks.

    Attributes:
        interval: Of the mean difference, by a bootstrap that draws tasks with both values.
        p_value: Two-sided, of the permutation test that exchanges the two models' values within tasks: how often
            chance alone gives a mean difference as large.
        exact: Whether every exchange was tried; else 99,999 drawn ones.
        tasks, higher, lower: How many tasks both have, and in how many the first has the higher and the lower value.
    """

    interval: Interval
    p_value: float
    exact: bool
    tasks: int
    higher: int
    lower: int


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95, seed: int = 0, draws: int = 99_999
) -> Difference:
    """Compare two models by their values on the same tasks, in the same order.

    Raises:
        ConfigurationError: other lengths, or no task.
    """
    if len(first) != len(second) or not len(first):
        raise ConfigurationError(f"comparison: got {len(first)} and {len(second)} tasks, expected the same, 1 or more")
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean = float(differences.mean())
    low, high = mean, mean
    if np.ptp(differences) > 0:
        low, high = _percentiles(_resampled_means(differences, seed), confidence)
    unequal = differences[differences != 0]
    exact = unequal.size <= _EXACT_SIGNS
    p_value = _all_exchanges(unequal) if exact else _drawn_exchanges(unequal, seed, draws)
    return Difference(
        interval=Interval(low, mean, high),
        p_value=p_value,
        exact=exact,
        tasks=len(differences),
        higher=int((differences > 0).sum()),
        lower=int((differences < 0).sum()),
    )


def _resampled_means(sample: FloatArray, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(sample.size, size=(RESAMPLES, sample.size))
    means: FloatArray = sample[drawn].mean(axis=1)
    return means


def _percentiles(means: FloatArray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _all_exchanges(unequal: FloatArray) -> float:
    """How large a part of all 2^m assignments of signs has a sum as far from 0."""
    sums = np.zeros(1)
    for each in unequal:
        sums = np.concatenate([sums + each, sums - each])
    return float((np.abs(sums) >= _as_far(unequal)).mean())


def _drawn_exchanges(unequal: FloatArray, seed: int, draws: int) -> float:
    rng = np.random.default_rng(seed)
    as_far, size, left, limit = 0, max(1, (1 << 22) // unequal.size), draws, _as_far(unequal)
    while left:
        size = min(size, left)
        signs = rng.integers(2, size=(size, unequal.size), dtype=np.int8) * np.int8(2) - np.int8(1)
        as_far += int((np.abs(signs @ unequal) >= limit).sum())
        left -= size
    return (as_far + 1) / (draws + 1)


def _as_far(unequal: FloatArray) -> float:
    """What a sum must reach to count: less by what rounding may take."""
    return abs(float(unequal.sum())) - 1e-9 * max(1, unequal.size)
