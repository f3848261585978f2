"""The twin critics against two separate networks, and batch renormalisation by its definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from qecforge_td3 import TD3Config
from qecforge_td3.critics import BatchRenorm, TwinCritic


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def twin(critic="plain"):
    config = TD3Config(critic=critic, critic_hidden=(6, 7))
    return TwinCritic(5, 2, config, torch.Generator().manual_seed(0))


def separate(both, number, s, a):
    """Q of one of the two, layer by layer."""
    h1 = both.bias_1.shape[-1]

    def normed(x, layer):
        if both.kind != "layer_norm":
            return x
        norm = both.norms[layer]
        return functional.layer_norm(x, x.shape[-1:], norm.scale[number, 0], norm.shift[number, 0])

    hidden = s @ both.weight_1[number * h1 : (number + 1) * h1].T + both.bias_1[number, 0]
    hidden = functional.leaky_relu(normed(hidden, 0))
    hidden = torch.cat([hidden, a], 1) @ both.weight_2[number] + both.bias_2[number, 0]
    hidden = functional.leaky_relu(normed(hidden, 1))
    return (hidden @ both.weight_3[number] + both.bias_3[number, 0])[:, 0]


@pytest.mark.parametrize("critic", ["plain", "layer_norm"])
def test_one_product_for_both(critic):
    both = twin(critic)
    if critic == "layer_norm":
        for norm in both.norms:
            torch.nn.init.normal_(norm.scale)
            torch.nn.init.normal_(norm.shift)
    s, a = torch.randn(9, 5), torch.randn(9, 2)
    values = both(s, a)
    assert values.shape == (2, 9)
    for number in range(2):
        torch.testing.assert_close(values[number], separate(both, number, s, a))
    torch.testing.assert_close(both.first(s, a), values[0])
    assert not torch.allclose(values[0], values[1])


def test_no_gradient_crosses_from_one_critic_to_the_other():
    both = twin()
    both(torch.randn(9, 5), torch.randn(9, 2))[0].sum().backward()
    assert both.weight_1.grad[:6].abs().sum() > 0
    assert both.weight_1.grad[6:].abs().sum() == 0
    assert both.weight_2.grad[1].abs().sum() == 0


def test_batch_renormalisation_by_hand():
    norm = BatchRenorm((1, 1))
    x = torch.tensor([[[1.0], [3.0]]])  # mean 2, variance 1
    torch.testing.assert_close(norm(x)[0, :, 0], torch.tensor([-1.0, 1.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(norm.mean.item(), 0.01 * 2)
    torch.testing.assert_close(norm.variance.item(), 1.0)
    norm.updates.fill_(norm.warm_up)
    norm.mean.fill_(1.0)
    norm.variance.fill_(0.25)
    # r = 1 / 0.5 = 2, d = (2 - 1) / 0.5 = 2: what the running statistics alone would give
    torch.testing.assert_close(norm(x)[0, :, 0], torch.tensor([0.0, 4.0]), atol=1e-2, rtol=0)
    norm.mean.fill_(-100.0)
    norm.variance.fill_(1e-6)
    # r is held at 3, d at 5
    torch.testing.assert_close(norm(x)[0, :, 0], torch.tensor([2.0, 8.0]), atol=1e-2, rtol=0)
    norm.eval()
    norm.mean.fill_(1.0)
    norm.variance.fill_(4.0)
    torch.testing.assert_close(norm(x)[0, :, 0], torch.tensor([0.0, 1.0]), atol=1e-3, rtol=0)


def test_crossq_normalises_both_halves_together():
    both = twin("batch_renorm")
    s, a = torch.randn(8, 5), torch.randn(8, 2)
    joint = both(torch.cat([s, s + 3]), torch.cat([a, a]))
    assert not np.allclose(joint[:, :8].detach().numpy(), both(s, a).detach().numpy(), atol=1e-3)
    assert int(both.norms[0].updates) == 2
    both.eval()
    both(s, a)
    assert int(both.norms[0].updates) == 2
