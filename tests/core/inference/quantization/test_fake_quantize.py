"""Fake quantisation is the integers, to the bit."""

import numpy as np
import pytest
import torch
from fake_networks import fake, logits_of, network, observations
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import run_reference
from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge.learning.activations import ACTIVATIONS


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.sampled_from(ACTIVATIONS),
    st.integers(2, 8),
    st.booleans(),
    st.sampled_from(["per_tensor", "per_channel"]),
    st.sampled_from(["minmax", "percentile", "mse"]),
    st.integers(0, 1000),
)
def test_logits_are_those_of_the_integers(sizes, activation, bits, bit_inputs, granularity, ranges, seed):
    x = observations(200, sizes[0], bits=bit_inputs, seed=seed)
    module = fake(
        network(*sizes, activation=activation, seed=seed), x, bits=bits, granularity=granularity, activations=ranges
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():  # as if it had been trained
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    mlp = to_integer(module, "test")
    expected, got = run_reference(mlp, x), logits_of(module, x)
    assert mlp.takes_bits == bit_inputs
    same = (expected == got).all(axis=1)
    assert same.mean() >= 0.99  # a table entry on an edge may differ by what torch's vectors round otherwise
    assert (np.abs(expected - got) <= mlp.layers[-1].sum_scale * 127).all()


def test_the_whole_network_to_the_bit():
    """At the size of the argmax-preserving quantization paper's policy, no exception."""
    x = observations(512, 96)
    module = fake(network(96, 512, 512, 256, 120), x)
    np.testing.assert_array_equal(run_reference(to_integer(module, "test"), x), logits_of(module, x))


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_divided_networks_are_integers_with_a_table_for_each_output(granularity):
    x = observations(300, 20)
    net = network(20, 32, 24, 9)
    module = FakeQuantizedMlp(read_mlp(net), takes_levels=True, granularity=granularity)
    generator = torch.Generator().manual_seed(3)
    for number, width in enumerate((32, 24)):
        module.divide(
            number,
            torch.rand(width, generator=generator) + 0.5,
            torch.rand(width, generator=generator) * 3 + 0.2,
        )
    module.calibrate(x)
    mlp = to_integer(module, "test")
    assert [layer.table.shape for layer in mlp.layers[:-1]] == [(32, 256), (24, 256)]
    np.testing.assert_array_equal(run_reference(mlp, x), logits_of(module, x))
    assert np.abs(logits_of(module, x) - logits_of(net, x.astype(np.float32))).max() < 0.02


def test_more_bits_are_closer():
    x = observations(300, 20, bits=False)
    net = network(20, 32, 24, 9)
    errors = [np.abs(logits_of(fake(net, x, bits=bits), x) - logits_of(net, x)).mean() for bits in range(2, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 20


def test_large_biases_of_small_weights_fit():
    net = network(6, 5, 3)
    with torch.no_grad():
        net[0].weight[2] = 1e-12
        net[0].bias[2] = 50.0
        net[2].weight[1] = 0.0
        net[2].bias[1] = -1e4
    x = observations(64, 6)
    for granularity in ("per_tensor", "per_channel"):
        module = fake(net, x, granularity=granularity)
        np.testing.assert_array_equal(run_reference(to_integer(module, "test"), x), logits_of(module, x))
    np.testing.assert_allclose(logits_of(module, x)[:, 1], -1e4, rtol=1e-6)


def test_before_calibration_it_is_refused():
    module = FakeQuantizedMlp(read_mlp(network(3, 2)))
    for use in (lambda: module(torch.zeros(1, 3)), lambda: to_integer(module, "test")):
        with pytest.raises(ConfigurationError, match="no step sizes yet"):
            use()


@pytest.mark.parametrize("bits", [1, 9])
def test_other_bits_are_refused(bits):
    with pytest.raises(ConfigurationError, match="expected 2 to 8"):
        FakeQuantizedMlp(read_mlp(network(3, 2)), bits=bits)


def test_calibration_outside_the_levels_is_refused():
    module = FakeQuantizedMlp(read_mlp(network(3, 2)), takes_levels=True, bits=2)
    with pytest.raises(ConfigurationError, match="got observations from 4 to 4, expected whole numbers 0 to 3"):
        module.calibrate(np.full((20, 3), 4, np.uint8))


def test_a_diverged_training_is_refused():
    x = observations(64, 6)
    module = fake(network(6, 5, 3), x)
    with torch.no_grad():
        module.layers[1].weight[0, 0] = torch.nan
    with pytest.raises(ConfigurationError, match="test: layer 1 holds weights or steps that are not finite"):
        to_integer(module, "test")


@pytest.mark.parametrize(
    ("array", "bits", "expected"),
    [
        (np.array([[0, 1]], np.uint8), 2, True),
        (np.array([[0, 4]], np.uint8), 2, False),
        (np.array([[-1, 1]], np.int8), 8, False),
        (np.array([[True]]), 2, True),
        (np.array([[0.0, 1.0]]), 8, False),
        (np.zeros((0, 3), np.uint8), 8, False),
    ],
)
def test_holds_levels(array, bits, expected):
    assert holds_levels(array, bits) is expected


@pytest.mark.parametrize(("bits", "inputs"), [(8, 388), (7, 1572), (6, 6442)])
def test_the_greatest_sums_of_a_layer_are_exact_up_to_its_widest(bits, inputs):
    """Weights of one sign at their highest level, states near theirs, and the greatest bias."""
    rng = np.random.default_rng(bits)
    top, greatest = 2**bits - 1, 2 ** (bits - 1) - 1
    module = nn.Sequential(nn.Linear(inputs, 4))
    with torch.no_grad():
        module[0].weight.fill_(1.0)
        module[0].weight[:, :9].uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(bits))
        module[0].bias.fill_(2.0**22 / greatest)
    x = (top - rng.integers(0, 2, (64, inputs)) * (rng.random((64, inputs)) < 0.05)).astype(np.uint8)
    module = fake(module, x, bits=bits)
    mlp = to_integer(module, "test")
    sums = x.astype(np.int64) @ mlp.layers[0].weight.T.astype(np.int64) + mlp.layers[0].bias
    assert 0.97 * 2**24 < sums.max() <= 2**24
    assert (sums % 2 == 1).any()
    np.testing.assert_array_equal(run_reference(mlp, x), logits_of(module, x))
