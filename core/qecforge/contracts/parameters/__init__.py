"""What an environment says of its parameters: which objectives depend on them, and where they may go."""

from __future__ import annotations

from qecforge.contracts.parameters.factor_graph import FactorGraph, FactorGraphStatistics
from qecforge.contracts.parameters.limits import ParameterLimits

__all__ = ["FactorGraph", "FactorGraphStatistics", "ParameterLimits"]
