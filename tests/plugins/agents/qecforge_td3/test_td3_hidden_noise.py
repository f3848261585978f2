"""Noise on the hidden layer of the plain actor: as much as it says, drawn with `rng` alone, refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from qecforge.errors import ConfigurationError
from qecforge_td3.actors import make_actor
from qecforge_td3.blocks import RandomBits
from qecforge_td3.config import TD3Config


def _linear_actor(noise: float):
    """All weights 0 but the last layer's, which sums the hidden units, shifted so that no unit is ever negative."""
    actor = make_actor(3, 1, TD3Config(block="none", hidden_noise=noise), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()
        actor.layer_2.bias.fill_(10.0)
        actor.layer_3.weight.fill_(1e-4)
        actor.layer_3.bias.fill_(-256 * 10.0 * 1e-4)
    return actor


def test_the_noise_has_its_deviation():
    actor, s = _linear_actor(0.5), torch.zeros(20_000, 3)
    actions = torch.atanh(actor.explore(s, np.random.default_rng(0)).actions.detach().double()).numpy()
    expected = 0.5 * 1e-4 * np.sqrt(256)
    assert actions.std() == pytest.approx(expected, rel=0.03)
    assert abs(actions.mean()) < 4 * expected / np.sqrt(len(s))


def test_the_default_is_what_random_bits_cause():
    """Of the first hidden layer of PostDNN with fresh weights, over bits: standard deviation 0.2."""
    config = TD3Config(block="rbg")
    actor = make_actor(3, 1, config, torch.Generator().manual_seed(0))
    bits = RandomBits(config.qubits).sample(torch.zeros(5_000, 1), np.random.default_rng(0))
    links = torch.zeros(len(bits), config.links)
    caused = actor.post_1(torch.cat([bits, links], 1)).detach().std(0)
    assert float(caused.mean()) == pytest.approx(0.2, abs=0.01)


def test_the_same_generator_gives_the_same_actions_and_without_noise_none_is_drawn():
    s = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    noisy, plain = (
        make_actor(3, 1, TD3Config(block="none", hidden_noise=noise), torch.Generator().manual_seed(0))
        for noise in (0.2, 0.0)
    )
    first, second = (noisy.explore(s, np.random.default_rng(3)).actions for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, plain.explore(s, None).actions)
    with pytest.raises(ConfigurationError, match="rng is missing"):
        noisy.explore(s, None)


def test_other_blocks_have_noise_of_their_own():
    with pytest.raises(ValidationError, match=r"hidden_noise is 0\.2, which block rbg does not take: set 0"):
        TD3Config(block="rbg", hidden_noise=0.2)
