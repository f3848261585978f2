"""Agent `grpo`: group relative policy optimisation, which judges an episode by others that began alike."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, hookimpl
from qecforge_grpo.config import GRPOConfig, check_fine_tuning
from qecforge_grpo.views import VIEW

__all__ = ["GRPOConfig", "make_grpo", "qecforge_agents"]


def make_grpo(config: GRPOConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_grpo.agent import GRPO

    return GRPO(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`grpo`."""
    return [
        AgentSpec(
            name="grpo",
            summary="GRPO for discrete actions: advantages within groups of episodes that begin alike",
            config=GRPOConfig,
            make=make_grpo,
            trains_on=frozenset({"discrete"}),
            check_fine_tuning=check_fine_tuning,
            view=VIEW,
        )
    ]
