"""What a manifest says about a perceptron."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from qecforge.contracts.config import PluginConfig

__all__ = ["Activation", "PerceptronConfig", "Width"]

Activation: TypeAlias = Literal["tanh", "relu", "gelu", "silu", "elu", "leaky_relu"]
Width: TypeAlias = Annotated[int, Field(ge=1)]


class PerceptronConfig(PluginConfig):
    """A multilayer perceptron for the policy."""

    hidden_sizes: tuple[Width, ...] = Field(default=(64, 64), description="Units of each hidden layer of the policy.")
    activation: Activation = Field(default="tanh", description="After each hidden layer. APQ paper: gelu.")
    hidden_gain: float = Field(
        default=math.sqrt(2),
        gt=0,
        description="Gain of the orthogonal initialisation of hidden layers (CleanRL: sqrt 2).",
    )
    policy_gain: float = Field(default=0.01, gt=0, description="Gain of the policy's last layer (CleanRL: 0.01).")
