"""The tangential network: its compiled fit against torch's Adam, what it learns, its derivative."""

import numpy as np
import pytest
import torch

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum.tangential import TangentialNetwork


def network(inputs=220, outputs=10, hidden=2048, seed=0, **given):
    generator = torch.Generator().manual_seed(seed)
    return TangentialNetwork(inputs, outputs, hidden=hidden, generator=generator, **given)


def as_torch(fitted):
    """The same network of torch's own layers, in the same state."""
    first = torch.nn.Linear(fitted.inputs, fitted.hidden)
    second = torch.nn.Linear(fitted.hidden, fitted.outputs)
    with torch.no_grad():
        first.weight.copy_(fitted.weight)
        first.bias.copy_(fitted.bias)
        second.weight.copy_(fitted.out_weight)
        second.bias.copy_(fitted.out_bias)
    return torch.nn.Sequential(first, torch.nn.LeakyReLU(), second)


def batch(samples, inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, (samples, inputs)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy((rng.random((samples, outputs)) < 0.4).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "tiny", "fits", "batches"),
    [
        ((220, 2048, 10), 8, 32, 5),  # the paper's, 160 updates
        ((13, 300, 3), 5, 4, 10),  # fewer than 8 samples, chunks that are not full
        ((13, 40, 3), 20, 2, 10),  # more than 8 samples
        ((1100, 70, 4), 8, 3, 5),  # many inputs, the last block of units not full
    ],
)
def test_the_fit_is_torchs_adam(shape, tiny, fits, batches):
    inputs, hidden, outputs = shape
    fitted = network(inputs, outputs, hidden)
    reference = as_torch(fitted)
    adam = torch.optim.Adam(reference.parameters(), lr=3e-4)
    for number in range(batches):
        x, y = batch(tiny * fits, inputs, outputs, number)
        loss = fitted.fit(x, y, np.random.default_rng(number), fits=fits, tiny_batch=tiny)
        order = np.random.default_rng(number).permutation(len(x)).reshape(fits, tiny)
        losses = []
        for chosen in order:
            adam.zero_grad()
            expected = torch.nn.functional.binary_cross_entropy_with_logits(reference(x[chosen]), y[chosen])
            expected.backward()
            adam.step()
            losses.append(float(expected.detach()))
        assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    for name, tensor in zip(("weight", "bias", "out_weight", "out_bias"), reference.parameters(), strict=True):
        torch.testing.assert_close(getattr(fitted, name), tensor.detach(), rtol=0, atol=3e-6)
    assert int(fitted.updates) == fits * batches


def test_threads_change_nothing():
    x, y = batch(256, 220, 10)
    alone, together = network(), network(threads=2)
    losses = [each.fit(x, y, np.random.default_rng(1), fits=5) for each in (alone, together)]
    assert losses[0] == losses[1]
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, together.state_dict()[name]), name


def test_other_devices_take_the_same_steps():
    """What a CUDA device runs, here on the CPU: Adam's moments change their layout on the way in and out."""
    compiled, by_torch = network(13, 3, 40), network(13, 3, 40)
    rng = np.random.default_rng(0)
    for number in range(3):
        x, y = batch(64, 13, 3, number)
        chosen = rng.permutation(64).reshape(8, 8)
        losses = compiled._fit_compiled(x, y, chosen), by_torch._fit_torch(x, y, torch.from_numpy(chosen))
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, tensor in compiled.state_dict().items():
        torch.testing.assert_close(tensor, by_torch.state_dict()[name], rtol=0, atol=3e-6, msg=name)
    assert compiled.first_weight.abs().max() > 0


def test_it_goes_on_from_its_state():
    x, y = batch(64, 20, 4)
    whole = network(20, 4, 32)
    whole.fit(x, y, np.random.default_rng(0), fits=8)
    copy = network(20, 4, 32, seed=9)
    copy.load_state_dict(whole.state_dict())
    for each in (whole, copy):
        each.fit(x, y, np.random.default_rng(1), fits=8)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, copy.state_dict()[name]), name


def test_its_derivative_by_the_inputs():
    fitted = network(12, 3, 64)
    x, y = batch(64, 12, 3)
    fitted.fit(x, y, np.random.default_rng(0), fits=8)
    x.requires_grad_()
    (fitted(x) * y).sum().backward()
    double = as_torch(fitted).double()
    step = 1e-6
    for column in range(12):
        beside = x.detach().double().clone()
        beside[:, column] += step
        above = (torch.sigmoid(double(beside)) * y).sum(1)
        beside[:, column] -= 2 * step
        below = (torch.sigmoid(double(beside)) * y).sum(1)
        torch.testing.assert_close(x.grad[:, column].double(), (above - below) / (2 * step), rtol=1e-3, atol=1e-5)


def test_it_learns_the_means_of_a_known_sampler():
    """Bits of independent rotations: bit k is 1 with probability sin^2(x_k / 2)."""
    rng = np.random.default_rng(0)
    fitted = network(4, 4, 256, learning_rate=1e-3)
    for _ in range(80):
        x = rng.uniform(0, np.pi, (256, 4)).astype(np.float32)
        bits = rng.random((256, 4)) < np.sin(x / 2) ** 2
        fitted.fit(torch.from_numpy(x), torch.from_numpy(bits), rng)
    x = rng.uniform(0, np.pi, (1000, 4)).astype(np.float32)
    error = fitted(torch.from_numpy(x)).numpy() - np.sin(x / 2) ** 2
    assert np.sqrt(np.mean(error**2)) < 0.06  # one sample's deviation is 0.35, guessing the mean gives 0.35 too


@pytest.mark.parametrize(
    ("x", "y", "given"),
    [
        ((8, 3), (8, 2), {}),
        ((8, 4), (7, 2), {}),
        ((4, 4), (4, 2), {}),
        ((8, 4), (8, 2), {"fits": 0}),
    ],
)
def test_refusals(x, y, given):
    fitted = network(4, 2, 16)
    before = {name: tensor.clone() for name, tensor in fitted.state_dict().items()}
    with pytest.raises(ConfigurationError, match="tangential network"):
        fitted.fit(torch.zeros(x), torch.zeros(y), np.random.default_rng(0), **given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in fitted.state_dict().items())
