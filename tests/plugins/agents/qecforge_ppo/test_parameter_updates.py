"""The fused updates against the losses as they are written down, differentiated by torch in float64."""

import math

import numpy as np
import pytest
import torch

from qecforge.contracts import FactorGraph
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters import _updates as updates
from qecforge_ppo.parameters.search import ParameterSearch

K, M, P, G = 6, 7, 150, 11


@pytest.fixture
def graph():
    """Random, its groups' parameters scattered over the vector."""
    rng = np.random.default_rng(4)
    dense = rng.random((M, G)) < 0.4
    dense[rng.integers(M, size=G), np.arange(G)] = True
    rows = [np.flatnonzero(row) for row in dense]
    return FactorGraph(
        indptr=np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
        indices=np.concatenate(rows),
        num_objectives=M,
        num_parameters=P,
        group=rng.integers(G, size=P),
        num_groups=G,
    )


def log_density(x, mean, log_sigma):
    return -0.5 * ((x - mean) / log_sigma.exp()) ** 2 - log_sigma


def naive_advantages(rewards, normalize):
    others = (rewards.sum(0) - rewards) / (len(rewards) - 1)
    advantages = rewards - others
    if normalize == "objective":
        return advantages / np.sqrt((advantages**2).mean(0))
    return advantages / np.sqrt((advantages**2).mean()) if normalize == "common" else advantages


def naive_loss(config, dense, epochs, now, mean, log_sigma):
    """Mean over epochs and candidates, entropy aside. `epochs`: (x, behaviour, advantages); `now`: (mu0, log s0)."""
    total = 0.0
    for x, behaviour, advantages in epochs:
        log_weight = log_density(x, *now) - log_density(x, *behaviour)
        log_ratio = log_density(x, mean, log_sigma) - log_density(x, *now)
        if config.ratio == "coordinate":
            worth = log_weight.exp().clamp(max=config.max_weight) * (advantages @ dense)
            ratio = log_ratio.exp()
            clipped = ratio if config.clip is None else ratio.clamp(1 - config.clip, 1 + config.clip)
            total -= torch.minimum(ratio * worth, clipped * worth).sum()
        else:
            bound = math.log(config.max_weight)
            weight = (log_weight.clamp(-bound, bound) @ dense.T).exp().clamp(max=config.max_weight)
            if config.clip is not None:
                log_ratio = log_ratio.clamp(math.log(1 - config.clip), math.log(1 + config.clip))
            total -= (weight * advantages * (log_ratio @ dense.T).exp()).sum()
    return total / (len(epochs) * K)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("clip", [0.2, None])
@pytest.mark.parametrize("normalize", ["objective", "common"])
@pytest.mark.parametrize("ratio", ["coordinate", "objective"])
def test_updates_follow_the_loss(graph, ratio, normalize, clip, optimizer):
    """Four epochs of random rewards, three inner steps each, two epochs replayed: mean and deviation as by autograd.

    Torch steps in units of sigma0, as the configuration says. With adam it is only checked after the first epoch:
    afterwards rounding decides the direction of small gradients.
    """
    rate = 0.02 if ratio == "coordinate" else 0.002  # products of many ratios run away sooner
    config = ParameterPPOConfig(
        candidates=K,
        optimizer=optimizer,
        learning_rate=5 * rate,
        sigma_learning_rate=rate,
        entropy=0.3,
        inner_steps=3,
        replay=2,
        max_weight=1.3,
        clip=clip,
        ratio=ratio,
        normalize_advantages=normalize,
    )
    rng = np.random.default_rng(1)
    search = ParameterSearch(config, np.zeros(P), np.ones(P), num_objectives=M, factor_graph=graph, seed=2)
    dense = torch.from_numpy(graph.dense().astype(np.float64))
    mean, log_sigma = torch.zeros(P, dtype=torch.float64), torch.full((P,), math.log(0.5), dtype=torch.float64)
    seen = []
    for _ in range(4 if optimizer == "sgd" else 1):
        x = torch.from_numpy(search.ask().astype(np.float64))
        rewards = rng.normal(size=(K, M))
        now = (mean.clone(), log_sigma.clone())
        seen = [*seen, (x, now, torch.from_numpy(naive_advantages(rewards, normalize)))][-3:]
        shift, narrowing = torch.zeros(P, dtype=torch.float64), log_sigma.clone()
        shift.requires_grad_(), narrowing.requires_grad_()
        if optimizer == "sgd":
            steps = torch.optim.SGD([{"params": [shift], "lr": config.learning_rate}, {"params": [narrowing]}], lr=rate)
        else:
            groups = [{"params": [shift], "lr": config.learning_rate}, {"params": [narrowing]}]
            steps = torch.optim.Adam(groups, lr=rate, eps=1e-8)
        for _ in range(config.inner_steps):
            steps.zero_grad()
            loss = naive_loss(config, dense, seen, now, now[0] + shift * now[1].exp(), narrowing)
            torch.autograd.backward(loss - config.entropy * narrowing.sum())
            steps.step()
        mean, log_sigma = (now[0] + shift * now[1].exp()).detach(), narrowing.detach()
        search.tell(rewards)
        np.testing.assert_allclose(search.mean, mean.numpy(), atol=3e-5)
        np.testing.assert_allclose(np.log(search.std), log_sigma.numpy(), atol=3e-5)


def test_clipping_matters_in_that_test(graph):
    """The clip is at work: with large steps many ratios are clipped, with none nothing is."""
    for clip, expected in ((0.2, True), (None, False)):
        config = ParameterPPOConfig(candidates=K, learning_rate=1.0, inner_steps=4, clip=clip)
        search = ParameterSearch(config, np.zeros(P), np.ones(P), num_objectives=M, factor_graph=graph, seed=2)
        search.ask()
        search.tell(np.random.default_rng(0).normal(size=(K, M)))
        assert (search.metrics()["clip_fraction"] > 0.05) == expected
        assert search.metrics()["approx_kl"] > 0


def test_divergence_is_the_one_between_gaussians(graph):
    config = ParameterPPOConfig(candidates=K)
    search = ParameterSearch(config, np.zeros(P), np.ones(P), num_objectives=M, factor_graph=graph, seed=2)
    search.ask()
    before = torch.distributions.Normal(torch.from_numpy(search.mean), torch.from_numpy(search.std))
    search.tell(np.random.default_rng(0).normal(size=(K, M)))
    after = torch.distributions.Normal(torch.from_numpy(search.mean), torch.from_numpy(search.std))
    expected = torch.distributions.kl_divergence(before, after).mean()
    assert search.metrics()["approx_kl"] == pytest.approx(float(expected), rel=1e-4)


def test_the_batch_baseline_leaves_the_candidate_out():
    rewards = np.array([[1, 5], [2, 5], [6, 5], [3, 9]], np.float32)
    out = np.empty((2, 4), np.float32)
    updates.advantages(rewards, np.zeros(2), updates.BATCH, updates.NONE, False, out)
    np.testing.assert_allclose(out[0], [1 - 11 / 3, 2 - 10 / 3, 6 - 6 / 3, 3 - 9 / 3], rtol=1e-6)
    np.testing.assert_allclose(out[1], [-4 / 3, -4 / 3, -4 / 3, 4], rtol=1e-6)
    updates.advantages(rewards, np.zeros(2), updates.BATCH, updates.NONE, True, out)
    np.testing.assert_allclose(out[0], [1 - 2.5, 2 - 3.5, 6 - 2.5, 3 - 3.5], rtol=1e-6)  # pairs (0, 2), (1, 3)


def test_normalized_advantages_and_silent_objectives():
    rewards = np.array([[1, 5, 7], [2, 5, 7], [6, 9, 7]], np.float32)
    out = np.empty((3, 3), np.float32)
    updates.advantages(rewards, np.zeros(3), updates.BATCH, updates.OBJECTIVE, False, out)
    np.testing.assert_allclose((out**2).mean(1), [1, 1, 0], rtol=1e-5)
    updates.advantages(rewards, np.array([1.0, 5.0, 7.0]), updates.LEARNED, updates.COMMON, False, out)
    np.testing.assert_allclose(out * math.sqrt((1 + 25 + 16) / 9), (rewards - [1, 5, 7]).T, rtol=1e-5)


def test_advantages_spread_over_their_own_groups_alone(graph):
    values = np.random.default_rng(0).normal(size=(M, K)).astype(np.float32)
    out = np.empty((K, G), np.float32)
    updates.spread(values, *graph.by_group, out)
    connected = np.zeros((M, G))
    connected[np.repeat(np.arange(M), np.diff(graph.indptr)), graph.indices] = 1
    np.testing.assert_allclose(out, values.T @ connected, atol=1e-5)
