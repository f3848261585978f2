"""The networks: A independent perceptrons held as batched weights, and the policy that one of them becomes.

Shapes: A agents, M samples per agent, D observation elements, N actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qecforge.inference.module_policy import ModulePolicy
from qecforge.learning.perceptrons import StackedMlp
from qecforge_ppo.config import NetworkConfig

__all__ = ["ActorCritic", "ModuleActor"]


class ModuleActor(nn.Module):
    """Any module (M, *observation_shape) -> (M, N) as a stack of one."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.module = module
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(1, M, D) -> (1, M, N)."""
        logits: Tensor = self.module(x[0].view(-1, *self.shape))
        return logits[None]


class ActorCritic(nn.Module):
    """Policies and values of A agents. The value has a torso of its own, or a head on the policy's (`shared`)."""

    def __init__(
        self, inputs: int, actions: int, network: NetworkConfig, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        hidden = network.hidden_sizes
        own = hidden if isinstance(network.value, str) else network.value
        activation = network.activation
        self.actor: nn.Module
        self.torso: StackedMlp | None = None
        if network.value == "shared":
            width = (inputs, *hidden)[-1]
            gains = [network.hidden_gain] * len(hidden)
            self.torso = StackedMlp((inputs, *hidden), activation, gains, generators, final_activation=True)
            self.actor = StackedMlp((width, actions), activation, (network.policy_gain,), generators)
            self.critic: nn.Module = StackedMlp((width, 1), activation, (network.value_gain,), generators)
        else:
            gains = [network.hidden_gain] * len(hidden) + [network.policy_gain]
            self.actor = StackedMlp((inputs, *hidden, actions), activation, gains, generators)
            gains = [network.hidden_gain] * len(own) + [network.value_gain]
            self.critic = StackedMlp((inputs, *own, 1), activation, gains, generators)

    def logits(self, observations: Tensor) -> Tensor:
        """(A, M, D) float32 -> (A, M, N)."""
        logits: Tensor = self.actor(observations if self.torso is None else self.torso(observations))
        return logits

    def values(self, observations: Tensor) -> Tensor:
        """(A, M, D) float32 -> (A, M)."""
        values: Tensor = self.critic(observations if self.torso is None else self.torso(observations))
        return values.squeeze(-1)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (A, M, N) and values (A, M); a shared torso is evaluated once."""
        features = observations if self.torso is None else self.torso(observations)
        return self.actor(features), self.critic(features).squeeze(-1)

    def actor_module(self, agent: int) -> nn.Module:
        """From flat observations to logits: one agent's layers, weights copied, or the given policy's own module."""
        if isinstance(self.actor, ModuleActor):
            return self.actor.module
        if not isinstance(self.actor, StackedMlp):
            raise TypeError(f"{type(self.actor).__name__} has no layers")
        torso = [] if self.torso is None else self.torso.layers(agent)
        return nn.Sequential(*torso, *self.actor.layers(agent))

    def policy(self, agent: int, observation_shape: tuple[int, ...], start: int) -> ModulePolicy:
        """One agent's policy with its value network, weights copied to the CPU."""
        if not (isinstance(self.actor, StackedMlp) and isinstance(self.critic, StackedMlp)):
            raise TypeError("the actor is a given policy's module: that policy is the result")
        torso = [] if self.torso is None else self.torso.layers(agent)
        flatten: list[nn.Module] = [] if len(observation_shape) == 1 else [nn.Flatten()]
        module = nn.Sequential(*flatten, *torso, *self.actor.layers(agent))
        torso = [] if self.torso is None else self.torso.layers(agent)
        value = nn.Sequential(*flatten, *torso, *self.critic.layers(agent))
        return ModulePolicy(module.cpu(), value.cpu(), start=start)
