"""Agents `cma_es` and `spsa`: what a user would otherwise search a space of parameters with, for comparison."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.hookspecs import Agent, AgentSpec, PluginConfig, hookimpl
from qecforge_baselines.config import CMAESConfig, SPSAConfig

__all__ = ["CMAESConfig", "SPSAConfig", "make_cma_es", "make_spsa", "qecforge_agents"]


def make_cma_es(config: PluginConfig) -> Agent:
    """The agent that `config`, a `CMAESConfig`, describes."""
    from qecforge_baselines.agents import CMAES

    return CMAES(CMAESConfig.model_validate(config))


def make_spsa(config: PluginConfig) -> Agent:
    """The agent that `config`, an `SPSAConfig`, describes."""
    from qecforge_baselines.agents import SPSA

    return SPSA(SPSAConfig.model_validate(config))


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
        ),
        AgentSpec(
            name="spsa",
            summary="Baseline: simultaneous perturbation (SPSA), on the mean of all objectives",
            config=SPSAConfig,
            make=make_spsa,
            trains_on=frozenset({"parameters"}),
        ),
    ]
