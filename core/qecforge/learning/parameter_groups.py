"""Optimizers for networks whose parts ask for learning rates of their own.

An agent knows its network's weights; a part of the network may hold parameters of another kind, whose scale is not that
of weights. Such a part, any submodule, has a method `own_parameter_groups`; the agent's optimizer then keeps the
agent's settings for all other parameters, and the part's for those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from qecforge.learning.optimizers import spare_compiler

__all__ = ["HasOwnParameterGroups", "ParameterGroup", "adamw_of", "follow_learning_rate", "shared_parameters"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with settings of their own.

    Attributes:
        learning_rate: Adam's step size, constant through the training.
        epsilon: Adam's; gradients far below it move nothing.
    """

    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    epsilon: float


@runtime_checkable
class HasOwnParameterGroups(Protocol):
    """A module some of whose parameters are not to be trained with the agent's settings."""

    def own_parameter_groups(self) -> list[ParameterGroup]:
        """Always in the same order, each parameter once. They have neither weight decay nor a share in the norm by
        which an agent clips gradients."""
        ...


def shared_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters that have the agent's settings, in the module's order."""
    own = {id(parameter) for group in _own_groups(module) for parameter in group.parameters}
    return [each for each in module.parameters() if each.requires_grad and id(each) not in own]


def adamw_of(module: nn.Module, *, learning_rate: float, epsilon: float, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW: the agent's settings in the first group, then the groups that parts of `module` ask for."""
    spare_compiler()
    groups = [{"params": shared_parameters(module)}]
    for group in _own_groups(module):
        own = {"params": list(group.parameters), "lr": group.learning_rate, "eps": group.epsilon, "weight_decay": 0.0}
        groups.append(own)  # type: ignore[arg-type]
    return torch.optim.AdamW(groups, lr=learning_rate, eps=epsilon, weight_decay=weight_decay, fused=True)


def follow_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the agent's learning rate; groups that parts of the network asked for keep theirs."""
    optimizer.param_groups[0]["lr"] = learning_rate


def _own_groups(module: nn.Module) -> list[ParameterGroup]:
    """Groups that hold any parameters, of all submodules."""
    found = [
        group
        for part in module.modules()
        if isinstance(part, HasOwnParameterGroups)
        for group in part.own_parameter_groups()
    ]
    return [group for group in found if group.parameters]
