"""The actor: PreDNN, a block, PostDNN.

Symbols as in the paper: s observations, q_in what PreDNN gives to the block, q_out the block's bits, a actions. Actions
are in halves of the environment's range here: each lies in -1..1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge_td3.blocks import Block, Pqc, make_block, needed
from qecforge_td3.config import TD3Config
from qecforge_td3.quantum import spread_pairs

__all__ = ["Actor", "Explored", "HybridActor", "PlainActor", "make_actor"]


class Explored(NamedTuple):
    """What one pass of the actor gave: actions (B, A), and q_in (B, I) and q_out (B, n) for the replay."""

    actions: Tensor
    q_in: Tensor
    q_out: Tensor


class Actor(nn.Module):
    """From observations (B, D), float32, to actions (B, A) in -1..1."""

    def explore(self, s: Tensor, rng: np.random.Generator | None) -> Explored:
        """Actions as they are taken (A.2): the block as it is, its bits drawn with `rng`."""
        raise NotImplementedError

    def surrogate(self, s: Tensor, rng: np.random.Generator) -> Tensor:
        """Actions with what stands for the block where it is differentiated."""
        raise NotImplementedError


class HybridActor(Actor):
    """PreDNN [D, pre_hidden, I + links], the block from I inputs to n bits, PostDNN [n + links, post_hidden, A].

    Source: arXiv:2503.09119, figure 2 and table 2; tanh at the end as in TD3.
    """

    def __init__(self, inputs: int, actions: int, config: TD3Config, block: Block, generator: torch.Generator) -> None:
        super().__init__()
        self.width, n = config.circuit_inputs, config.qubits
        self.pre_1 = _linear(inputs, config.pre_hidden, generator)
        self.pre_2 = _linear(config.pre_hidden, self.width + config.links, generator)
        self.post_1 = _linear(n + config.links, config.post_hidden, generator)
        self.post_2 = _linear(config.post_hidden, actions, generator)
        self.block = block
        if isinstance(block, Pqc):
            spread_pairs(self.pre_2, block.paper_circuit, generator, first=block.paper_circuit.angles)

    def pre(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) -> q_in (B, I) and links (B, l)."""
        hidden = functional.leaky_relu(self.pre_1(s))
        out: Tensor = self.pre_2(hidden)
        return out[:, : self.width], out[:, self.width :]

    def post(self, q_out: Tensor, links: Tensor) -> Tensor:
        """Bits (B, n) and links (B, l) -> actions (B, A)."""
        hidden = functional.leaky_relu(self.post_1(torch.cat([q_out, links], 1)))
        return torch.tanh(self.post_2(hidden))

    def explore(self, s: Tensor, rng: np.random.Generator | None) -> Explored:
        """See `Actor.explore`."""
        q_in, links = self.pre(s)
        q_out = self.block.sample(q_in, rng)
        return Explored(self.post(q_out, links), q_in, q_out)

    def surrogate(self, s: Tensor, rng: np.random.Generator) -> Tensor:
        """See `Actor.surrogate`."""
        q_in, links = self.pre(s)
        return self.post(self.block.mean(q_in, rng), links)


class PlainActor(Actor):
    """TD3's actor: [D, pre_hidden, post_hidden, A]. It has no q_in and no q_out: those are (B, 0).

    With `hidden_noise` normal noise enters its second hidden layer in every pass, as a block's random bits enter
    PostDNN's [ours].
    """

    def __init__(self, inputs: int, actions: int, config: TD3Config, generator: torch.Generator) -> None:
        super().__init__()
        self.layer_1 = _linear(inputs, config.pre_hidden, generator)
        self.layer_2 = _linear(config.pre_hidden, config.post_hidden, generator)
        self.layer_3 = _linear(config.post_hidden, actions, generator)
        self.hidden_noise = config.hidden_noise

    def forward(self, s: Tensor, rng: np.random.Generator | None = None) -> Tensor:
        """(B, D) -> (B, A)."""
        hidden = self.layer_2(functional.leaky_relu(self.layer_1(s)))
        if self.hidden_noise:
            noise = needed(rng, "noise of the hidden layer").standard_normal(hidden.shape, dtype=np.float32)
            hidden = hidden + self.hidden_noise * torch.from_numpy(noise).to(hidden)
        return torch.tanh(self.layer_3(functional.leaky_relu(hidden)))

    def perceptron(self) -> nn.Sequential:
        """The same network, its noise left out, of the same parameters."""
        return nn.Sequential(self.layer_1, nn.LeakyReLU(), self.layer_2, nn.LeakyReLU(), self.layer_3, nn.Tanh())

    def explore(self, s: Tensor, rng: np.random.Generator | None) -> Explored:
        """See `Actor.explore`."""
        actions: Tensor = self(s, rng)
        nothing = actions.new_empty(len(s), 0)
        return Explored(actions, nothing, nothing)

    def surrogate(self, s: Tensor, rng: np.random.Generator) -> Tensor:
        """See `Actor.surrogate`."""
        actions: Tensor = self(s, rng)
        return actions


def make_actor(inputs: int, actions: int, config: TD3Config, generator: torch.Generator) -> Actor:
    """The actor that `config` describes, with fresh weights."""
    if config.block == "none":
        return PlainActor(inputs, actions, config, generator)
    return HybridActor(inputs, actions, config, make_block(config, generator), generator)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer with torch's own initial weights, uniform in +-1 / sqrt(inputs), drawn with `generator`."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    bound = inputs**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
