"""Intervals that are printed hold the truth as often as they say."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from qecforge_surface_steering.decoding.logical import LogicalCounts, per_cycle
from qecforge_surface_steering.reproduction.fits import log_log_slope


def test_an_exponent():
    rng, trials = np.random.default_rng(0), 1000
    x = [3.0, 5.0, 7.0, 9.0]
    held = 0
    for _ in range(trials):
        found = log_log_slope(x, (np.array(x) ** -1.5 * np.exp(rng.normal(0.0, 0.2, 4))).tolist())
        held += found.low <= -1.5 <= found.high
    assert held / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_a_rate_per_cycle():
    """Exactly, without drawing."""
    shots, rounds, found = 200, 5, []
    errors = np.arange(shots + 1)
    intervals = [LogicalCounts(shots, int(each), rounds).interval() for each in errors]
    for rate in np.linspace(0.05, 0.45, 40):
        held = np.array([each.low <= per_cycle(rate, rounds) <= each.high for each in intervals])
        found.append(binom.pmf(errors, shots, rate)[held].sum())
    assert np.mean(found) == pytest.approx(0.95, abs=0.005)
    assert min(found) > 0.92
