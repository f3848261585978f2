"""Agents `cma_es` and `spsa`: their searches at work on an environment."""

from __future__ import annotations

from qecforge.contracts import Environment
from qecforge.parameters import ParameterAgent
from qecforge_baselines.cma_es import CMAESSearch
from qecforge_baselines.config import CMAESConfig, SPSAConfig
from qecforge_baselines.spsa import SPSASearch
from qecforge_baselines.units import Units

__all__ = ["CMAES", "SPSA"]


class CMAES(ParameterAgent):
    """The library cma. The loop, and what it reports, is `ParameterAgent`'s."""

    name = "cma_es"
    config: CMAESConfig

    def __init__(self, config: CMAESConfig) -> None:
        super().__init__(config)

    @property
    def initial_sigma(self) -> float:
        """As configured."""
        return self.config.initial_sigma

    def search(self, env: Environment, seed: int) -> CMAESSearch:
        """A fresh search for `env`, to ask and tell it by hand. Raises `MissingDependency` where cma is absent."""
        return CMAESSearch(self.config, Units.of(self.name, self.checked(env)), seed=seed)


class SPSA(ParameterAgent):
    """Simultaneous perturbation. The loop, and what it reports, is `ParameterAgent`'s."""

    name = "spsa"
    keeps_limits = True
    config: SPSAConfig

    def __init__(self, config: SPSAConfig) -> None:
        super().__init__(config)

    @property
    def initial_sigma(self) -> float:
        """The first perturbation."""
        return self.config.perturbation

    def search(self, env: Environment, seed: int) -> SPSASearch:
        """A fresh search for `env`, to ask and tell it by hand."""
        return SPSASearch(self.config, Units.of(self.name, self.checked(env)), seed=seed)
