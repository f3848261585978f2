"""`benchmarks/fitted_priors.py`: its arithmetic, and that fitted priors come near the device's own."""

import runpy
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).resolve().parents[5] / "benchmarks" / "fitted_priors.py"


@pytest.fixture(scope="module")
def benchmark():
    return runpy.run_path(str(BENCHMARK))


def test_shares_and_their_errors(benchmark):
    """Of 100 errors the fit avoids 18 and the own prior 20; the error is that of the ratio, by drawing it."""
    covariance = np.array([[90.0, 75.0, 70.0], [75.0, 80.0, 72.0], [70.0, 72.0, 78.0]])
    found = benchmark["Shares"](np.array([1000.0, 820.0, 800.0]), covariance, 10_000)
    assert found.gains == pytest.approx((0.18, 0.2))
    drawn = np.random.default_rng(0).multivariate_normal(found.failing, covariance, 200_000)
    ratio = (drawn[:, 0] - drawn[:, 1]) / (drawn[:, 0] - drawn[:, 2])
    assert found.share == pytest.approx((0.9, ratio.std()), rel=0.01)


def test_priors_fitted_to_events_alone_reach_nine_tenths_of_the_ceiling(benchmark):
    """Three devices of spread 1; an interval of two standard errors that lies above 0.8 and holds no less than 0.9."""
    found = benchmark["shares"](1.0, range(201, 204), recorded=50_000, judged=100_000)
    gain, ceiling = found.gains
    share, error = found.share
    assert ceiling > 0.04
    assert share > 0.9
    assert share - 2 * error > 0.8
    assert gain == pytest.approx(share * ceiling)
