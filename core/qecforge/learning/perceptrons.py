"""Stacked perceptrons and softmax policies over them: what agents for discrete actions share.

Shapes: A networks side by side, M samples of each, N actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qecforge.learning.activations import activation_function, activation_module

__all__ = ["StackedMlp", "entropy_of", "masked_log_softmax", "sample_actions"]

_MASKED = -1e9
"""Logit of a forbidden action: its probability is exactly 0 in float32, its contribution p log p to the entropy too."""


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


def entropy_of(log_probs: Tensor) -> Tensor:
    """Mean entropy of each agent's distributions, nats: (A, M, N) -> (A,). Forbidden actions add exactly 0."""
    return -(log_probs.exp() * log_probs).sum(-1).mean(-1)


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
        function = activation_function(self.activation)
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
                modules.append(activation_module(self.activation))
        return modules
