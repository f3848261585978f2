"""The elementwise functions that networks may have between their layers, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge.errors import ConfigurationError

__all__ = ["ACTIVATIONS", "activation_function", "activation_minimum", "activation_module"]

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
    "leaky_relu": functional.leaky_relu,
}
_MODULES: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}
_MINIMA = {"tanh": -1.0, "relu": 0.0, "gelu": -0.16997120747990369, "silu": -0.27846454276107374, "elu": -1.0}

ACTIVATIONS = tuple(_FUNCTIONS)
"""Names of the activations that a network may have."""


def activation_function(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function called `name`, with torch's default parameters.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name not in _FUNCTIONS:
        raise ConfigurationError(f"activation: got {name!r}, expected one of {', '.join(ACTIVATIONS)}")
    return _FUNCTIONS[name]


def activation_minimum(name: str) -> float | None:
    """The least value that the activation takes, or tends to; None where it has no lower bound."""
    activation_function(name)
    return _MINIMA.get(name)


def activation_module(name: str) -> nn.Module:
    """The module of the function called `name`. Raises `ConfigurationError` where there is none."""
    activation_function(name)
    return _MODULES[name]()
