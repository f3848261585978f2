"""Intervals that are printed hold the truth as often as they say, in repeated trials with known truth.

How often: `COVERED` of the trials, within four standard deviations of that number. Wilson's is exact on average over
rates alone; at its worst, where a fifth of an error is expected, it holds the rate in 84 of 100 trials.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from qecforge.evaluation import ErrorCounts, fit_slope, mean_interval, wilson_interval
from qecforge.evaluation.error_rates.records import ErrorRateTask
from qecforge.evaluation.policies.returns import PlayedEpisodes
from qecforge.evaluation.statistics import detectable_difference, difference_interval
from qecforge.reporting.spread import Spread
from qecforge.store import Store
from qecforge.store.records import ErrorRate
from qecforge.testing.examples import example_code, example_run, example_task

COVERED = 0.95


def assert_covers(held, trials, expected=COVERED):
    assert held / trials == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / trials))


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_mean_over_seeds(seeds, confidence):
    rng, trials = np.random.default_rng(seeds), 4000
    samples = rng.normal(3.0, 2.0, (trials, seeds))
    found = [mean_interval(sample, confidence=confidence) for sample in samples]
    assert_covers(sum(each.low <= 3.0 <= each.high for each in found), trials, confidence)


@pytest.mark.parametrize("seeds", [(5, 5), (20, 20), (5, 20)])
def test_a_difference_of_means(seeds):
    """With deviations that differ; with very few trials Welch's covers a little more than it says."""
    rng, trials = np.random.default_rng(sum(seeds)), 2000
    found = [difference_interval(rng.normal(3.0, 2.0, seeds[0]), rng.normal(1.0, 1.0, seeds[1])) for _ in range(trials)]
    assert_covers(sum(each.low <= 2.0 <= each.high for each in found), trials)


@pytest.mark.parametrize("seeds", [5, 20])
def test_a_detectable_difference_is_found_as_often_as_it_says(seeds):
    rng, trials = np.random.default_rng(seeds), 2000
    shift = 2.0 * detectable_difference(seeds, power=0.8)
    found = [difference_interval(rng.normal(shift, 2.0, seeds), rng.normal(0.0, 2.0, seeds)) for _ in range(trials)]
    assert_covers(sum(each.low > 0 for each in found), trials, 0.8)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_what_a_table_over_seeds_shows(seeds):
    rng, trials = np.random.default_rng(seeds), 4000
    found = [Spread.of(rng.normal(3.0, 2.0, seeds).tolist()) for _ in range(trials)]
    assert_covers(sum(each.low <= 3.0 <= each.high for each in found), trials)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_what_runs_compare_shows(seeds):
    """One metric for each trial, of the same runs."""
    rng, trials = np.random.default_rng(seeds), 300
    with Store("sqlite://") as store:
        runs = [example_run(store, f"{seed:x}", seed=seed) for seed in range(seeds)]
        for run in runs:
            numbers = {f"trial_{number}": value for number, value in enumerate(rng.normal(3.0, 2.0, trials))}
            store.add_policy_evaluation(run.id, "trials", numbers)
        found = [store.compare(runs, f"trial_{number}")[0] for number in range(trials)]
    assert_covers(sum(each.low <= 3.0 <= each.high for each in found), trials)


def test_a_mean_over_episodes():
    rng, trials = np.random.default_rng(0), 2000
    lengths = np.ones(20, np.int64)
    found = [PlayedEpisodes(rng.normal(3.0, 2.0, 20), lengths).interval for _ in range(trials)]
    assert_covers(sum(each.low <= 3.0 <= each.high for each in found), trials)


def coverage(shots, rate, interval):
    """Of an interval of counts: the probability of those that it holds the rate for."""
    errors = np.arange(shots + 1)
    held = np.array([(found := interval(int(each), shots)).low <= rate <= found.high for each in errors])
    return float(binom.pmf(errors, shots, rate)[held].sum())


def rate_interval(errors, shots):
    task = example_task(example_code())
    assert isinstance(task, ErrorRateTask)
    counts = ErrorCounts(shots=shots + 5, errors=errors, discards=5)
    return ErrorRate(task_id="0", code_id="0", task=task, counts=counts, chunks=1).interval


@pytest.mark.parametrize("interval", [wilson_interval, rate_interval])
def test_a_rate(interval):
    """Exactly, without drawing: the mean over rates from 10 expected errors to 90 % of the shots, and the worst."""
    shots = 200
    ordinary = [coverage(shots, rate, interval) for rate in np.linspace(0.05, 0.9, 60)]
    assert np.mean(ordinary) == pytest.approx(COVERED, abs=0.005)
    assert min(ordinary) > 0.92
    rare = [coverage(shots, rate, interval) for rate in np.geomspace(1e-5, 0.05, 60)]
    assert np.mean(rare) > COVERED - 0.01
    assert min(rare) > 0.83


def test_a_rate_whose_shots_end_with_enough_errors():
    """`max_errors`: chunks are drawn until there are 20."""
    rng, trials, rate, held = np.random.default_rng(0), 3000, 0.02, 0
    for _ in range(trials):
        errors = np.cumsum(rng.binomial(100, rate, 60))
        chunks = int(np.argmax(errors >= 20)) + 1
        found = wilson_interval(int(errors[chunks - 1]), 100 * chunks)
        held += found.low <= rate <= found.high
    assert_covers(held, trials)


@pytest.mark.parametrize(("shots", "prefactor"), [(1000, 100.0), (10_000, 10.0)])
def test_a_slope_through_counts(shots, prefactor):
    rng, trials = np.random.default_rng(1), 200
    strengths = np.geomspace(1e-3, 1e-2, 4)
    held = 0
    for _ in range(trials):
        errors = rng.binomial(shots, prefactor * strengths**2)
        counts = [ErrorCounts(shots=shots, errors=int(each)) for each in errors]
        fit = fit_slope(list(zip(strengths.tolist(), counts, strict=True)))
        held += fit.low <= 2.0 <= fit.high
    assert_covers(held, trials)


@pytest.mark.parametrize("points", [3, 6])
def test_a_slope_through_exact_rates(points):
    """Where they lie about the line at random."""
    rng, trials = np.random.default_rng(points), 1000
    strengths = np.geomspace(1e-3, 1e-2, points)
    held = 0
    for _ in range(trials):
        rates = 10.0 * strengths**2 * np.exp(rng.normal(0.0, 0.1, points))
        fit = fit_slope([(float(p), ErrorCounts(exact_rate=float(r))) for p, r in zip(strengths, rates, strict=True)])
        held += fit.low <= 2.0 <= fit.high
    assert_covers(held, trials)
