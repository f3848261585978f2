"""Agent `parameter_filter`: a `FilterSearch` at work on an environment."""

from __future__ import annotations

import numpy as np

from qecforge.contracts import Environment
from qecforge.parameters import ParameterAgent
from qecforge_filter.config import ParameterFilterConfig
from qecforge_filter.search import FilterSearch

__all__ = ["ParameterFilter"]


class ParameterFilter(ParameterAgent):
    """The loop, and what it reports, is `ParameterAgent`'s."""

    name = "parameter_filter"
    config: ParameterFilterConfig

    def __init__(self, config: ParameterFilterConfig) -> None:
        super().__init__(config)

    @property
    def initial_sigma(self) -> float:
        """The deviation of candidates."""
        return self.config.exploration

    def search(self, env: Environment, seed: int) -> FilterSearch:
        """A fresh search for `env`, to ask and tell it by hand. Raises `ConfigurationError` where the environment
        does not say by how much its objectives depend on parameters."""
        env = self.checked(env)
        return FilterSearch(
            self.config,
            env.initial_parameters,
            env.exploration_scale,
            num_objectives=int(np.prod(env.reward_space.shape)),
            factor_graph=env.factor_graph,
            seed=seed,
        )
