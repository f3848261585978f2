"""Agent `parameter_ppo`: a `ParameterSearch` at work on an environment."""

from __future__ import annotations

import numpy as np

from qecforge.contracts import Environment
from qecforge.parameters import ParameterAgent
from qecforge_ppo.parameters.config import ParameterPPOConfig
from qecforge_ppo.parameters.search import ParameterSearch

__all__ = ["ParameterPPO"]


class ParameterPPO(ParameterAgent):
    """Parameter-exploring PPO. The loop, and what it reports, is `ParameterAgent`'s."""

    name = "parameter_ppo"
    keeps_limits = True
    config: ParameterPPOConfig

    def __init__(self, config: ParameterPPOConfig) -> None:
        super().__init__(config)

    @property
    def initial_sigma(self) -> float:
        """As configured."""
        return self.config.initial_sigma

    def search(self, env: Environment, seed: int) -> ParameterSearch:
        """A fresh search for `env`, to ask and tell it by hand."""
        env = self.checked(env)
        return ParameterSearch(
            self.config,
            env.initial_parameters,
            env.exploration_scale,
            num_objectives=int(np.prod(env.reward_space.shape)),
            factor_graph=env.factor_graph,
            seed=seed,
            parameter_names=env.parameter_names,
            limits=env.limits,
        )
