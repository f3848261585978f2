"""Agent `parameter_ppo`: a Gaussian over whole parameter vectors, trained by clipped policy gradients."""

from __future__ import annotations

from qecforge_ppo.parameters.config import ParameterPPOConfig

__all__ = ["ParameterPPOConfig"]
