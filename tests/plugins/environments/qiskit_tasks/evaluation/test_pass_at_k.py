"""pass@k and its intervals, by hand and by brute force."""

import itertools
from math import comb, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.evaluation.statistics import mean_pass_at_k, paired_difference, pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(1, 0, 1, 0.0), (1, 1, 1, 1.0), (4, 1, 1, 0.25), (4, 1, 2, 0.5), (5, 2, 2, 0.7), (20, 3, 20, 1.0), (20, 0, 20, 0)],
)
def test_pass_at_k_by_hand(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-15)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_choices_with_one_that_passed(case):
    n, c, k = case
    chosen = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen), abs=1e-12)


def test_pass_at_k_of_many_completions_does_not_lose_its_digits():
    assert pass_at_k(2000, 1, 1) == pytest.approx(1 / 2000, rel=1e-12)
    assert pass_at_k(100_000, 50_000, 100) == 1.0 - comb(50_000, 100) / comb(100_000, 100)


@pytest.mark.parametrize(
    ("n", "c", "k", "said"),
    [(5, 1, 10, "pass@10: a task has 5 completions"), (5, 1, 0, "pass@0"), (5, 6, 1, "6 of 5"), (5, -1, 1, "-1 of 5")],
)
def test_pass_at_k_refuses_what_cannot_be(n, c, k, said):
    with pytest.raises(ConfigurationError, match=said):
        pass_at_k(n, c, k)


def test_the_published_figure_and_its_interval():
    """43 of 151: 28.48 %, from 22 % to 36 %."""
    rate = mean_pass_at_k([1.0] * 43 + [0.0] * 108)
    assert rate.estimate == 43 / 151
    assert (round(rate.low, 2), round(rate.high, 2)) == (0.21, 0.36)
    assert rate.method == "bootstrap"


def test_the_bootstrap_is_that_of_all_resamples():
    """Of ten tasks with the values 0, 0.4 and 1, a resample is how often each of the three is drawn: 66 outcomes, whose
    probabilities are multinomial."""
    counts = {0.0: 5, 0.4: 2, 1.0: 3}
    outcomes = []
    for a in range(11):
        for b in range(11 - a):
            c = 10 - a - b
            chance = comb(10, a) * comb(10 - a, b) * 0.5**a * 0.2**b * 0.3**c
            outcomes.append(((0.4 * b + c) / 10, chance))
    outcomes.sort()
    reached = np.cumsum([chance for _, chance in outcomes])
    means = [mean for mean, _ in outcomes]
    rate = mean_pass_at_k([value for value, count in counts.items() for _ in range(count)])
    assert rate.method == "bootstrap"
    assert rate.low == pytest.approx(means[int(np.searchsorted(reached, 0.025))], abs=0.021)
    assert rate.high == pytest.approx(means[int(np.searchsorted(reached, 0.975))], abs=0.021)


@pytest.mark.parametrize(("values", "successes"), [([1, 0, 0], 1), ([1, 1, 0, 0, 0, 0, 0], 2), ([0] * 30, 0)])
def test_few_tasks_have_wilsons_interval(values, successes):
    from qecforge.evaluation.statistics import wilson_interval

    rate, expected = mean_pass_at_k(values), wilson_interval(successes, len(values))
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high))
    assert rate.method == "wilson"


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_tasks_of_one_value_do_not_pretend_to_be_certain(value):
    rate = mean_pass_at_k([value] * 10)
    assert rate.method == "wilson"
    assert rate.estimate == value
    assert rate.high - rate.low > 0.25
    assert 0 <= rate.low <= value <= rate.high <= 1


def test_no_task_has_no_rate():
    rate = mean_pass_at_k([])
    assert isnan(rate.estimate)
    assert rate.method == "none"


def test_an_interval_covers_in_about_its_share_of_samples():
    rng = np.random.default_rng(3)
    rates = [mean_pass_at_k(rng.binomial(20, rng.beta(0.5, 0.5, 60)) / 20) for _ in range(120)]
    covered = sum(rate.low <= 0.5 <= rate.high for rate in rates)
    assert 105 <= covered <= 120


def test_a_comparison_of_passes_is_the_sign_test():
    """Nine tasks for the first, one for the second: 2 (1 + 10) / 2^10. Those where both agree do not matter."""
    found = paired_difference([1] * 9 + [0] * 1 + [1] * 40, [0] * 9 + [1] * 1 + [1] * 40)
    assert found.p_value == pytest.approx(22 / 1024)
    assert found.exact
    assert (found.tasks, found.higher, found.lower) == (50, 9, 1)
    assert found.interval.estimate == pytest.approx(8 / 50)
    assert 0.03 < found.interval.low < 8 / 50 < found.interval.high < 0.30


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=7))
def test_exact_exchanges_by_brute_force(pairs):
    first, second = [a / 4 for a, _ in pairs], [b / 4 for _, b in pairs]
    observed = abs(sum(a - b for a, b in pairs))
    signs = list(itertools.product([1, -1], repeat=len(pairs)))
    far = sum(abs(sum(s * (a - b) for s, (a, b) in zip(sign, pairs, strict=True))) >= observed for sign in signs)
    assert paired_difference(first, second).p_value == pytest.approx(far / len(signs))


def test_drawn_exchanges_agree_with_the_sign_test():
    """30 tasks of which the first has 21: 2 P(X >= 21) of 30 fair coins is 0.0428."""
    found = paired_difference([1] * 21 + [0] * 9, [0] * 21 + [1] * 9)
    assert not found.exact
    expected = 2 * sum(comb(30, x) for x in range(21, 31)) / 2**30
    assert found.p_value == pytest.approx(expected, abs=4 * (expected / 99_999) ** 0.5)


def test_equal_models_do_not_differ():
    found = paired_difference([0.5, 1.0], [0.5, 1.0])
    assert (found.p_value, found.interval.low, found.interval.high) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0])])
def test_a_comparison_needs_the_same_tasks(first, second):
    with pytest.raises(ConfigurationError, match="expected the same"):
        paired_difference(first, second)
