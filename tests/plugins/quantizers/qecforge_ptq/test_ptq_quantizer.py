import numpy as np
import pytest
import torch
from torch import nn

from qecforge.inference.integer import Levels
from qecforge.testing.quantizers import PerceptronPolicy
from qecforge_ptq import PtqConfig, make_ptq


def policy_of(*weights):
    """One input value after another layer: ReLUs between, no biases."""
    policy = PerceptronPolicy()
    layers = []
    for weight in weights:
        linear = nn.Linear(len(weight[0]), len(weight), bias=False)
        linear.weight.data = torch.tensor(weight)
        layers += [linear, nn.ReLU()]
    policy._module = nn.Sequential(*layers[:-1])
    return policy


def test_a_network_of_one_layer_by_hand():
    states = np.tile(np.array([[0, 1], [1, 0]], np.uint8), (8, 1))
    mlp = make_ptq(PtqConfig()).quantize(policy_of([[1.27, 0.5], [-0.1, 0.0]]), states).mlp
    (layer,) = mlp.layers
    np.testing.assert_array_equal(layer.weight, [[127, 50], [-10, 0]])
    np.testing.assert_allclose(layer.weight_scale, [0.01, 0.01], rtol=1e-6)
    np.testing.assert_array_equal(layer.bias, [0, 0])
    assert (layer.inputs, layer.outputs, layer.activation, mlp.method) == (Levels(1.0, 0), None, "none", "ptq")


def test_a_hidden_layer_by_hand():
    """States reach 0 and 1 on both inputs: pre-activations 2 x0 - x1 lie in -1..2, activations in 0..2."""
    states = np.tile(np.array([[0, 1], [1, 0], [1, 1]], np.uint8), (8, 1))
    mlp = make_ptq(PtqConfig()).quantize(policy_of([[2.0, -1.0]], [[1.0]]), states).mlp
    first, last = mlp.layers
    assert first.outputs == Levels(3.0 / 255.0, 85)
    assert last.inputs == Levels(2.0 / 255.0, 0)
    exact = np.clip((np.arange(256) - 85) * 1.5, 0, 255)
    assert (np.abs(first.table - exact) < 0.5 + 1e-4).all()


def test_steps_per_tensor_or_per_channel():
    policy, states = PerceptronPolicy(), np.random.default_rng(0).integers(0, 2, (64, 12)).astype(np.uint8)
    by_tensor = make_ptq(PtqConfig()).quantize(policy, states).mlp
    by_channel = make_ptq(PtqConfig(granularity="per_channel")).quantize(policy, states).mlp
    for one, other, linear in zip(by_tensor.layers, by_channel.layers, policy.module[::2], strict=True):
        greatest = linear.weight.detach().abs().numpy()
        np.testing.assert_allclose(one.weight_scale, greatest.max() / 127, rtol=1e-6)
        np.testing.assert_allclose(other.weight_scale, greatest.max(1) / 127, rtol=1e-6)
        assert (np.abs(other.weight).max(1) == 127).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_per_channel_and_least_error_do_better_than_the_paper_s_baseline(bits):
    policy = PerceptronPolicy(hidden=(64, 48))
    with torch.no_grad():
        policy.module[0].weight[5] *= 6.0  # an outlier
    states = np.random.default_rng(0).integers(0, 2, (512, 12)).astype(np.uint8)

    def error(**settings):
        found = make_ptq(PtqConfig(bits=bits, **settings)).quantize(policy, states)
        return float(np.square(found.logits(states) - policy.logits(states)).mean())

    baseline = error()
    assert error(granularity="per_channel") < baseline
    if bits == 4:
        assert error(granularity="per_channel", range="mse") < error(granularity="per_channel")


def test_percentile_clips():
    policy = PerceptronPolicy()
    states = np.random.default_rng(0).integers(0, 2, (512, 12)).astype(np.uint8)
    full = make_ptq(PtqConfig()).quantize(policy, states).mlp.layers[0].outputs
    clipped = make_ptq(PtqConfig(range="percentile", percentile=90.0)).quantize(policy, states).mlp.layers[0].outputs
    assert clipped.scale < 0.7 * full.scale
