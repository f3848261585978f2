"""Fits to records whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qecforge_surface_steering.reproduction.fits import (
    Missing,
    counting_variance,
    exponential,
    falls_to,
    fluctuation,
    log_log_slope,
    octaves,
    slope_through_origin,
    spectrum,
    upper_corner,
    vanishes_at,
)

T = np.arange(0, 500, 5)


def test_slope_through_origin_weights_by_counting_errors():
    x = np.array([1.0, -1.0, 2.0])
    assert slope_through_origin(x, 3 * x, np.ones(3)) == pytest.approx(3)
    by_hand = (1 * 3.5 / 0.25 + 2 * 6 / 1) / (1 / 0.25 + 4 / 1)
    y, error = np.array([3.5, 100.0, 6.0]), np.array([0.5, math.nan, 1.0])
    assert slope_through_origin(x, y, error) == pytest.approx(by_hand)
    assert slope_through_origin(x[:1], y[:1], error[:1]) == Missing("fewer than two directions with errors counted")


@pytest.mark.parametrize("rate", [1 / 7, 1 / 40, 1 / 130, 1 / 450])
def test_an_exponential_is_found_again(rate):
    fit = exponential(T, 0.9 + (0.1 - 0.9) * np.exp(-rate * T))
    assert (fit.start, fit.end, fit.rate) == pytest.approx((0.1, 0.9, rate), rel=1e-4)
    assert fit.at(np.array([0.0])) == pytest.approx([0.1], rel=1e-4)


def test_a_noisy_exponential_is_found_within_its_error():
    rng = np.random.default_rng(1)
    rates = [exponential(T, np.exp(-T / 100) + 0.05 * rng.standard_normal(len(T))).rate for _ in range(50)]
    assert np.mean(rates) == pytest.approx(1 / 100, rel=0.03)


def test_points_without_an_error_bar_do_not_count():
    y = np.exp(-T / 50)
    y[10], error = 99.0, np.full(len(T), 0.1)
    error[10] = 0.0
    assert exponential(T, y, error).rate == pytest.approx(1 / 50, rel=1e-4)


@pytest.mark.parametrize(
    ("t", "y", "reason"),
    [
        (T[:4], np.exp(-T[:4]), "4 points, 5 are needed"),
        (T, np.ones(len(T)), "nothing changes"),
        (T, 1.0 * T, "slower than the record is long"),
        (T, (T == 0) * 1.0, "faster than the record tells"),
        (T, np.exp(-T / 50) + 3 * np.random.default_rng(0).standard_normal(len(T)), "hidden in the scatter"),
    ],
)
def test_what_is_no_exponential_says_why(t, y, reason):
    assert exponential(t, y) == Missing(reason)


def test_crossings_are_interpolated():
    t, y = np.array([0, 10, 20]), np.array([1.0, 0.5, 0.0])
    assert falls_to(t, y, 0.25) == 15
    assert falls_to(t, y, 1.0) == 0
    assert falls_to(t, y, -1.0) == Missing("not reached")


def test_where_an_improvement_vanishes():
    f = np.array([0.001, 0.01, 0.1])
    assert vanishes_at(f, np.array([1.0, 0.5, -0.5])) == pytest.approx(0.01 * math.sqrt(10))
    assert vanishes_at(f, np.array([1.0, 0.5, 0.2])) == Missing("above 0.1")
    assert vanishes_at(f, np.array([-1.0, 0.5, 0.2])) == Missing("below 0.001")
    assert vanishes_at(f[:1], np.ones(1)) == Missing("fewer than two frequencies")


def test_counting_variance_is_that_of_simulated_counts():
    rng, shots, per_shot, rounds = np.random.default_rng(0), 2000, 0.2, 25
    errors = rng.binomial(shots, per_shot, 20_000)
    sampled = (1 - (1 - 2 * errors / shots) ** (1 / rounds)) / 2
    (expected,) = counting_variance(np.array([per_shot * shots]), np.array([shots]), rounds)
    assert np.var(sampled) == pytest.approx(expected, rel=0.05)
    assert counting_variance(np.array([0]), np.array([100]), 1)[0] == pytest.approx(0.5 / 101 * 100.5 / 101 / 100)


def test_fluctuation_is_without_counting_noise():
    rng = np.random.default_rng(0)
    truth = np.sin(np.linspace(0, 40 * np.pi, 4000))
    assert fluctuation(truth) == pytest.approx(math.sqrt(0.5), rel=1e-3)
    assert fluctuation(truth + 2 * rng.standard_normal(4000), 4.0) == pytest.approx(math.sqrt(0.5), rel=0.15)
    assert fluctuation(truth, 1.0) == Missing("fluctuation within counting noise")
    assert fluctuation(0.1 + 1e-12 * truth) == Missing("does not fluctuate")
    assert fluctuation(truth[:2]) == Missing("fewer than three points in time")


def test_spectrum_of_white_noise_is_twice_variance_times_spacing():
    noise = 3 * np.random.default_rng(0).standard_normal(100_000)
    frequencies, density = spectrum(noise, 8.0)
    assert density.mean() == pytest.approx(2 * 9 * 8, rel=0.03)
    assert (frequencies[0], frequencies[-1]) == pytest.approx((1 / 800_000, 1 / 16))


def test_octaves_are_means():
    x, y = octaves(np.arange(1, 8.0), np.array([1, 2, 4, 1, 1, 1, 3.0]))
    assert x == pytest.approx([1, math.sqrt(6), (4 * 5 * 6 * 7) ** 0.25])
    assert y == pytest.approx([1, 3, 1.5])


def test_the_corner_of_a_first_order_filter_is_found():
    f = np.arange(1, 2001) / 4000
    corner = upper_corner(f, (f / 0.02) ** 2 / (1 + (f / 0.02) ** 2))
    assert corner == pytest.approx(0.02, rel=0.1)
    assert upper_corner(f, np.ones(2000)) == Missing("below 0.00025")
    assert isinstance(upper_corner(f, 0 * f), Missing)
    assert upper_corner(f[:1], f[:1]) == Missing("fewer than two octaves")


def test_exponent_of_a_power_law():
    d = [3, 5, 7, 9]
    found = log_log_slope(d, [0.1 * x**-0.5 for x in d])
    assert found.estimate == pytest.approx(-0.5)
    assert found.low == pytest.approx(found.high)
    noisy = log_log_slope(d, [0.1, 0.11, 0.095, 0.1])
    assert noisy.low < 0 < noisy.high
    flat = log_log_slope(d, [0.1] * 4)
    assert (flat.low, flat.estimate, flat.high) == (0, 0, 0)
    assert log_log_slope([3, 3, 3], [1, 1, 1]) == Missing("fewer than three points")
