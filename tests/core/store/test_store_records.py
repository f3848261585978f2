"""Intervals against other implementations of the same formulas, and what importing the store costs."""

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import sinter
from hypothesis import given
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import ErrorRate, Interval, Store
from qecforge.testing.store import example_code, example_run, example_task


def rate_of(shots, errors, discards=0):
    task = example_task(example_code())
    counts = ErrorCounts(shots=shots, errors=errors, discards=discards)
    return ErrorRate(task_id=task.task_id, code_id="c", task=task, counts=counts, chunks=1)


def test_wilson_golden():
    """Brown, Cai, DasGupta (2001), eq. (4), by hand: n = 10, x = 1, z = 1.959964."""
    interval = rate_of(shots=12, errors=1, discards=2).interval
    assert interval.low == pytest.approx(0.0178762131, abs=1e-9)
    assert interval.high == pytest.approx(0.4041500268, abs=1e-9)


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_is_scipys(shots, fraction, confidence):
    errors = round(shots * fraction)
    ours = rate_of(shots, errors).wilson(confidence)
    theirs = scipy.stats.binomtest(errors, shots).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=1e-9)
    assert 0 <= ours.low <= errors / shots <= ours.high <= 1


@pytest.mark.parametrize(("shots", "errors"), [(1000, 0), (1000, 1), (1000, 500), (1000, 1000), (0, 0)])
def test_likelihood_is_sinters(shots, errors):
    theirs = sinter.fit_binomial(num_shots=shots, num_hits=errors, max_likelihood_factor=1000)
    assert rate_of(shots, errors).likelihood() == Interval(theirs.low, theirs.high)


def test_without_shots_anything_is_possible():
    nothing = rate_of(shots=5, errors=0, discards=5)
    assert math.isnan(nothing.rate)
    assert nothing.interval == Interval(0.0, 1.0)
    with pytest.raises(ConfigurationError, match="confidence: got 1"):
        nothing.wilson(1.0)


def test_the_interval_of_a_mean_is_scipys():
    values = [0.1, 0.4, 0.35, 0.8, 0.52, 0.47]
    with Store("sqlite://") as store:
        runs = [example_run(store, f"{index:02x}", seed=index) for index in range(len(values))]
        for run, value in zip(runs, values, strict=True):
            store.add_policy_evaluation(run.id, "top1", value)
        (ours,) = store.compare(runs, "top1", confidence=0.9)
    theirs = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (ours.mean, ours.std) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_opening_a_store_imports_nothing_heavy(tmp_path):
    """The CLI opens a store at each start."""
    Store(tmp_path / "results.db").close()
    script = (
        "import sys; from qecforge.store import Store; Store(sys.argv[1]).runs(); "
        "print([name for name in ('alembic', 'pandas', 'scipy', 'sinter', 'stim', 'torch', 'numba', 'psycopg')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{tmp_path}/results.db"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
