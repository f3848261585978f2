"""The networks: A independent perceptrons held as batched weights, and the policy that one of them becomes.

Shapes: A agents, M samples per agent, D observation elements, N actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge.inference.module_policy import ModulePolicy
from qecforge_ppo.config import NetworkConfig

__all__ = ["ActorCritic", "ModuleActor", "StackedMlp", "masked_log_softmax", "sample_actions"]

_MASKED = -1e9
"""Logit of a forbidden action: its probability is exactly 0 in float32, its contribution p log p to the entropy too."""

_FUNCTIONS = {
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


def masked_log_softmax(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Logarithm of pi(a|s) over the last axis; about -1e9, not infinite, where `mask` (bool, same shape) is False."""
    if mask is not None:
        logits = logits.masked_fill(~mask, _MASKED)
    return logits.log_softmax(-1)


def sample_actions(log_probs: Tensor, uniforms: Tensor) -> Tensor:
    """Actions (...,) int64 from log probabilities (..., N) by inverting the distribution function.

    Args:
        log_probs: As `masked_log_softmax` gives them. An action of probability 0 is never drawn.
        uniforms: (..., 1) float32 in [0, 1).
    """
    cdf = log_probs.exp().cumsum(-1)
    # Strictly below the total, whatever the rounding: else a trailing action of probability 0 could be reached.
    threshold = uniforms * (cdf[..., -1:] * (1.0 - 2.0**-22))
    return torch.searchsorted(cdf, threshold, right=True).squeeze(-1)


class StackedMlp(nn.Module):
    """A perceptrons of the same shape: (A, M, sizes[0]) -> (A, M, sizes[-1]), the activation between layers.

    Args:
        sizes: Units of each layer, input first.
        gains: Gain of each layer's orthogonal initialisation; biases start at 0.
        generators: One per agent, for its initial weights.
        final_activation: Whether the last layer is followed by the activation too (a torso).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        gains: Sequence[float],
        generators: Sequence[torch.Generator],
        *,
        final_activation: bool = False,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.final_activation = final_activation
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out, gain in zip(sizes[:-1], sizes[1:], gains, strict=True):
            weight = torch.empty(len(generators), fan_in, fan_out)
            for agent, generator in enumerate(generators):
                nn.init.orthogonal_(weight[agent], gain, generator=generator)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(len(generators), 1, fan_out)))

    def forward(self, x: Tensor) -> Tensor:
        """(A, M, sizes[0]) -> (A, M, sizes[-1])."""
        function = _FUNCTIONS[self.activation]
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last or self.final_activation:
                x = function(x)
        return x

    def layers(self, agent: int) -> list[nn.Module]:
        """One agent's perceptron as a list of `torch.nn` layers, weights copied."""
        modules: list[nn.Module] = []
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            linear = nn.Linear(weight.shape[1], weight.shape[2])
            with torch.no_grad():
                linear.weight.copy_(weight[agent].T)
                linear.bias.copy_(bias[agent, 0])
            modules.append(linear)
            if layer < last or self.final_activation:
                modules.append(_MODULES[self.activation]())
        return modules


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
