"""Attention of completions to their prompts and to themselves: of whole rows that are learned from, and one token at a
time through a cache. A prompt's keys and values are there once for all of its completions.

Shapes: as in `qecforge_grpo.text.decoder`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Cache", "Packed"]


@dataclass(frozen=True)
class Packed:
    """Prompts with their completions as one list of tokens: all tokens of the prompts, then of the completions all but
    each one's last, after which nothing is asked.

    Attributes:
        tokens: (N,) int64.
        columns: (N,) int64, of each token in its row.
        prompt_places, places: Of the tokens of prompts, and of completions, in (P, S) and (B, T) columns.
        shape: P, S, B, T.
        lasts: (P,) int64, of each prompt's last token in the list.
        asking: int64, of the token before each token of the completions, row after row.
        mask: (B, 1, T, S + T) bool, which columns of prompt and completion a token sees.
    """

    tokens: Tensor
    columns: Tensor
    prompt_places: Tensor
    places: Tensor
    shape: tuple[int, int, int, int]
    lasts: Tensor
    asking: Tensor
    mask: Tensor

    @classmethod
    def of_prompts(cls, prompts: Tensor, lengths: Tensor) -> Packed:
        """Without completions."""
        none = torch.zeros(0, 0, dtype=torch.int64)
        return cls.of(prompts, lengths, none, none.bool())

    @classmethod
    def of(cls, prompts: Tensor, lengths: Tensor, said: Tensor, mask: Tensor) -> Packed:
        """Prompts (P, S) of `lengths` (P,), and as many completions of each: (B, T + 1), of the tokens in `mask`."""
        width = prompts.shape[1]
        read = torch.arange(width) < lengths.unsqueeze(1)
        times = len(said) // len(prompts)
        before, following = said[:, :-1], mask[:, 1:]
        place = torch.arange(before.shape[1])
        first = lengths.repeat_interleave(times)[: len(said)]
        lasts = lengths.cumsum(0) - 1
        # Each token is asked for by the one before it: the first by the last of the prompt.
        asking = torch.zeros(mask.shape, dtype=torch.int64)
        if len(said):
            asking[:, 0] = lasts.repeat_interleave(times)
            asking[:, 1:][following] = int(lengths.sum()) + torch.arange(int(following.sum()))
        sees = torch.cat(
            [
                (torch.arange(width) < first.unsqueeze(1))[:, None, None].expand(-1, 1, len(place), -1),
                (place <= place.unsqueeze(1)).expand(len(said), 1, -1, -1),
            ],
            -1,
        )
        return cls(
            tokens=torch.cat([prompts[read], before[following]]),
            columns=torch.cat([read.nonzero()[:, 1], (first.unsqueeze(1) + place)[following]]),
            prompt_places=read.flatten().nonzero().squeeze(1),
            places=following.flatten().nonzero().squeeze(1),
            shape=(len(prompts), width, *before.shape),
            lasts=lasts,
            asking=asking[mask],
            mask=sees,
        )

    def prompt_columns(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Of the prompts, (P, H, S, D) each; 0 where a row is padded."""
        rows, width = self.shape[:2]
        of_prompts = slice(len(self.prompt_places))
        first, second = (_spread(each[of_prompts], self.prompt_places, rows, width) for each in (keys, values))
        return first, second

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(N, H, D) each, to (N, W)."""
        prompts, width, rows, longest = self.shape
        of_prompts, of_completions = slice(len(self.prompt_places)), slice(len(self.prompt_places), None)
        asked = _spread(queries[of_prompts], self.prompt_places, prompts, width)
        read = self.prompt_columns(keys, values)
        # Padding stands on the right, where no token of a prompt sees it.
        found = _listed(functional.scaled_dot_product_attention(asked, *read, is_causal=True), self.prompt_places)
        if not len(self.places):
            return found
        own, *said = (_spread(each[of_completions], self.places, rows, longest) for each in (queries, keys, values))
        seen_keys, seen_values = (
            torch.cat([each.unsqueeze(1).expand(-1, rows // prompts, -1, -1, -1).flatten(0, 1), new], 2)
            for each, new in zip(read, said, strict=True)
        )
        attended = functional.scaled_dot_product_attention(own, seen_keys, seen_values, attn_mask=self.mask)
        return torch.cat([found, _listed(attended, self.places)])


class Cache:
    """Keys and values so far: of prompts, and of the tokens of `times` completions of each.

    Attributes:
        filled: Tokens of the completions that are there; the same number of each.
    """

    def __init__(self, lengths: Tensor, *, times: int, room: int, layers: int) -> None:
        self.lengths, self.times, self.room, self.layers = lengths, times, room, layers
        self.filled = 0
        self._prompts: list[tuple[Tensor, Tensor]] = []
        """Of each layer: keys (P, H, D, S), values (P, H, S, D)."""
        self._own: list[tuple[Tensor, Tensor]] = []
        """Of each layer: keys, values (room, B, H, D). Tokens come first, so that those that are there lie together."""
        self._padding = torch.zeros(0)

    def add_prompts(self, keys: Tensor, values: Tensor) -> None:
        """Of the next layer, (P, H, S, D) each."""
        prompts, heads, width, size = keys.shape
        self._padding = torch.zeros(prompts, 1, 1, width).masked_fill(
            (torch.arange(width) >= self.lengths.unsqueeze(1))[:, None, None], -torch.inf
        )
        self._prompts.append((keys.transpose(2, 3).contiguous(), values.contiguous()))
        shape = (self.room, prompts * self.times, heads, size)
        self._own.append((torch.empty(shape), torch.empty(shape)))

    def columns(self) -> Tensor:
        """(B,), of the next token of each completion."""
        return (self.lengths + self.filled).repeat_interleave(self.times)

    def kept(self, prompts: Tensor) -> Cache:
        """Of the prompts of these numbers alone."""
        other = Cache(self.lengths[prompts], times=self.times, room=self.room, layers=self.layers)
        other.filled, other._padding = self.filled, self._padding[prompts]
        rows = (prompts.unsqueeze(1) * self.times + torch.arange(self.times)).flatten()
        other._prompts = [(keys[prompts], values[prompts]) for keys, values in self._prompts]
        for pair in self._own:
            some = tuple(each.new_empty((self.room, len(rows), *each.shape[2:])) for each in pair)
            for new, old in zip(some, pair, strict=True):
                torch.index_select(old[: self.filled], 1, rows, out=new[: self.filled])
            other._own.append((some[0], some[1]))
        return other

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Of one more token of each completion, (B, H, D) each, to (B, W)."""
        read_keys, read_values = self._prompts[layer]
        own_keys, own_values = self._own[layer]
        own_keys[self.filled], own_values[self.filled] = keys, values
        said_keys, said_values = own_keys[: self.filled + 1], own_values[: self.filled + 1]
        rows, heads, size = queries.shape
        width = read_keys.shape[-1]
        queries = queries * (1 / math.sqrt(size))
        # The completions of a prompt ask it together: one product of matrices for each prompt and head.
        asked = queries.view(-1, self.times, heads, size).transpose(1, 2)
        of_prompt = (asked @ read_keys + self._padding).transpose(1, 2).reshape(rows, heads, width)
        of_said = (said_keys * queries).sum(-1).permute(1, 2, 0)
        weights = torch.cat([of_prompt, of_said], -1).softmax(-1)
        on_prompt = weights[..., :width].view(-1, self.times, heads, width).transpose(1, 2)
        from_prompt = (on_prompt @ read_values).transpose(1, 2).reshape(rows, -1)
        on_said = weights[..., width:].permute(2, 0, 1).unsqueeze(-1)
        return from_prompt + (said_values * on_said).sum(0).view(rows, -1)


def _spread(listed: Tensor, places: Tensor, rows: int, columns: int) -> Tensor:
    """(n, H, D) to (rows, H, columns, D), each at its place."""
    _, heads, size = listed.shape
    if len(places) == rows * columns:
        return listed.view(rows, columns, heads, size).transpose(1, 2)
    spread = listed.new_zeros(rows * columns, heads, size).index_copy(0, places, listed)
    return spread.view(rows, columns, heads, size).transpose(1, 2)


def _listed(spread: Tensor, places: Tensor) -> Tensor:
    """(rows, H, columns, D) to (n, W)."""
    rows, heads, columns, size = spread.shape
    every = spread.transpose(1, 2).reshape(rows * columns, heads * size)
    return every if len(places) == len(every) else every.index_select(0, places)
