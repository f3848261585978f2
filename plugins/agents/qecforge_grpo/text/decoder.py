"""The tiny model: a decoder with rotary positions, LayerNorm before each part, and the embedding as its last layer.

Shapes: B rows, S tokens, W width, H heads, D = W / H, V tokens of the vocabulary. Positions are relative: rows that are
padded on the left, so that their prompts end in one column, have the same states.

Source: rotary positions Su et al. 2021, arXiv 2104.09864; LayerNorm before each part Xiong et al. 2020, arXiv
2002.04745.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge_grpo.text.config import DecoderConfig

__all__ = ["Cache", "Decoder"]

_BASE = 10_000.0
"""Of the rotary frequencies (Su et al.: 10,000)."""


@dataclass
class Cache:
    """Keys and values of the columns so far.

    Attributes:
        keys, values: (layers, B, H, columns, D); those from `filled` on are not yet set.
        seen: (B, columns) bool, False where a row is padded.
        filled: Columns that are set.
    """

    keys: Tensor
    values: Tensor
    seen: Tensor
    filled: int = 0

    def repeated(self, times: int) -> Cache:
        """Each row so many times, one after the other."""
        return Cache(
            self.keys.repeat_interleave(times, 1),
            self.values.repeat_interleave(times, 1),
            self.seen.repeat_interleave(times, 0),
            self.filled,
        )


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

    def forward(self, states: Tensor, turns: Tensor, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        rows, length, width = states.shape
        split = self.projections(self.norm_attention(states)).view(rows, length, 3, self.heads, -1)
        queries, keys = _turned(split[:, :, :2], turns).transpose(1, 3).unbind(2)
        values = split[:, :, 2].transpose(1, 2)
        if cache is not None:
            end = cache.filled + length
            cache.keys[layer, :, :, cache.filled : end] = keys
            cache.values[layer, :, :, cache.filled : end] = values
            keys, values = cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=mask is None
        )
        states = states + self.output(attended.transpose(1, 2).reshape(rows, length, width))
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

    def forward(self, tokens: Tensor, asking: Tensor) -> Tensor:
        """Logits (N, V) of what follows each of the N tokens in `asking`, row after row.

        Args:
            tokens: (B, S) int64, at most `context` columns; a row is padded on the right, where nothing asks.
            asking: (B, S) bool.
        """
        return self._logits(self._states(tokens, None, None)[asking])

    def extended(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Logits (B, V) of what follows, after new columns (B, S), which are added to the cache; `cache.seen` says
        which of them are padding."""
        states = self._states(tokens, cache.seen[:, : cache.filled + tokens.shape[1]], cache)
        cache.filled += tokens.shape[1]
        return self._logits(states[:, -1])

    def empty_cache(self, seen: Tensor) -> Cache:
        """For rows and columns of `seen` (B, columns)."""
        config = self.config
        shape = (config.layers, len(seen), config.heads, seen.shape[1], config.width // config.heads)
        return Cache(torch.zeros(shape), torch.zeros(shape), seen)

    def _states(self, tokens: Tensor, seen: Tensor | None, cache: Cache | None) -> Tensor:
        """(B, S, W); without `seen` each token sees all before it."""
        before = 0 if cache is None else cache.filled
        end = before + tokens.shape[1]
        mask = None if seen is None else seen[:, None, None, :]
        if mask is not None and tokens.shape[1] > 1:
            columns = torch.arange(end)
            asking = columns[before:, None]
            # A padded column sees itself, so that its softmax is of something.
            mask = mask & (columns <= asking) | (columns == asking)
        turns = self.turns[before:end, None, None]
        # As large as what the blocks add, so that the token stays to be read (Vaswani et al. 2017, section 3.4).
        states: Tensor = self.embedding(tokens) * math.sqrt(self.config.width)
        for layer, block in enumerate(self.blocks):
            states = block(states, turns, mask, cache, layer)
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
    """(B, S, 2, H, D) with each two neighbouring numbers turned by the angles of their column, (S, 1, 1, D / 2)."""
    pairs = torch.view_as_complex(states.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)
