"""Agent `parameter_filter`: a Kalman filter that follows the optimum of every parameter, where it is known beforehand
by how much detection rates depend on them."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, hookimpl
from qecforge.parameters import check_search
from qecforge_filter.config import ParameterFilterConfig
from qecforge_filter.views import FILTER

__all__ = ["ParameterFilterConfig", "make_parameter_filter", "qecforge_agents"]


def make_parameter_filter(config: ParameterFilterConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_filter.agent import ParameterFilter

    return ParameterFilter(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`parameter_filter`."""
    return [
        AgentSpec(
            name="parameter_filter",
            summary="Follows drifting optima by a Kalman filter, given by how much objectives depend on parameters",
            config=ParameterFilterConfig,
            make=make_parameter_filter,
            trains_on=frozenset({"parameters"}),
            check=check_search,
            view=FILTER,
        )
    ]
