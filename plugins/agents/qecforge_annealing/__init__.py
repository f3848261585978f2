"""Agent `annealing`: simulated annealing over whole sequences of actions, which seeks the shortest that reach the
target. Nothing is learned from one episode for another: what a learning agent has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, hookimpl
from qecforge_annealing.config import AnnealingConfig
from qecforge_annealing.views import ANNEALING

__all__ = ["AnnealingConfig", "make", "qecforge_agents"]


def make(config: AnnealingConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_annealing.agent import Annealing

    return Annealing(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`annealing`."""
    return [
        AgentSpec(
            name="annealing",
            summary="Simulated annealing over whole sequences of actions; seeks the shortest that reach the target",
            config=AnnealingConfig,
            make=make,
            trains_on=frozenset({"discrete"}),
            view=ANNEALING,
        )
    ]
