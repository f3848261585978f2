"""The tiny model: a decoder with rotary positions, LayerNorm before each part, and the embedding as its last layer.

Shapes: N tokens of all rows, one after the other; P prompts, G completions of each, B = P x G; W width, H heads,
D = W / H, V tokens of the vocabulary. Layers other than attention see a list of tokens, so that nothing is computed for
padding, and a prompt once for all of its completions.

Source: rotary positions Su et al. 2021, arXiv 2104.09864; LayerNorm before each part Xiong et al. 2020, arXiv
2002.04745.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge_grpo.text.attending import Cache, Packed
from qecforge_grpo.text.config import DecoderConfig

__all__ = ["Decoder"]

_BASE = 10_000.0
"""Of the rotary frequencies (Su et al.: 10,000)."""

Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Layer, and queries, keys and values (N, H, D), to what each token attends to, (N, W)."""


class _Block(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(width, bias=False)
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.norm_perceptron = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, states: Tensor, turns: Tensor, attend: Attend, layer: int) -> Tensor:
        split = self.projections(self.norm_attention(states)).view(len(states), 3, self.heads, -1)
        queries, keys = _turned(split[:, :2], turns).unbind(1)
        states = states + self.output(attend(layer, queries, keys, split[:, 2]))
        grown: Tensor = states + self.down(functional.gelu(self.up(self.norm_perceptron(states))))
        return grown


class Decoder(nn.Module):
    """Tokens to logits of the next token.

    Args:
        vocabulary: Tokens that there are.
        generator: Draws the weights.
    """

    turns: Tensor

    def __init__(self, config: DecoderConfig, vocabulary: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        half = config.width // config.heads // 2
        rates = _BASE ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(config.context, dtype=torch.float64).unsqueeze(1) * rates
        turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
        self.register_buffer("turns", turns, persistent=False)
        self._draw(generator)

    def forward(self, packed: Packed) -> Tensor:
        """Logits before each token of the completions, row after row: (tokens, V)."""
        states = self._states(packed.tokens, packed.columns, lambda _, *projected: packed.attend(*projected))
        return self._logits(states.index_select(0, packed.asking))

    def read(self, tokens: Tensor, lengths: Tensor, *, times: int, room: int) -> tuple[Tensor, Cache]:
        """Read prompts (P, S), padded on the right, of `lengths` (P,).

        Returns:
            Logits (P, V) of what follows, and a cache for `times` completions of each prompt, of at most `room` tokens.
        """
        packed = Packed.of_prompts(tokens, lengths)
        cache = Cache(lengths, times=times, room=room, layers=self.config.layers)

        def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            cache.add_prompts(*packed.prompt_columns(keys, values))
            return packed.attend(queries, keys, values)

        states = self._states(packed.tokens, packed.columns, attend)
        return self._logits(states.index_select(0, packed.lasts)), cache

    def extended(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Logits (B, V) of what follows, after one more token (B,) of each completion, which is added to the cache."""
        states = self._states(tokens, cache.columns(), cache.attend)
        cache.filled += 1
        return self._logits(states)

    def _states(self, tokens: Tensor, columns: Tensor, attend: Attend) -> Tensor:
        """(N, W); `columns` are places within a row, from 0."""
        turns = self.turns[columns][:, None, None]
        # As large as what the blocks add, so that the token stays to be read (Vaswani et al. 2017, section 3.4).
        states: Tensor = self.embedding(tokens) * math.sqrt(self.config.width)
        for layer, block in enumerate(self.blocks):
            states = block(states, turns, attend, layer)
        return states

    def _logits(self, states: Tensor) -> Tensor:
        return functional.linear(self.norm(states), self.embedding.weight)

    def _draw(self, generator: torch.Generator) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into = parameter.shape[1]
                deep = name.endswith(("output.weight", "down.weight"))
                scale = 1 / math.sqrt(into) / (math.sqrt(2 * self.config.layers) if deep else 1)
                nn.init.normal_(parameter, std=scale, generator=generator)


def _turned(states: Tensor, turns: Tensor) -> Tensor:
    """(N, 2, H, D) with each two neighbouring numbers turned by the angles of their column, (N, 1, 1, D / 2)."""
    pairs = torch.view_as_complex(states.reshape(*states.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)
