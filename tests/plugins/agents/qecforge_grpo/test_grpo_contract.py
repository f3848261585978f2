from typing import ClassVar

from qecforge.testing.agents import AgentContract
from qecforge_grpo import qecforge_agents


class TestGrpo(AgentContract):
    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "total_steps": 30_000,
        "group_size": 8,
        "groups": 4,
        "kl": 0.002,
        "learning_rate": 1e-2,
        "device": "cpu",
        "threads": 1,
    }


class TestDrGrpo(AgentContract):
    """The mean of the group alone, a constant length, no reference, several passes over several episodes of each."""

    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "total_steps": 40_000,
        "group_size": 8,
        "groups": 4,
        "episodes": 2,
        "advantage_scale": "none",
        "loss_average": "constant",
        "longest_episode": 20,
        "kl": 0.0,
        "updates": 2,
        "minibatch_episodes": 24,
        "learning_rate": 1e-2,
        "device": "cpu",
        "threads": 1,
    }
