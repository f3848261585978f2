from __future__ import annotations

import math

import numpy as np
import pytest
import sinter
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t, ttest_1samp

from qecforge.errors import ConfigurationError
from qecforge.evaluation import (
    ErrorCounts,
    Interval,
    bootstrap_mean_interval,
    detectable_difference,
    difference_interval,
    fit_slope,
    likelihood_interval,
    mean_interval,
    wilson_interval,
)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(counts, confidence):
    errors, shots = counts
    ours = wilson_interval(errors, shots, confidence=confidence)
    theirs = binomtest(errors, shots).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)
    assert ours.low <= ours.estimate <= ours.high


def test_wilson_by_hand():
    # z = 1.959964: centre (0.3 + z^2/20) / (1 + z^2/10), half-width z sqrt(0.021 + z^2/400) / (1 + z^2/10)
    interval = wilson_interval(3, 10)
    assert (interval.low, interval.high) == pytest.approx((0.107791, 0.603222), abs=1e-6)


def test_without_shots_nothing_is_known():
    for interval in (wilson_interval(0, 0), likelihood_interval(0, 0)):
        assert (interval.low, interval.high) == (0.0, 1.0)
        assert math.isnan(interval.estimate)


def test_likelihood_interval_is_sinters():
    ours, theirs = (
        likelihood_interval(7, 1000),
        sinter.fit_binomial(num_shots=1000, num_hits=7, max_likelihood_factor=1e3),
    )
    assert (ours.low, ours.estimate, ours.high) == (theirs.low, theirs.best, theirs.high)
    narrow = likelihood_interval(7, 1000, max_likelihood_factor=10)
    assert ours.low < narrow.low < narrow.estimate < narrow.high < ours.high


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson_interval(5, 4),
        lambda: wilson_interval(-1, 4),
        lambda: wilson_interval(1, 4, confidence=1.0),
        lambda: likelihood_interval(1, 4, max_likelihood_factor=0.5),
        lambda: bootstrap_mean_interval([]),
        lambda: mean_interval([]),
        lambda: fit_slope([(0.1, ErrorCounts(shots=10, errors=1))]),
        lambda: fit_slope([(0.1, ErrorCounts(shots=10)), (0.2, ErrorCounts(shots=10))]),
        lambda: fit_slope([(0.1, ErrorCounts(shots=10, errors=1)), (0.2, ErrorCounts(exact_rate=0.1))]),
    ],
)
def test_what_cannot_be_estimated_is_refused(call):
    with pytest.raises(ConfigurationError, match="expected"):
        call()


def line(slope, *, prefactor=100.0, shots=10**6, points=8, seed=None):
    rng = np.random.default_rng(seed)
    strengths = np.geomspace(1e-4, 3e-3, points)
    rates = prefactor * strengths**slope
    errors = np.rint(shots * rates) if seed is None else rng.binomial(shots, rates)
    return [(float(p), ErrorCounts(shots=shots, errors=int(e))) for p, e in zip(strengths, errors, strict=True)]


@pytest.mark.parametrize("slope", [1.0, 2.0, 3.0])
def test_the_slope_of_a_noiseless_line_is_found(slope):
    fit = fit_slope(line(slope, prefactor=0.1 * 10 ** (3 * (slope - 1)), shots=10**12))
    assert fit.slope == pytest.approx(slope, abs=1e-3)
    assert fit.prefactor == pytest.approx(0.1 * 10 ** (3 * (slope - 1)), rel=1e-2)
    assert fit.low < fit.slope < fit.high


def test_the_slopes_interval_covers_the_truth_about_as_often_as_it_says():
    hits = sum((fit := fit_slope(line(2.0, shots=20_000, seed=seed))).low <= 2.0 <= fit.high for seed in range(100))
    assert 88 <= hits <= 100


def test_a_point_without_errors_still_speaks():
    points = line(2.0, shots=100_000)
    without = fit_slope([(1e-6, ErrorCounts(shots=10**9)), *points])
    assert without.slope > fit_slope(points).slope


def test_exact_rates_are_fitted_by_least_squares():
    points = [(p, ErrorCounts(exact_rate=10 * p**2)) for p in (1e-3, 2e-3, 4e-3)]
    fit = fit_slope(points)
    assert (fit.slope, fit.prefactor) == pytest.approx((2.0, 10.0))


def test_bootstrap_interval_of_a_mean():
    values = np.random.default_rng(1).normal(5.0, 1.0, 200)
    interval = bootstrap_mean_interval(values)
    standard_error = values.std(ddof=1) / math.sqrt(200)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.2 * standard_error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.2 * standard_error)
    assert bootstrap_mean_interval(values) == interval
    same = bootstrap_mean_interval([2.0, 2.0, 2.0])
    assert (same.low, same.estimate, same.high) == (2.0, 2.0, 2.0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.floats(0.5, 0.999))
def test_the_t_interval_agrees_with_scipy(values, confidence):
    ours = mean_interval(values, confidence=confidence)
    assert ours.estimate == pytest.approx(np.mean(values), abs=1e-9)
    if np.ptp(values) > 1e-6:
        low, high = ttest_1samp(values, 0.0).confidence_interval(confidence)
        assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_the_t_interval_of_a_single_value_is_the_whole_line():
    assert mean_interval([3.0]) == Interval(-math.inf, 3.0, math.inf)


def test_welch_by_hand():
    """Means 2 and 6, variances of the means 1/3 and 4/3: (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17 degrees of freedom."""
    found = difference_interval([1, 2, 3], [4, 6, 8])
    half = t.ppf(0.975, 50 / 17) * math.sqrt(5 / 3)
    assert (found.low, found.estimate, found.high) == pytest.approx((-4 - half, -4, -4 + half))
    assert difference_interval([1, 1], [3, 3]) == Interval(-2, -2, -2)
    with pytest.raises(ConfigurationError, match="got samples of 1 and 2 values"):
        difference_interval([1], [1, 2])


def test_detectable_differences_of_cohens_tables():
    """Cohen 1988, table 2.4.1 (two-tailed 0.05): 26 of each find 0.8 with power 0.8, 64 find 0.5, 393 find 0.2."""
    assert [round(detectable_difference(n), 2) for n in (26, 64, 393)] == [0.79, 0.50, 0.20]
    assert detectable_difference(20) == pytest.approx(0.909, abs=1e-3)
    with pytest.raises(ConfigurationError, match="expected 2 or more"):
        detectable_difference(1)
    with pytest.raises(ConfigurationError, match="level < power"):
        detectable_difference(5, power=0.01)
