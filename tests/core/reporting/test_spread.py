"""Numbers over seeds."""

import math

import numpy as np
import pytest

from qecforge.reporting.spread import Spread


def test_students_interval_is_by_hand():
    """t(0.975) is 12.7062 with one degree of freedom, 2.7764 with four."""
    pair = Spread.student([1.0, None, 3.0, math.nan])
    assert (pair.mean, pair.std, pair.seeds) == (2.0, pytest.approx(math.sqrt(2)), 2)
    assert (pair.low, pair.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), rel=1e-5)
    five = Spread.student([1.0, 2.0, 3.0, 4.0, 5.0])
    assert five.high - five.mean == pytest.approx(2.7764 * math.sqrt(2.5) / math.sqrt(5), rel=1e-4)


def test_one_number_is_its_own_interval_and_none_is_none():
    alone = Spread.student([0.5])
    assert (alone.mean, alone.low, alone.high, alone.seeds) == (0.5, 0.5, 0.5, 1)
    assert math.isnan(alone.std)
    assert Spread.student([None, math.nan]) is None


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_students_interval_holds_the_mean_as_often_as_it_says(seeds):
    rng = np.random.default_rng(seeds)
    found = [Spread.student(rng.standard_normal(seeds).tolist()) for _ in range(4000)]
    held = np.mean([each.low <= 0 <= each.high for each in found])
    assert held == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))
