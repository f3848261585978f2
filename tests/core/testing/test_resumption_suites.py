"""What the suites ask of plugins that resume between episodes, and of environments that must not share anything."""

import dataclasses
from typing import ClassVar

import pytest
from off_policy_plugin import (
    Corridor,
    CorridorConfig,
    Learner,
    Sharing,
    Unsaved,
    qecforge_agents,
    qecforge_environments,
)

from qecforge.errors import ConfigurationError
from qecforge.testing.agents import AgentContract
from qecforge.testing.environments import EnvironmentContract, check_environment


def made_by(make):
    return lambda num_envs, seed: make(CorridorConfig(), num_envs=num_envs, seed=seed, reward=None)


class TestCorridor(EnvironmentContract):
    spec = qecforge_environments()[0]


class TestUnsaved(EnvironmentContract):
    spec = qecforge_environments()[1]


def test_the_check_of_states_is_that_of_the_spec():
    assert check_environment(made_by(Corridor))["state"] is None
    assert check_environment(made_by(Corridor), resumes="between_episodes")["state"] is None
    assert check_environment(made_by(Unsaved), resumes="between_episodes")["state"] is None
    assert isinstance(check_environment(made_by(Unsaved))["state"], AssertionError)


def test_a_state_that_changes_later_is_noticed_between_episodes_too():
    class Live(Unsaved):
        def state_dict(self):
            return {"cell": self.cell}

        def load_state_dict(self, state):
            pass

        def step(self, actions, out=None):
            kept, result = self.cell, super().step(actions, out)
            kept[...] = self.cell
            self.cell = kept
            return result

        def reset(self, **options):
            kept, result = self.cell, super().reset(**options)
            kept[...] = self.cell
            self.cell = kept
            return result

    failure = check_environment(made_by(Live), resumes="between_episodes")["state"]
    assert "it changed while the environment went on" in str(failure)


def test_environments_that_share_a_generator_are_noticed():
    Sharing.common = None
    assert isinstance(check_environment(made_by(Sharing))["separation"], AssertionError)


def test_an_agent_that_acts_on_what_it_saw_before_is_noticed():
    class Stale(Learner):
        def begin_episodes(self, observations, infos):
            if not self.step:
                super().begin_episodes(observations, infos)

    suite = AgentContract()
    suite.spec = dataclasses.replace(qecforge_agents()[0], make=Stale)
    suite.settings = TestForgetful.settings
    with pytest.raises(ConfigurationError, match="masked action"):
        suite.test_goes_on_with_new_episodes(masked=True)


class TestForgetful(AgentContract):
    """The suite runs whole for an agent that resumes between episodes, on its own task."""

    spec = qecforge_agents()[1]
    settings: ClassVar = {"total_steps": 8000, "num_envs": 8}
    trains_further = False


class TestLearner(TestForgetful):
    """To the bit, with its replay buffer."""

    spec = qecforge_agents()[0]
