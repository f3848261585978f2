"""Gradients of weights and steps are those of the documented surrogate."""

import numpy as np
import pytest
import torch
from fake_networks import fake, logits_of, network, observations, train
from torch import nn

from qecforge.inference.integer import Levels, run_reference
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.step_sizes import ActivationLevels, FakeQuantizedLinear, round_ste, scale_gradient


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
