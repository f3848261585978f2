"""The twin critics, as batched products: both are held in tensors whose first axis is the critic.

Shapes: B samples, D observation elements, A actions, h1 and h2 hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge_td3.config import TD3Config

__all__ = ["BatchRenorm", "TwinCritic"]


class TwinCritic(nn.Module):
    """Two critics of the paper's two segments, [D, h1] and [h1 + A, h2, 1]: Q_1(s, a) and Q_2(s, a).

    Source: arXiv:2503.09119, table 2. `batch_renorm` normalises what enters each layer, `layer_norm` what each hidden
    layer gives before its activation.
    """

    def __init__(self, inputs: int, actions: int, config: TD3Config, generator: torch.Generator) -> None:
        super().__init__()
        h1, h2 = config.critic_hidden
        joined = h1 + actions

        def uniform(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator))

        self.weight_1, self.bias_1 = uniform(2 * h1, inputs, fan_in=inputs), uniform(2, 1, h1, fan_in=inputs)
        self.weight_2, self.bias_2 = uniform(2, joined, h2, fan_in=joined), uniform(2, 1, h2, fan_in=joined)
        self.weight_3, self.bias_3 = uniform(2, h2, 1, fan_in=h2), uniform(2, 1, 1, fan_in=h2)
        self.norms = nn.ModuleList()
        if config.critic == "layer_norm":
            self.norms = nn.ModuleList([TwinLayerNorm(h1), TwinLayerNorm(h2)])
        elif config.critic == "batch_renorm":
            self.norms = nn.ModuleList([BatchRenorm((1, inputs)), BatchRenorm((2, joined)), BatchRenorm((2, h2))])
        self.kind = config.critic

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        """(B, D) and (B, A) -> (2, B)."""
        renorm = self.norms if self.kind == "batch_renorm" else None
        if renorm is not None:
            s = renorm[0](s[None])[0]
        samples = len(s)
        first = functional.linear(s, self.weight_1).view(samples, 2, -1).transpose(0, 1) + self.bias_1
        if self.kind == "layer_norm":
            first = self.norms[0](first)
        joined = torch.cat([functional.leaky_relu(first), a.expand(2, -1, -1)], 2)
        if renorm is not None:
            joined = renorm[1](joined)
        second = torch.baddbmm(self.bias_2, joined, self.weight_2)
        if self.kind == "layer_norm":
            second = self.norms[1](second)
        second = functional.leaky_relu(second)
        if renorm is not None:
            second = renorm[2](second)
        return torch.baddbmm(self.bias_3, second, self.weight_3).squeeze(-1)

    def first(self, s: Tensor, a: Tensor) -> Tensor:
        """Q_1 alone, by which the actor is improved: (B, D) and (B, A) -> (B,)."""
        if self.kind != "plain":
            value: Tensor = self(s, a)[0]
            return value
        h1 = self.bias_1.shape[-1]
        hidden = functional.leaky_relu(functional.linear(s, self.weight_1[:h1], self.bias_1[0, 0]))
        joined = torch.cat([hidden, a], 1)
        hidden = functional.leaky_relu(torch.addmm(self.bias_2[0], joined, self.weight_2[0]))
        return torch.addmm(self.bias_3[0], hidden, self.weight_3[0]).squeeze(-1)


class TwinLayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016) of (2, B, width), with a scale and a shift for each critic."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(2, 1, width)), nn.Parameter(torch.zeros(2, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(2, B, width) -> the same."""
        return torch.addcmul(self.shift, functional.layer_norm(x, x.shape[-1:]), self.scale)


class BatchRenorm(nn.Module):
    """Batch renormalisation (Ioffe 2017) of (C, B, width) over the batch, C critics.

    While training the statistics are the batch's, corrected towards the running ones by r and d, which are held within
    bounds, and count from the update `warm_up` on; otherwise the running ones. Values as in CrossQ (Bhatt et al. 2024):
    momentum 0.99, warm-up 100,000 updates, r at most 3, d at most 5.

    Args:
        shape: (C, width).
    """

    momentum, warm_up, r_max, d_max, epsilon = 0.01, 100_000, 3.0, 5.0, 1e-3

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        critics, width = shape
        self.scale, self.shift = (
            nn.Parameter(torch.ones(critics, 1, width)),
            nn.Parameter(torch.zeros(critics, 1, width)),
        )
        self.mean: Tensor
        self.variance: Tensor
        self.updates: Tensor
        self.register_buffer("mean", torch.zeros(critics, 1, width))
        self.register_buffer("variance", torch.ones(critics, 1, width))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """(C, B, width) -> the same."""
        if not self.training:
            scale = self.scale * torch.rsqrt(self.variance + self.epsilon)
            return torch.addcmul(self.shift, x - self.mean, scale)
        variance, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
        normal = (x - mean) * torch.rsqrt(variance + self.epsilon)
        r: Tensor | None = None
        d: Tensor | None = None
        with torch.no_grad():
            if int(self.updates) >= self.warm_up:
                running = torch.sqrt(self.variance + self.epsilon)
                r = (torch.sqrt(variance + self.epsilon) / running).clamp_(1 / self.r_max, self.r_max)
                d = ((mean - self.mean) / running).clamp_(-self.d_max, self.d_max)
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance, self.momentum)
            self.updates += 1
        if r is not None and d is not None:
            normal = normal * r + d
        return torch.addcmul(self.shift, normal, self.scale)
