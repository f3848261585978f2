"""Ranges that follow in training, outliers that are divided down, and students that go on from their state."""

import copy

import numpy as np
import pytest
import torch
from fake_networks import fake, logits_of, network, observations, train
from torch import nn

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference.integer import Levels, run_reference
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.observers import levels_between
from qecforge.inference.quantization.step_sizes import ActivationLevels
from qecforge.inference.quantization.student import StudentPolicy


def test_moving_averages_by_hand():
    activations = ActivationLevels(8, 2, learned=False, anchored=False)
    activations.calibrate(torch.tensor([[-1.0, 0.0], [-0.5, 1.0]]), Levels(1.0, 0))
    activations.observe(torch.tensor([[0.0, 5.0], [0.5, 1.0]]), 0.75, None)
    assert activations.unit_extents.tolist() == [[-0.75, 0.25], [-0.25, 2.0]]
    assert activations.extent.tolist() == [-0.75, 2.0]
    assert activations.levels() == levels_between(-0.75, 2.0, 8)
    activations.observe(torch.tensor([[-0.75, 2.0]]), 0.75, None)
    assert activations.extent.tolist() == [-0.75, 2.0]


def test_ranges_follow_in_training_alone():
    x = observations(64, 6)
    module = fake(network(6, 5, 3), x, momentum=0.5)
    module.layers[0].weight.data.mul_(10.0)
    frozen = float(module.layers[0].outputs.unit)
    module(torch.from_numpy(x))
    module.train()
    module(torch.from_numpy(x))  # not observing
    module.observe(True)
    with torch.no_grad():
        module(torch.from_numpy(x))  # no gradient: a rollout
    assert (float(module.layers[0].outputs.unit), int(module.passes)) == (frozen, 0)
    extent = module.layers[0].outputs.extent.clone()
    module(torch.from_numpy(x))
    assert int(module.passes) == 1
    with torch.no_grad():
        step = module.layers[0].inputs.step()
        weight, bias, scale = module.layers[0].integers(step)
        before = nn.functional.linear(torch.from_numpy(x).float(), weight, bias) * scale
    followed = module.layers[0].outputs.extent
    torch.testing.assert_close(followed, 0.5 * extent + 0.5 * torch.stack([before.min(), before.max()]))
    low, high = followed.tolist()
    assert float(module.layers[0].outputs.unit) == pytest.approx((high - low) / 255)
    assert float(module.layers[1].inputs.low) == pytest.approx(-0.16997, abs=1e-5)  # GELU's minimum
    module.observe(False)
    module(torch.from_numpy(x))
    assert int(module.passes) == 1


def outlying(x):
    net = network(6, 8, 3)
    with torch.no_grad():
        net[0].weight[2] *= 40.0
    return fake(net, x, rescale_above=2.0, rescale_every=2)


def test_outliers_are_divided_down_and_the_network_stays_equal():
    x = observations(64, 6)
    module = outlying(x)
    before = module.layers[1].inputs.unit_extents.abs().amax(0)
    assert before[2] > 2 * before.median()
    logits = logits_of(module, x)
    coarse = float(module.layers[1].inputs.unit)
    module.observe(True)
    module.train()
    for _ in range(2):
        module(torch.from_numpy(x))
    module.eval()
    divisor = module.layers[1].input_divisor
    torch.testing.assert_close(divisor, module.layers[0].output_divisor)
    assert divisor[2] > 2.0
    assert (divisor == 1.0).sum() >= 4
    assert float(module.layers[1].inputs.unit) < coarse / 2
    after = module.layers[1].inputs.unit_extents.abs().amax(0)
    assert after.max() <= 2.05 * before.median()
    np.testing.assert_allclose(logits_of(module, x), logits, atol=0.1)
    mlp = to_integer(module, "test")
    assert mlp.layers[0].table.shape == (8, 256)
    np.testing.assert_array_equal(run_reference(mlp, x), logits_of(module, x))


def test_training_goes_on_from_its_state_bit_for_bit():
    x = observations(64, 6)
    target = torch.zeros(64, 3)

    def student():
        module = outlying(x)
        module.observe(True)
        return StudentPolicy(module, nn.Linear(6, 1))

    whole, first, second = student(), student(), student()
    rates = [0.01, 0.01, 0.01, 0.01, 0.01]

    def descend(policy, steps):
        policy.module.train()
        for rate in steps:
            policy.module.zero_grad()
            (policy.module(torch.from_numpy(x)) - target).square().mean().backward()
            with torch.no_grad():
                for parameter in policy.module.parameters():
                    parameter.sub_(rate * parameter.grad)
        policy.module.eval()

    descend(whole, rates)
    descend(first, rates[:3])
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    descend(second, rates[3:])
    for name, tensor in whole.state_dict().items():
        if not name.startswith("value."):
            assert torch.equal(tensor, second.state_dict()[name]), name


def test_student_acts_and_refuses_foreign_weights():
    x = observations(64, 6)
    policy = StudentPolicy(fake(network(6, 5, 3), x), start=4)
    logits = logits_of(policy.module, x)
    np.testing.assert_array_equal(policy.act(x), logits.argmax(-1) + 4)
    mask = np.ones((64, 3), np.bool_)
    mask[np.arange(64), logits.argmax(-1)] = False
    assert (policy.act(x, action_mask=mask) != policy.act(x)).all()
    drawn = policy.act(np.repeat(x[:1], 20_000, 0), deterministic=False, rng=np.random.default_rng(0)) - 4
    chances = np.exp(logits[0]) / np.exp(logits[0]).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, chances, atol=0.02)
    with pytest.raises(ConfigurationError, match="rng is missing"):
        policy.act(x, deterministic=False)
    other = StudentPolicy(fake(network(6, 4, 3), x))
    with pytest.raises(CheckpointError, match="has shape"):
        policy.load_state_dict(other.state_dict())
    with pytest.raises(CheckpointError, match="names differ"):
        policy.load_state_dict({})


def test_copies_share_nothing():
    x = observations(64, 6)
    module = fake(network(6, 5, 3), x)
    twin = copy.deepcopy(module)
    before = logits_of(module, x)
    train(twin, x, 3, torch.zeros(64, 3))
    np.testing.assert_array_equal(logits_of(module, x), before)
    assert (logits_of(twin, x) != before).any()
