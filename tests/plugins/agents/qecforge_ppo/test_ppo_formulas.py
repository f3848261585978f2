"""PPO's formulas against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qecforge.learning.perceptrons import entropy_of, masked_log_softmax, sample_actions
from qecforge.learning.schedules import Schedule, value_at
from qecforge_ppo.config import PPOConfig
from qecforge_ppo.losses import (
    clip_gradients,
    clipped_policy_loss,
    explained_variance,
    generalized_advantages,
    normalized,
    reinforce_loss,
    value_loss,
)


def column(*values, dtype=np.float32):
    return np.array(values, dtype)[:, None]


def gae(rewards, values, terminated, truncated, final_values, gamma=0.5, gae_lambda=0.5):
    return generalized_advantages(
        column(*rewards),
        column(*values),
        column(*terminated, dtype=bool),
        column(*truncated, dtype=bool),
        column(*final_values),
        gamma,
        gae_lambda,
    )[:, 0].tolist()


def test_gae_by_hand():
    # delta = (1 + 0.5*4 - 2, 0 + 0.5*6 - 4, 3 + 0.5*8 - 6) = (1, -1, 1); gamma lambda = 1/4
    # A_2 = 1, A_1 = -1 + 1/4 = -0.75, A_0 = 1 - 0.1875 = 0.8125
    assert gae([1, 0, 3], [2, 4, 6, 8], [0, 0, 0], [0, 0, 0], [0, 0, 0]) == [0.8125, -0.75, 1.0]


def test_gae_ends_with_a_terminated_episode():
    # delta_1 = 0 - 4 = -4 and nothing flows back over the end; A_0 = 1 - 4/4
    assert gae([1, 0, 3], [2, 4, 6, 8], [0, 1, 0], [0, 0, 0], [0, 99, 0]) == [0.0, -4.0, 1.0]


def test_gae_bootstraps_a_truncated_episode_from_its_last_observation():
    # delta_1 = 0 + 0.5*10 - 4 = 1; A_0 = 1 + 1/4; values[2] belongs to the next episode
    assert gae([1, 0, 3], [2, 4, 6, 8], [0, 0, 0], [0, 1, 0], [77, 10, 77]) == [1.25, 1.0, 1.0]


def test_gae_takes_an_end_that_is_both_as_terminated():
    assert gae([1, 0, 3], [2, 4, 6, 8], [0, 1, 0], [0, 1, 0], [0, 10, 0]) == [0.0, -4.0, 1.0]


def test_gae_with_lambda_1_is_the_discounted_return_less_the_value():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    never = np.zeros((7, 3), bool)
    advantages = generalized_advantages(rewards, values, never, never, np.zeros_like(rewards), 0.9, 1.0)
    discounts = 0.9 ** np.arange(8)
    expected = (discounts[:7, None] * rewards).sum(0) + discounts[7] * values[7] - values[0]
    np.testing.assert_allclose(advantages[0], expected, rtol=1e-5)


def test_clipped_loss_by_hand():
    ratio = torch.tensor([[1.5, 1.5, 0.5, 0.5, 1.1]])
    advantages = torch.tensor([[2.0, -2.0, 2.0, -2.0, 1.0]])
    # min(r A, clip(r) A) at clip 0.2: 2.4, -3, 1, -1.6, 1.1
    assert clipped_policy_loss(ratio, advantages, 0.2).item() == pytest.approx(-(2.4 - 3 + 1 - 1.6 + 1.1) / 5)


def test_clipped_loss_has_no_gradient_beyond_the_clip():
    ratio = torch.tensor([[1.5, 0.5, 1.5, 1.0]], requires_grad=True)
    clipped_policy_loss(ratio, torch.tensor([[1.0, -1.0, -1.0, 1.0]]), 0.2).sum().backward()
    assert ratio.grad.tolist() == [[0.0, 0.0, 0.25, -0.25]]


def test_losses_of_agents_are_apart():
    ratio, advantages = torch.rand(3, 11) + 0.5, torch.randn(3, 11)
    together = clipped_policy_loss(ratio, advantages, 0.2)
    alone = [clipped_policy_loss(ratio[i : i + 1], advantages[i : i + 1], 0.2).item() for i in range(3)]
    assert together.tolist() == pytest.approx(alone)


def test_value_loss_by_hand():
    values, returns, old = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.5]])
    assert value_loss(values, returns, old, None).item() == pytest.approx(0.5 * (4 + 1) / 2)
    # clipped values: 1 + 0.2, 0.5 - 0.2; squared errors 0.04, 0.49; the larger ones are the unclipped
    assert value_loss(values, returns, old, 0.2).item() == pytest.approx(0.5 * (4 + 1) / 2)
    # old values far from the returns: 1.2 and 5.2 away from where they should be
    assert value_loss(returns, returns, torch.tensor([[3.0, 1.0]]), 0.5).item() == pytest.approx(0.5 * 1.5**2 / 2)


def test_reinforce_loss_by_hand():
    assert reinforce_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([[3.0, -1.0]])).item() == pytest.approx(0.5)


def test_normalized_is_per_agent():
    advantages = torch.tensor([[1.0, 3.0], [10.0, 30.0]])
    expected = 1 / math.sqrt(2)
    torch.testing.assert_close(normalized(advantages), torch.tensor([[-expected, expected]] * 2))


def test_explained_variance():
    returns = np.array([0.0, 2.0], np.float32)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.zeros(2, np.float32), returns) == 0.0
    assert explained_variance(-returns, returns) == -3.0
    assert explained_variance(returns, np.ones(2, np.float32)) == 0.0


def test_entropy_with_forbidden_actions_is_finite_and_so_is_its_gradient():
    logits = torch.tensor([[[1.0, 1.0, 5.0], [0.0, 9.0, 9.0]]], requires_grad=True)
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    entropy = entropy_of(masked_log_softmax(logits, mask))
    assert entropy.item() == pytest.approx(math.log(2) / 2)
    entropy.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~mask] == 0).all()


def test_gradients_are_clipped_for_each_agent_alone():
    parameters = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2, 1, 1))]
    parameters[0].grad = torch.tensor([[3.0, 0.0], [0.3, 0.0]])
    parameters[1].grad = torch.tensor([[[4.0]], [[0.4]]])
    clip_gradients(parameters, 1.0, 2)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([[[0.8]], [[0.4]]]))


def test_sampling_follows_the_masked_distribution():
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0, -1.0])
    mask = torch.tensor([False, True, True, False, True])
    shots = 200_000
    log_probs = masked_log_softmax(logits, mask).expand(shots, 5)
    uniforms = torch.rand(shots, 1, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(sample_actions(log_probs, uniforms), minlength=5).numpy() / shots
    weights = np.where(mask.numpy(), np.exp(logits.numpy()), 0.0)
    expected = weights / weights.sum()
    assert counts[[0, 3]].tolist() == [0.0, 0.0]
    deviation = np.sqrt(expected * (1 - expected) / shots)
    assert (np.abs(counts - expected) <= 5 * deviation).all()


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=2, max_size=40).filter(
        lambda actions: any(allowed for _, allowed in actions)
    ),
    st.sampled_from([0.0, 2.0**-24, 0.5, 1.0 - 2.0**-23, 1.0 - 2.0**-24]),
)
def test_a_forbidden_action_is_never_drawn(actions, uniform):
    mask = torch.tensor([allowed for _, allowed in actions])
    log_probs = masked_log_softmax(torch.tensor([logit for logit, _ in actions]), mask)
    assert mask[sample_actions(log_probs, torch.tensor([uniform]))]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("constant", [4, 4, 4, 4]), ("linear", [4, 3, 2, 2]), ("cosine", [4, 3, 2, 2])],
)
def test_schedules(shape, expected):
    schedule = Schedule.model_validate({"from": 4.0, "to": 2.0, "shape": shape, "until": 0.8})
    assert [schedule.at(x) for x in (0.0, 0.4, 0.8, 1.0)] == pytest.approx(expected)


def test_a_cosine_is_flat_at_both_ends():
    schedule = Schedule.model_validate({"from": 1.0, "to": 0.0, "shape": "cosine"})
    assert schedule.at(0.25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert value_at(0.3, 0.9) == 0.3


def test_defaults_are_those_of_the_paper():
    config = PPOConfig()
    assert (config.clip, config.gae_lambda, config.gamma) == (0.2, 0.95, 0.995)
    assert (config.minibatch_size, config.horizon, config.learning_rate, config.weight_decay) == (64, 128, 3e-4, 0.01)
    assert (value_at(config.entropy, 0.0), value_at(config.entropy, 1.0)) == (0.01, 0.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_envs": 10, "num_agents": 4}, "such as 12"),
        ({"num_envs": 8, "num_agents": 4, "target_kl": 0.1}, "set num_agents to 1"),
        ({"num_envs": 1, "horizon": 1}, "raise horizon or num_envs"),
        ({"learning_rate": {"from": 1.0}}, "to"),
        ({"widths": [64]}, "widths"),
    ],
)
def test_settings_that_do_not_fit(settings, expected):
    with pytest.raises(ValueError, match=expected):
        PPOConfig.model_validate(settings)


def test_settings_round_trip():
    config = PPOConfig.model_validate(
        {"entropy": {"from": 1, "to": 0}, "policy": {"value": [32], "activation": "relu"}}
    )
    for by_alias in (True, False):
        assert PPOConfig.model_validate(config.model_dump(mode="json", by_alias=by_alias)) == config
