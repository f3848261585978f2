"""What `grpo` plays, learns and refuses."""

import logging

import gymnasium
import numpy as np
import pytest
import torch

from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.stepping import FilledSteps
from qecforge.machine.threads import torch_threads
from qecforge.testing.agents import IdentityEnvironment
from qecforge_grpo.agent import _Training
from qecforge_grpo.config import GRPOConfig
from qecforge_grpo.episodes import play_episodes


@pytest.fixture(autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


def config(**values):
    return GRPOConfig.model_validate({"group_size": 4, "groups": 3, "device": "cpu", "total_steps": 10_000} | values)


class Numbered(IdentityEnvironment):
    """Member m's episodes last m % 3 + 1 steps; it shows (member, episode, step), and pays 100 m + 10 k + t."""

    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.single_observation_space = gymnasium.spaces.Box(0, 1000, (3,), np.float32)

    def reset(self, *, seed=None, options=None, out=None):
        self.options = dict(options or {})
        self.now = np.stack([np.arange(self.num_envs), np.zeros(self.num_envs), np.zeros(self.num_envs)], 1)
        return self.now.astype(np.float32), {}

    def step(self, actions, out=None):
        member, episode, step = self.now.T
        rewards = (100 * member + 10 * episode + step).astype(np.float32)
        ended = step == member % 3
        self.now = np.stack([member, episode + ended, np.where(ended, 0, step + 1)], 1)
        return self.now.astype(np.float32), rewards, ended, np.zeros_like(ended), {}


def test_episodes_are_whole_and_those_of_a_group_stand_together():
    env = Numbered(4)
    asked = []

    def act(observations, mask):
        asked.append(observations.copy())
        return torch.from_numpy(observations[:, 2]).long(), torch.from_numpy(observations[:, 1])

    played = play_episodes(env, FilledSteps(env), act, group_size=2, episodes=2, longest=10, seed=0, start=0)
    assert env.options == {"group_size": 2}
    assert played.lengths.tolist() == [1, 2, 3, 1] * 2
    for k in range(2):
        for member in range(4):
            row, length = 4 * k + member, member % 3 + 1
            assert played.observations[row, :length].tolist() == [[member, k, t] for t in range(length)]
            assert played.actions[row, :length].tolist() == list(range(length))
            assert played.log_probs[row, :length].tolist() == [k] * length
            assert played.returns[row] == sum(100 * member + 10 * k + t for t in range(length))
    assert not played.observations[~played.mask].any()
    assert played.steps == 4 * len(asked) == 4 * 6  # until the slowest has played two episodes of three steps
    part = played.chosen(np.array([0, 1]))
    assert part.mask.tolist() == [[True, False], [True, True]]
    assert part.returns.tolist() == [0.0, 100.0 + 101.0]


class Bandit(IdentityEnvironment):
    """One step; arm a pays 1 with probability p[a]."""

    arms = np.array([0.2, 0.5, 0.8])

    def __init__(self, num_envs, seed=0):
        super().__init__(num_envs, episode_length=1)
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(3)
        self.rng = np.random.default_rng(seed)

    def reset(self, *, seed=None, options=None, out=None):
        return np.ones((self.num_envs, 1), np.float32), {}

    def step(self, actions, out=None):
        rewards = (self.rng.random(self.num_envs) < self.arms[actions]).astype(np.float32)
        ended = np.ones(self.num_envs, bool)
        return np.ones((self.num_envs, 1), np.float32), rewards, ended, np.zeros_like(ended), {}


def probabilities(training):
    return training.policy.module(torch.ones(1, 1)).softmax(-1)[0].tolist()


@pytest.mark.parametrize("scale", ["deviation", "none"])
def test_a_bandit_is_solved(scale):
    settings = config(group_size=16, groups=4, advantage_scale=scale, kl=0.0, learning_rate=1e-2)
    training = _Training(settings, Bandit(64), 0, None, None)
    before = probabilities(training)
    for _ in range(150):
        training.update(training.play())
    after = probabilities(training)
    assert max(before) < 0.4
    assert after[2] > 0.9


def test_the_reference_holds_the_policy_back():
    """E[r] - beta KL from a uniform policy is best where pi is proportional to exp(r / beta), Dr. GRPO's gradient being
    that of the expected reward."""
    beta = 0.5
    settings = config(group_size=64, groups=4, advantage_scale="none", kl=beta, learning_rate=1e-2)
    training = _Training(settings, Bandit(256), 0, None, None)
    for _ in range(250):
        training.update(training.play())
    expected = np.exp(Bandit.arms / beta)
    assert probabilities(training) == pytest.approx((expected / expected.sum()).tolist(), abs=0.06)
    held = training.metrics["kl"]
    assert held > 0.01
    reference = training.reference(torch.ones(1, 1)).softmax(-1)[0]
    assert reference.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_the_reference_can_follow():
    training = _Training(config(reference_updates=2, learning_rate=1e-2), Bandit(12), 0, None, None)
    start = training.reference.state_dict()["0.weight"].clone()
    training.update(training.play())
    assert torch.equal(training.reference.state_dict()["0.weight"], start)
    training.update(training.play())
    assert not torch.equal(training.reference.state_dict()["0.weight"], start)
    assert torch.equal(training.reference.state_dict()["0.weight"], training.module.state_dict()["0.weight"])


class Constant(Bandit):
    arms = np.array([1.0, 1.0, 1.0])


def test_groups_without_variance_are_counted_and_said(caplog):
    training = _Training(config(warn_after=3), Constant(12), 0, None, None)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            training.update(training.play())
    assert training.metrics["groups_without_variance"] == 1.0
    assert [record.getMessage() for record in caplog.records] == [
        f"grpo: nothing was learned in the last {n} updates (step {12 * n}): all episodes of a group returned the "
        "same, 1 on average. The policy does not vary any more, or the reward does not tell episodes apart"
        for n in (3, 6)
    ]


class Endless(Bandit):
    def step(self, actions, out=None):
        observations, rewards, ended, truncated, infos = super().step(actions)
        return observations, rewards, np.zeros_like(ended), truncated, infos


def test_episodes_without_end_are_refused():
    training = _Training(config(longest_episode=30), Endless(12), 0, None, None)
    with pytest.raises(ConfigurationError, match="an episode of Endless did not end within 30 steps: raise longest_ep"):
        training.play()


class Infinite(Bandit):
    def step(self, actions, out=None):
        observations, rewards, *rest = super().step(actions)
        return observations, np.full_like(rewards, np.inf), *rest


def test_rewards_that_are_not_finite_are_named():
    training = _Training(config(), Infinite(12), 0, None, None)
    with pytest.raises(QecforgeError, match="grpo: Infinite gave rewards that are not finite"):
        training.update(training.play())


class Continuous(Bandit):
    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.single_action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


def test_continuous_actions_are_refused():
    with pytest.raises(ConfigurationError, match=r"grpo: the action space is Box.*, expected Discrete"):
        _Training(config(), Continuous(12), 0, None, None)


def test_a_group_of_one_is_refused():
    with pytest.raises(ValueError, match="group_size\n  Input should be greater than or equal to 2"):
        config(group_size=1)
