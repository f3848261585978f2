from typing import ClassVar

from qecforge.testing.agents import AgentContract
from qecforge_ppo import qecforge_agents


class TestPpo(AgentContract):
    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "total_steps": 12_000,
        "num_envs": 16,
        "horizon": 32,
        "learning_rate": 3e-3,
        "device": "cpu",
        "threads": 1,
    }


class TestReinforce(AgentContract):
    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "algorithm": "reinforce",
        "total_steps": 30_000,
        "num_envs": 16,
        "horizon": 20,
        "gamma": 0.0,
        "learning_rate": 1e-2,
        "device": "cpu",
        "threads": 1,
    }


class TestAgentsSideBySide(AgentContract):
    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "total_steps": 40_000,
        "num_envs": 48,
        "num_agents": 3,
        "horizon": 32,
        "learning_rate": 3e-3,
        "device": "cpu",
        "threads": 1,
    }
    trains_further = False


class TestInt8Actor(AgentContract):
    spec = qecforge_agents()[0]
    settings: ClassVar = {
        "total_steps": 12_000,
        "num_envs": 16,
        "horizon": 32,
        "learning_rate": 3e-3,
        "actor": "int8",
        "device": "cpu",
        "threads": 1,
    }
