import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import Levels
from qecforge.inference.quantization.observers import (
    MeanSquaredErrorObserver,
    MinMaxObserver,
    PercentileObserver,
    checked_calibration,
    levels_between,
    make_observer,
    weight_step,
)


def squared_error(levels, values):
    return float(np.square(levels.dequantize(levels.quantize(values)) - values).mean())


@pytest.mark.parametrize(
    ("low", "high", "bits", "expected"),
    [
        (0.0, 255.0, 8, Levels(1.0, 0, 8)),
        (-1.0, 2.0, 2, Levels(1.0, 1, 2)),
        (-7.5, 7.5, 4, Levels(1.0, 8, 4)),  # half to even: 7.5 -> 8
        (3.0, 30.0, 4, Levels(2.0, 0, 4)),  # 0 is always a level
        (-30.0, -3.0, 4, Levels(2.0, 15, 4)),
        (0.0, 0.0, 8, Levels(1.0, 0, 8)),
    ],
)
def test_levels_between_by_hand(low, high, bits, expected):
    assert levels_between(low, high, bits) == expected


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(2, 8))
def test_levels_hold_zero_exactly_and_the_range_within_a_step(one, other, bits):
    low, high = sorted((one, other))
    levels = levels_between(low, high, bits)
    assert levels.dequantize(levels.quantize(np.zeros(1)))[0] == 0.0
    if high - low > 1e-30:
        ends = np.array([low, high], np.float32)
        held = levels.dequantize(levels.quantize(ends))
        assert (np.abs(held - ends) <= 1.001 * levels.scale).all()


def test_minmax_sees_all_batches():
    observer = MinMaxObserver()
    observer.observe(torch.tensor([[-1.0, 0.5]]))
    observer.observe(torch.tensor([2.0]))
    assert observer.levels(2) == Levels(1.0, 1, 2)


def test_percentile_leaves_out_the_outermost():
    values = torch.linspace(-100, 100, 201)
    levels = PercentileObserver(90.0).levels
    with pytest.raises(ConfigurationError, match="nothing was observed"):
        levels(8)
    observer = PercentileObserver(90.0)
    observer.observe(values[:100])
    observer.observe(values[100:])
    assert observer.levels(8) == levels_between(-80.0, 80.0, 8)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_least_squared_error_is_at_most_that_of_the_full_range(bits):
    values = np.random.default_rng(0).standard_t(3, 5000).astype(np.float32)
    full, best = MinMaxObserver(), MeanSquaredErrorObserver()
    for observer in (full, best):
        observer.observe(torch.from_numpy(values))
    assert squared_error(best.levels(bits), values) < squared_error(full.levels(bits), values)


def test_a_nan_is_refused():
    for name in ("minmax", "percentile", "mse"):
        with pytest.raises(ConfigurationError, match="NaN"):
            make_observer(name).observe(torch.tensor([0.0, torch.nan]))
    with pytest.raises(ConfigurationError, match="expected one of minmax"):
        make_observer("median")


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        (np.zeros((15, 4)), "got 15 states, expected at least 16"),
        (np.zeros(()), "got 0 states"),
        (np.zeros((20, 5)), "got observations of 5 elements, expected 4"),
        (np.where(np.arange(80).reshape(20, 4) == 13, np.inf, 0.0), "1 of 20 states hold NaN or infinite"),
    ],
)
def test_bad_calibration_is_refused(observations, message):
    with pytest.raises(ConfigurationError, match=message):
        checked_calibration(observations, 4)


def test_calibration_is_flattened():
    assert checked_calibration(np.zeros((16, 2, 2), np.uint8), 4).shape == (16, 4)


def test_weight_steps_by_hand():
    weight = torch.tensor([[1.0, -7.0], [0.0, 0.0], [3.5, 1.0]])
    torch.testing.assert_close(weight_step(weight, 4, per_channel=True), torch.tensor([1.0, 1.0, 0.5]))
    torch.testing.assert_close(weight_step(weight, 4, per_channel=False), torch.tensor([1.0]))
    assert weight_step(torch.zeros(2, 2), 8, per_channel=True).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("per_channel", [False, True])
def test_weight_steps_of_least_error(per_channel):
    weight = torch.from_numpy(np.random.default_rng(0).standard_t(3, (6, 500)).astype(np.float32))

    def errors(by):
        step = weight_step(weight, 3, per_channel=per_channel, by=by).unsqueeze(1)
        return ((weight / step).round().clamp(-3, 3) * step - weight).square().mean(1)

    assert (errors("mse").mean() < errors("minmax").mean()).all()
    if per_channel:
        assert (errors("mse") <= errors("minmax")).all()
