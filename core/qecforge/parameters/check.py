"""What can be known of a search before anything runs: whether the environment lasts as long."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from qecforge.contracts.config import PluginConfig
from qecforge.parameters.config import ParameterAgentConfig

__all__ = ["CountedEpochs", "check_search"]


@runtime_checkable
class CountedEpochs(Protocol):
    """The configuration of an environment that may know no epoch after some, such as the last of a table."""

    def check_epochs(self, epochs: int) -> None:
        """Raises `ValueError` if a search of this many epochs reaches an epoch that is not known."""
        ...


def check_search(environment: PluginConfig, agent: ParameterAgentConfig) -> None:
    """`AgentSpec.check` of agents for parameters. Raises `ValueError` where the search outlasts the environment."""
    if isinstance(environment, CountedEpochs):
        environment.check_epochs(agent.total_epochs)
