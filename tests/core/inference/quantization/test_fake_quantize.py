"""Fake quantisation is the integers, to the bit; its gradients are those of the documented surrogate."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference.integer import Levels, run_reference
from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge.inference.quantization.observers import levels_between
from qecforge.inference.quantization.step_sizes import ActivationLevels, FakeQuantizedLinear, round_ste, scale_gradient
from qecforge.inference.quantization.student import StudentPolicy
from qecforge.learning.activations import ACTIVATIONS

MODULES = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}


def network(*sizes, activation="gelu", seed=0):
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), MODULES[activation]()]
    return nn.Sequential(*layers[:-1])


def observations(count, size, *, bits=True, seed=0):
    rng = np.random.default_rng(seed)
    if bits:
        return rng.integers(0, 2, (count, size)).astype(np.uint8)
    return rng.normal(0.3, 1.0, (count, size)).astype(np.float32)


def fake(module, x, **options):
    calibration = {name: options.pop(name) for name in ("activations", "weights") if name in options}
    found = FakeQuantizedMlp(read_mlp(module), takes_levels=holds_levels(x, options.get("bits", 8)), **options)
    found.calibrate(x, **calibration)
    return found


def logits_of(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


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


def levels_with(step, zero_point, *, bits=4, features=1):
    found = ActivationLevels(bits, features, learned=True, anchored=False)
    found.calibrate(torch.zeros(1, features), Levels(step, zero_point, bits))
    return found.double()


def test_rounding_passes_the_gradient():
    x = torch.tensor([0.5, 1.5, -2.4], requires_grad=True)
    y = round_ste(x)
    assert y.tolist() == [0.0, 2.0, -2.0]
    (y * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


def test_gradient_scale_changes_the_gradient_alone():
    x = torch.tensor([0.1], requires_grad=True)
    y = scale_gradient(x, 0.25)
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.item() == 0.25


def test_step_gradient_by_hand():
    """Eq. (3) of Esser et al.: round(v / s) - v / s inside, -Qn below, Qp above; times s for s = unit exp(theta)."""
    levels = levels_with(0.5, 5)  # Qn = 5, Qp = 10
    for value, slope in ((0.6, 1 - 1.2), (0.9, 2 - 1.8), (-1.1, -2 + 2.2), (-9.0, -5.0), (40.0, 10.0)):
        v = torch.tensor([[value]], dtype=torch.float64, requires_grad=True)
        step = levels.step()
        held = levels.quantize(v / step, step) * step
        dtheta, dv = torch.autograd.grad(held.sum(), [levels.log_step, v])
        assert float(dtheta) == pytest.approx(0.5 * slope)
        assert float(dv) == (1.0 if -2.5 <= value <= 5.0 else 0.0)


def surrogate(v, step, low, high, residue):
    """S clip(v / s + r, -Qn, Qp): the rounding r stays as it was at the point of the derivative."""
    return step * torch.where((v / step < low) | (v / step > high), (v / step).clamp(low, high), v / step + residue)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_step_gradients_against_finite_differences(bits):
    generator = torch.Generator().manual_seed(bits)
    v = torch.randn(64, 16, generator=generator, dtype=torch.float64)
    w = torch.randn(64, 16, generator=generator, dtype=torch.float64)
    levels = levels_with(3.0 / (1 << bits), 1 << (bits - 2), bits=bits, features=16)
    low = -(1 << (bits - 2))
    high = (1 << bits) - 1 + low
    step = levels.step()
    held = levels.quantize(v / step, step) * step
    (gradient,) = torch.autograd.grad((held.square() * w).sum(), [levels.log_step])
    s = float(step.detach())
    residue = (v / s).clamp(low, high).round() - (v / s).clamp(low, high)

    def loss(theta):
        return float((surrogate(v, s * torch.tensor(theta).double().exp(), low, high, residue).square() * w).sum())

    assert float(gradient) == pytest.approx((loss(1e-7) - loss(-1e-7)) / 2e-7, rel=1e-5)
    assert ((v / s < low) | (v / s > high)).any()


def test_layer_gradients_against_finite_differences():
    """All of a layer: weights per channel, bias and input step, in double precision, roundings held fixed."""
    generator = torch.Generator().manual_seed(0)
    inputs = levels_with(0.25, 6, features=5)
    layer = FakeQuantizedLinear(
        torch.randn(3, 5, generator=generator),
        torch.randn(3, generator=generator),
        inputs,
        None,
        bits=4,
        granularity="per_channel",
        learn_weights=True,
        learn_steps=True,
    )
    layer.calibrate_weights("mse")
    layer = layer.double()
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    c = torch.randn(40, 3, generator=generator, dtype=torch.float64)

    def forward():
        step = inputs.step()
        weight, bias, sum_scale = layer.integers(step)
        return nn.functional.linear(inputs.quantize(x / step, step), weight, bias) * sum_scale

    (forward() * c).sum().backward()
    with torch.no_grad():
        s, t = float(inputs.step()), layer.step(layer.bias, inputs.step()).clone()

        def residue(scaled, low, high):
            clipped = scaled.clamp(low, high)
            return clipped.round() - clipped

        x_residue = residue(x / s, -6, 9)
        w_residue = residue(layer.weight / t[:, None], -7, 7)
        b_residue = residue(layer.bias / (s * t), -np.inf, np.inf)

        def loss():
            ds, dt = inputs.step(), layer.step(layer.bias, inputs.step())
            held_x = surrogate(x, ds, -6, 9, x_residue)
            held_w = surrogate(layer.weight, dt[:, None], -7, 7, w_residue)
            held_b = layer.bias + b_residue * ds * dt
            return float(((held_x @ held_w.T + held_b) * c).sum())

        for parameter in (layer.weight, layer.bias, layer.log_weight_step, inputs.log_step):
            flat, gradient = parameter.view(-1), parameter.grad.view(-1)
            for index in range(len(flat)):
                kept = flat[index].item()
                found = []
                for change in (1e-6, -1e-6):
                    flat[index] = kept + change
                    found.append(loss())
                flat[index] = kept
                assert float(gradient[index]) == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-4, abs=1e-6)


def test_only_what_is_learned_is_a_parameter():
    x = observations(64, 6)
    names = {name.rsplit(".", 1)[-1] for name, _ in fake(network(6, 5, 3), x, learn_weights=False).named_parameters()}
    assert names == {"log_weight_step", "log_step"}
    frozen = fake(network(6, 5, 3), x, learn_weights=False, learn_weight_steps=False, learn_activation_steps=False)
    assert list(frozen.parameters()) == []
    assert fake(network(6, 5, 3), x).layers[0].inputs.log_step is None  # bits are exact


def train(module, x, steps, target):
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    module.train()
    for _ in range(steps):
        loss = (module(torch.from_numpy(x)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    return loss.item()


@pytest.mark.parametrize("bits", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_learned_steps_alone_bring_the_student_closer(bits):
    x = observations(256, 20)
    net = network(20, 32, 24, 9)
    target = net(torch.from_numpy(x).float()).detach()
    module = fake(net, x, bits=bits, learn_weights=False)
    before = (module(torch.from_numpy(x)) - target).square().mean().item()
    train(module, x, 150, target)
    with torch.no_grad():
        after = (module(torch.from_numpy(x)) - target).square().mean().item()
    assert after < 0.9 * before
    np.testing.assert_array_equal(run_reference(to_integer(module, "test"), x), logits_of(module, x))


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
