"""Step sizes that are learned by themselves, and the width of pre-activations."""

import itertools

import numpy as np
import torch
from torch import nn

from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.learning.parameter_groups import adamw_of


def network(*sizes):
    torch.manual_seed(0)
    pairs = itertools.pairwise(sizes)
    layers = [part for fan_in, fan_out in pairs for part in (nn.Linear(fan_in, fan_out), nn.GELU())]
    return nn.Sequential(*layers[:-1])


def observations(count, size):
    return np.random.default_rng(0).integers(0, 2, (count, size)).astype(np.uint8)


def fake(module, x, **options):
    found = FakeQuantizedMlp(read_mlp(module), takes_levels=True, **options)
    found.calibrate(x)
    return found


def test_pre_activations_have_a_width_of_their_own():
    x = observations(64, 6)
    wide, narrow = (fake(network(6, 5, 3), x, bits=3, preactivation_bits=bits) for bits in (8, 3))
    assert [part.outputs.levels().bits for part in wide.parts()[:-1]] == [8]
    assert [part.outputs.levels().bits for part in narrow.parts()[:-1]] == [3]
    assert {part.inputs.bits for part in wide.parts()} == {3}
    assert [layer.outputs.bits for layer in to_integer(wide, "test").layers[:-1]] == [8]


def test_only_steps_have_a_group_of_their_own():
    module = fake(network(6, 5, 3), observations(64, 6), step_learning_rate=2e-3, step_epsilon=1e-11)
    (group,) = module.own_parameter_groups()
    assert {id(each) for each in group.parameters} == {
        id(each) for name, each in module.named_parameters() if name.endswith(("log_step", "log_weight_step"))
    }
    assert (group.learning_rate, group.epsilon) == (2e-3, 1e-11)


def test_the_loss_falls_where_steps_alone_are_trained():
    """Steps that are half of what they should be clip; learning widens them again."""
    net = network(6, 16, 3)
    x = observations(256, 6)
    module = fake(net, x, bits=3, learn_weights=False)
    for part in module.parts():
        part.weight_unit *= 0.5
    optimizer = adamw_of(module, learning_rate=1.0, epsilon=1e-5, weight_decay=0.5)
    inputs = torch.as_tensor(x, dtype=torch.float32)
    expected = net(inputs).detach()

    def loss():
        return (module(inputs) - expected).square().mean()

    before = loss().item()
    for _ in range(300):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.8 * before
    changes = module.step_changes()
    assert 0.05 < changes["step_change_mean"] <= changes["step_change_largest"] < 1.0
