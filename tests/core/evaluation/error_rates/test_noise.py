from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.noise import TWO_QUBIT_PAULIS, Noise, canonical_noise

NOISE = TypeAdapter(Noise)


def channels(noise, p):
    return NOISE.validate_python(noise).channels(p)


def test_depolarizing_spreads_each_strength_evenly():
    c = channels("depolarizing", 0.03)
    assert c.gate1 == c.data == pytest.approx((0.01, 0.01, 0.01))
    assert c.gate2 == pytest.approx((0.002,) * 15)
    assert c.idle == pytest.approx((0.001,) * 3)
    assert (c.measurement, c.reset) == (0.03, 0.03)


def test_factors_multiply_p_at_their_place():
    c = channels({"model": "depolarizing", "gate1": 0.5, "gate2": 2, "measurement": 3, "reset": 0, "idle": 0}, 0.03)
    assert c.gate1 == pytest.approx((0.005,) * 3)
    assert sum(c.gate2) == pytest.approx(0.06)
    assert (c.measurement, c.reset, sum(c.idle)) == (pytest.approx(0.09), 0.0, 0.0)
    assert sum(c.data) == pytest.approx(0.03)


def test_bias_is_the_ratio_of_z_to_x():
    c = channels({"model": "biased", "eta": 5}, 0.07)
    assert c.data == pytest.approx((0.01, 0.01, 0.05))
    by_name = dict(zip(TWO_QUBIT_PAULIS, c.gate2, strict=True))
    assert by_name["IZ"] == by_name["ZI"] == by_name["ZZ"] == pytest.approx(5 * by_name["XY"])
    assert sum(c.gate2) == pytest.approx(0.07)


def test_without_bias_it_is_depolarizing():
    biased, plain = channels({"model": "biased", "eta": 1}, 0.01), channels("depolarizing", 0.01)
    assert biased.gate2 == pytest.approx(plain.gate2)
    assert biased.data == pytest.approx(plain.data)


@given(st.floats(1e-3, 1.0))
def test_amplitude_damping_is_the_papers_twirl(gamma):
    c = channels({"model": "amplitude_damping", "measurement": 0}, gamma)
    expected = (gamma / 4, gamma / 4, 0.5 - gamma / 4 - math.sqrt(1 - gamma) / 2)
    assert c.data == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert sum(c.gate2) == pytest.approx(1 - (1 - sum(expected)) ** 2)


def test_amplitude_damping_keeps_precision_at_small_gamma_and_reads_out_with_5p():
    c = channels("amplitude_damping", 1e-9)
    assert c.data[2] == pytest.approx(1e-18 / 16, rel=1e-6)
    assert c.measurement == pytest.approx(5e-9)
    assert c.reset == 0.0


def test_custom_names_each_pauli():
    c = channels({"model": "custom", "gate2": {"ZZ": 0.5}, "data": {"Y": 1}, "measurement": 2}, 0.1)
    assert c.gate2[TWO_QUBIT_PAULIS.index("ZZ")] == pytest.approx(0.05)
    assert sum(c.gate2) == pytest.approx(0.05)
    assert c.data == (0.0, 0.1, 0.0)
    assert c.measurement == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("thermal", "depolarizing"),
        ({"model": "biased", "eta": 0}, "greater than 0"),
        ({"model": "depolarizing", "gates": 1}, "gates"),
        ({"model": "depolarizing", "gate1": -1}, "greater than or equal to 0"),
        ({"model": "custom"}, "no fault at all"),
        ({"model": "custom", "gate2": {"II": 1}}, "two-qubit Paulis"),
        ({"model": "custom", "data": {"W": 1}}, "'X', 'Y' or 'Z'"),
    ],
)
def test_bad_noise_is_refused(noise, message):
    with pytest.raises(ValidationError, match=message):
        NOISE.validate_python(noise)


def test_a_probability_above_one_is_refused_with_its_place():
    with pytest.raises(ConfigurationError, match=r"noise\.measurement.*lower p"):
        channels({"model": "depolarizing", "measurement": 20}, 0.1)
    with pytest.raises(ConfigurationError, match="gamma"):
        channels({"model": "amplitude_damping", "gate1": 20}, 0.1)


def test_canonical_text_does_not_depend_on_how_it_was_written():
    short, long = NOISE.validate_python("biased"), NOISE.validate_python({"eta": 5, "idle": 0.1, "model": "biased"})
    assert canonical_noise(short) == canonical_noise(long)
    assert canonical_noise(NOISE.validate_json(canonical_noise(short))) == canonical_noise(short)
