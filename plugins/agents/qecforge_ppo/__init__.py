"""Agents `ppo`, clipped proximal policy optimisation or REINFORCE for discrete actions, and `parameter_ppo`, the same
clip for a Gaussian over whole parameter vectors."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, hookimpl
from qecforge.learning.schedules import Schedule
from qecforge.parameters import check_search
from qecforge_ppo.config import NetworkConfig, PPOConfig, check_fine_tuning
from qecforge_ppo.parameters import ParameterPPOConfig
from qecforge_ppo.views import PARAMETER_PPO, PPO

__all__ = [
    "NetworkConfig",
    "PPOConfig",
    "ParameterPPOConfig",
    "Schedule",
    "make_parameter_ppo",
    "make_ppo",
    "qecforge_agents",
]


def make_ppo(config: PPOConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_ppo.agent import PPO

    return PPO(config)


def make_parameter_ppo(config: ParameterPPOConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_ppo.parameters.agent import ParameterPPO

    return ParameterPPO(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`ppo` and `parameter_ppo`."""
    return [
        AgentSpec(
            name="ppo",
            summary="Clipped PPO with GAE, or REINFORCE, for discrete actions; several agents side by side",
            config=PPOConfig,
            make=make_ppo,
            trains_on=frozenset({"discrete"}),
            check_fine_tuning=check_fine_tuning,
            view=PPO,
        ),
        AgentSpec(
            name="parameter_ppo",
            summary="Parameter-exploring PPO: a Gaussian over parameter vectors, an advantage for each objective",
            config=ParameterPPOConfig,
            make=make_parameter_ppo,
            trains_on=frozenset({"parameters"}),
            check=check_search,
            view=PARAMETER_PPO,
        ),
    ]
