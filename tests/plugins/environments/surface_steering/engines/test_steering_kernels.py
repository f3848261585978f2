"""The compiled loops beside numpy, scipy and brute force."""

import numpy as np
import pytest
from scipy import stats

from qecforge_surface_steering.engines import _kernels


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (1, 0.3),
        (20, 0.5),
        (1000, 1e-4),
        (1000, 0.009),
        (1000, 0.0101),
        (300, 0.06),
        (1000, 0.05),
        (997, 0.5),
        (40_000, 0.03),
    ],
)
def test_binomials_have_the_right_distribution(n, p):
    drawn = np.empty(60_000, np.int64)
    _kernels.binomials(_kernels.stream_key(7, n), n, p, drawn)
    assert drawn.min() >= 0
    assert drawn.max() <= n
    mass = stats.binom.pmf(np.arange(n + 1), n, p) * len(drawn)
    counts = np.bincount(drawn, minlength=n + 1)
    last = np.searchsorted(np.cumsum(mass), np.arange(20, len(drawn), 20))
    starts = np.unique([0, *(value + 1 for value in last if value < n)])
    expected, seen = np.add.reduceat(mass, starts), np.add.reduceat(counts, starts)
    kept = expected > 5
    assert kept.sum() > 1
    statistic = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    assert stats.chi2.sf(statistic, kept.sum() - 1) > 1e-4
    assert counts[mass < 1e-9].sum() == 0


def test_probability_nought_and_no_trials_bring_nothing():
    drawn = np.ones(5, np.int64)
    _kernels.binomials(_kernels.stream_key(1), 100, 0.0, drawn)
    assert not drawn.any()


def test_streams_of_candidates_and_epochs_differ():
    keys = {int(_kernels.stream_key(seed, epoch)) for seed in range(40) for epoch in range(40)}
    assert len(keys) == 1600
    assert _kernels.stream_key(1, 2) != _kernels.stream_key(2, 1)
    rates = np.full((50, 3), 0.5)
    rewards, streams = np.empty((50, 3), np.float32), np.empty((50, 4), np.uint64)
    trials = _kernels.Trials(np.arange(3), np.full(3, 10**12), np.full(3, 1e-12))
    _kernels.draw_rewards(50, rates, trials, _kernels.stream_key(3), streams, rewards)
    assert len(np.unique(streams)) == 200


def case(seed, dtype):
    """A random landscape, and sparse counts."""
    rng = np.random.default_rng(seed)
    K, G, P, C = 6, int(rng.integers(2, 12)), int(rng.integers(1, 12)), int(rng.integers(3, 9))
    dense = rng.integers(0, 4, (C, G)) * (rng.random((C, G)) < 0.5)
    indptr = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))])
    matrix = (indptr, np.nonzero(dense)[1].astype(np.uint32), dense[dense > 0].astype(np.float64))
    floor, curvature = rng.uniform(1e-3, 1e-2, G), rng.uniform(1e-3, 1e-1, G)
    p_max = np.where(rng.random(G) < 0.5, 3 / 4, 15 / 16)
    x, optimum = rng.normal(size=(K, G, P)).astype(dtype), rng.normal(size=(G, P)).astype(dtype)
    return dense, matrix, floor, curvature, p_max, -rng.random(C), x, optimum


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_rates_are_those_of_the_formulas(seed, dtype, tolerance):
    dense, matrix, floor, curvature, p_max, fixed, x, optimum = case(seed, dtype)
    K, G, P = x.shape
    excess = curvature * ((x.astype(np.float64) - optimum.astype(np.float64)) ** 2).mean(axis=2)
    p = p_max * (1 - np.exp(-(floor + excess) / p_max))
    expected = (1 - np.exp(np.log(1 - p / p_max) @ dense.T + fixed)) / 2
    weight = np.random.default_rng(seed).random(len(fixed))
    out = _kernels.Evaluated(np.empty((K, G)), np.empty((K, len(fixed))), np.empty(K))
    landscape = _kernels.Landscape(floor / p_max, curvature / (p_max * P))
    for chunk in (K, 2):
        _kernels.evaluate(chunk, x, optimum, landscape, _kernels.Rates(*matrix, fixed, weight), out)
        np.testing.assert_allclose(out.rates, expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(p_max * (1 - np.exp(-out.exponents)), p, rtol=0, atol=tolerance)
        np.testing.assert_allclose(out.costs, expected @ weight, rtol=0, atol=10 * tolerance)


def test_what_threads_are_given_does_not_change_what_is_drawn():
    rng = np.random.default_rng(5)
    rates = rng.uniform(0, 0.5, (7, 5))
    trials = _kernels.Trials(np.array([0, 0, 1, 2, 2]), np.array([50, 10, 400, 7, 3000]), np.full(5, 1e-3))
    streams = np.empty((7, 4), np.uint64)
    drawn = []
    for chunk in (7, 3, 1):
        rewards = np.full((7, 3), np.nan, np.float32)
        _kernels.draw_rewards(chunk, rates, trials, _kernels.stream_key(9), streams, rewards)
        drawn.append(rewards)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_parameters_that_are_not_finite_are_told_by_their_candidate():
    _, matrix, floor, curvature, p_max, fixed, x, optimum = case(1, np.float64)
    K, G, P = x.shape
    x[2, 0, 0], x[4, 1, 0], x[5, 0, 0] = np.nan, np.inf, 1e200
    out = _kernels.Evaluated(np.empty((K, G)), np.empty((K, len(fixed))), np.empty(K))
    landscape = _kernels.Landscape(floor / p_max, curvature / (p_max * P))
    _kernels.evaluate(K, x, optimum, landscape, _kernels.Rates(*matrix, fixed, np.ones(len(fixed))), out)
    assert np.flatnonzero(np.isnan(out.costs)).tolist() == [2, 4, 5]
