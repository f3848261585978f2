"""The checks of reset options, groups and invalid rewards pass what keeps the contract and catch what does not."""

import numpy as np
import pytest

from qecforge.contracts import CompiledReward, Reward, RewardBuffers, group_size, refuse_unknown_options, require_valid
from qecforge.errors import ConfigurationError
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.checks.groups import check_groups, check_invalid_rewards, check_reset_options
from qecforge.testing.environments import sample_actions


def make(num_envs, seed):
    return IdentityEnvironment(num_envs, episode_length=4)


class Ignoring(IdentityEnvironment):
    """Takes every option and uses none."""

    def reset(self, *, seed=None, options=None, out=None):
        return super().reset(seed=seed, out=out)


class Grouped(IdentityEnvironment):
    """Episodes of lengths of their own; each starts from a number that is drawn for group and episode."""

    def __init__(self, num_envs, seed=0, **options):
        super().__init__(num_envs, **options)
        self.rng = np.random.default_rng(seed)
        self.size, self.key, self.begun = 1, 0, np.zeros(num_envs, int)

    def reset(self, *, seed=None, options=None, out=None):
        refuse_unknown_options(options or {}, "grouped", "group_size")
        self.size = group_size(options or {}, self.num_envs, "grouped")
        observations, infos = super().reset(seed=seed, out=out)
        self.key = int(seed or 0)
        self._elapsed[...] = np.arange(self.num_envs) % self.episode_length
        self.begun[...] = 0
        return self.mark(observations, np.ones(self.num_envs, bool)), infos

    def step(self, actions, out=None):
        observations, rewards, terminated, truncated, infos = super().step(actions, out)
        return self.mark(observations, terminated | truncated), rewards, terminated, truncated, infos

    def mark(self, observations, begun):
        observations = observations.copy()
        for member in np.flatnonzero(begun):
            observations[member] = self.start(member)
            self.begun[member] += 1
        return observations

    def start(self, member):
        rng = np.random.default_rng([self.key, member // self.size, self.begun[member]])
        return rng.integers(2, size=self._actions)

    def compact_states(self):
        return np.zeros(self.num_envs)

    def state_dict(self):
        return super().state_dict() | {"size": self.size, "key": self.key, "begun": self.begun.copy()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.size, self.key, self.begun = state["size"], state["key"], state["begun"].copy()


class OnlyTheFirst(Grouped):
    """Later episodes are drawn for each member alone."""

    def start(self, member):
        if self.begun[member]:
            return np.random.default_rng([member, self.begun[member]]).integers(2, size=self._actions)
        return super().start(member)


class Forgetful(Grouped):
    """Groups are no part of the state."""

    def load_state_dict(self, state):
        super().load_state_dict(state | {"size": 1})


class Unseeded(Grouped):
    """The seed of the reset has no effect on what groups start from."""

    def start(self, member):
        return np.random.default_rng([self.num_envs, id(self) % 2**32, member // self.size]).integers(
            2, size=self._actions
        )


def test_what_keeps_the_contract_passes():
    for each in (make, lambda num_envs, seed: Grouped(num_envs, seed, episode_length=5)):
        check_reset_options(each)
        check_groups(each, sample_actions)


class NoGroups(IdentityEnvironment):
    def reset(self, *, seed=None, options=None, out=None):
        refuse_unknown_options(options or {}, "no_groups")
        return super().reset(seed=seed, out=out)


def test_an_environment_without_groups_says_so():
    check_groups(lambda num_envs, seed: NoGroups(num_envs), sample_actions)
    with pytest.raises(ConfigurationError, match=r"^unknown reset option 'group_size': no_groups takes none\.$"):
        NoGroups(2).reset(options={"group_size": 2})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (OnlyTheFirst, "the start of an episode of member 1 and of its mate 0"),
        (Forgetful, "the starts of groups after load_state_dict"),
        (Unseeded, "the starts of groups from the same seed"),
        (Ignoring, r"reset\(options={'group_size': 0}\) was not refused"),
    ],
)
def test_what_breaks_groups_is_caught(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_groups(lambda num_envs, seed: broken(num_envs, episode_length=5), sample_actions)


def test_options_that_are_ignored_are_caught():
    with pytest.raises(AssertionError, match=r"'no_such_option': 1}.* was not refused"):
        check_reset_options(lambda num_envs, seed: Ignoring(num_envs))


def test_episodes_too_long_to_tell_are_caught():
    with pytest.raises(AssertionError, match="no group began a second episode"):
        check_groups(lambda num_envs, seed: IdentityEnvironment(num_envs, episode_length=500), sample_actions)


@pytest.mark.parametrize("size", [0, -3, 4, True, 2.0, "2", None])
def test_group_sizes_that_cannot_be(size):
    with pytest.raises(ConfigurationError, match=r"^option 'group_size': got .*divides the 6 members of x") as refused:
        group_size({"group_size": size}, 6, "x")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [1, 2, np.int64(3), 6])
def test_group_sizes_that_can_be(size):
    assert group_size({"group_size": size}, 6, "x") == size


class Half(Reward):
    def compile(self, subject):
        return CompiledHalf()


class CompiledHalf(CompiledReward):
    def score(self, batch, out=None):
        return RewardBuffers(np.full(len(batch), 0.5, np.float32))


class Scored(IdentityEnvironment):
    def __init__(self, num_envs, reward):
        super().__init__(num_envs)
        self.compiled = reward.compile("a step")

    def step(self, actions, out=None):
        observations, _, *rest = super().step(actions, out)
        return observations, self.score(actions).values, *rest

    def score(self, actions):
        return self.compiled.score(actions)


class Careful(Scored):
    def score(self, actions):
        return require_valid(super().score(actions), "careful")


def test_a_reward_that_cannot_score_stops_an_environment_that_asks():
    reward = Half()
    check_invalid_rewards(lambda num_envs, seed: Careful(num_envs, reward), sample_actions, reward)
    check_invalid_rewards(make, sample_actions, None)
    assert vars(reward) == {}


def test_an_environment_that_does_not_ask_is_caught():
    reward = Half()
    with pytest.raises(AssertionError, match="rewarded a member that its reward could not score"):
        check_invalid_rewards(lambda num_envs, seed: Scored(num_envs, reward), sample_actions, reward)
