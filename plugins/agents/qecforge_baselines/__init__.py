"""Agents `cma_es` and `spsa`: what a user would otherwise search a space of parameters with, for comparison."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, hookimpl
from qecforge.parameters import check_search
from qecforge_baselines.config import CMAESConfig, SPSAConfig
from qecforge_baselines.views import SEARCH

__all__ = ["CMAESConfig", "SPSAConfig", "make_cma_es", "make_spsa", "qecforge_agents"]


def make_cma_es(config: CMAESConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_baselines.agents import CMAES

    return CMAES(config)


def make_spsa(config: SPSAConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_baselines.agents import SPSA

    return SPSA(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`cma_es` and `spsa`."""
    return [
        AgentSpec(
            name="cma_es",
            summary="Baseline: CMA-ES of the library cma, on the mean of all objectives; diagonal where there are many",
            config=CMAESConfig,
            make=make_cma_es,
            trains_on=frozenset({"parameters"}),
            check=check_search,
            view=SEARCH,
        ),
        AgentSpec(
            name="spsa",
            summary="Baseline: simultaneous perturbation (SPSA), on the mean of all objectives",
            config=SPSAConfig,
            make=make_spsa,
            trains_on=frozenset({"parameters"}),
            check=check_search,
            view=SEARCH,
        ),
    ]
