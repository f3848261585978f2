"""Agent `ppo`: clipped proximal policy optimisation, or REINFORCE, for discrete actions."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.hookspecs import Agent, AgentSpec, PluginConfig, hookimpl
from qecforge_ppo.config import NetworkConfig, PPOConfig, Schedule

__all__ = ["NetworkConfig", "PPOConfig", "Schedule", "make_ppo", "qecforge_agents"]


def make_ppo(config: PluginConfig) -> Agent:
    """The agent that `config`, a `PPOConfig`, describes."""
    from qecforge_ppo.agent import PPO

    return PPO(PPOConfig.model_validate(config))


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`ppo`."""
    return [
        AgentSpec(
            name="ppo",
            summary="Clipped PPO with GAE, or REINFORCE, for discrete actions; several agents side by side",
            config=PPOConfig,
            make=make_ppo,
            trains_on=frozenset({"discrete"}),
        )
    ]
