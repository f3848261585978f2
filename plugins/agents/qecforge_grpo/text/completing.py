"""Completions of prompts: drawn or the likeliest, for all rows at once, and their log probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from qecforge.errors import ConfigurationError
from qecforge.learning.perceptrons import sample_actions
from qecforge_grpo.text.attending import Packed
from qecforge_grpo.text.decoder import Decoder
from qecforge_grpo.text.tokenizer import ANSWER, END

__all__ = ["Completed", "asked", "complete", "completed_of", "log_probs_of"]

_WORTH_LEAVING = 0.75
"""Part of the prompts that go on, at most, for the others to be left out."""


@dataclass(frozen=True)
class Completed:
    """P prompts with G completions of each, B = P x G; those of a prompt stand together.

    Attributes:
        prompts: (P, S) int64, padded on the right; each ends with `ANSWER`.
        lengths: (P,) int64, tokens of each prompt.
        tokens: (B, T) int64; `END` ends a completion that was not cut off.
        mask: (B, T) bool, the tokens of the completion, its `END` included.
        log_probs: (B, T) float32, of the tokens under the model that drew them; 0 where it is not known.
    """

    prompts: Tensor
    lengths: Tensor
    tokens: Tensor
    mask: Tensor
    log_probs: Tensor

    @property
    def times(self) -> int:
        """G."""
        return len(self.tokens) // len(self.prompts)

    def rows_of(self, prompts: Tensor) -> Tensor:
        """Numbers of the completions of the prompts of these numbers."""
        return (prompts.unsqueeze(1) * self.times + torch.arange(self.times)).flatten()

    def chosen(self, prompts: Tensor) -> Completed:
        """The prompts of the given numbers and their completions, without columns that none of them has."""
        rows = self.rows_of(prompts)
        lengths, mask = self.lengths[prompts], self.mask[rows]
        longest = int(mask.sum(1).max())
        return Completed(
            self.prompts[prompts, : int(lengths.max())],
            lengths,
            self.tokens[rows, :longest],
            mask[:, :longest],
            self.log_probs[rows, :longest],
        )

    def texts(self) -> list[list[int]]:
        """Tokens of each completion, without its end."""
        return [
            [token for token in row if token != END][:length]
            for row, length in zip(self.tokens.tolist(), self.mask.sum(1).tolist(), strict=True)
        ]


@torch.no_grad()
def complete(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    times: int = 1,
    longest: int,
    generator: torch.Generator | None,
) -> Completed:
    """Complete each prompt so many times; the completions of a prompt stand together.

    Args:
        prompts: Tokens of each, with `ANSWER` at the end.
        longest: Most tokens of a completion; the context may end it earlier.
        generator: Draws at temperature 1; None takes the likeliest token each time.

    Raises:
        ConfigurationError: a prompt does not fit into the model's context with a token after it.
    """
    tokens, lengths = _padded(prompts, model.config.context)
    room = min(longest, model.config.context - tokens.shape[1])
    rows = torch.arange(len(prompts) * times)
    said = torch.full((len(rows), room), END)
    mask = torch.zeros(len(rows), room, dtype=torch.bool)
    log_probs = torch.zeros(len(rows), room)
    logits, cache = model.read(tokens, lengths, times=times, room=room - 1)
    logits = logits.repeat_interleave(times, 0)
    ended = torch.zeros(len(rows), dtype=torch.bool)
    for place in range(room):
        scores = logits.log_softmax(-1)
        if generator is None:
            drawn = scores.argmax(-1)
        else:
            drawn = sample_actions(scores, torch.rand(len(rows), 1, generator=generator))
        drawn = drawn.masked_fill(ended, END)
        said[rows, place], mask[rows, place] = drawn, ~ended
        log_probs[rows, place] = scores.gather(1, drawn.unsqueeze(1)).squeeze(1).masked_fill(ended, 0.0)
        ended = ended | (drawn == END)
        going = ~ended.view(-1, times).all(1)
        count = int(going.sum())
        if place + 1 == room or not count:
            break
        # Prompts whose completions have all ended leave, once they are many enough to be worth a copy of the rest.
        if count <= _WORTH_LEAVING * len(going):
            cache = cache.kept(going.nonzero().squeeze(1))
            stays = going.repeat_interleave(times)
            rows, ended, drawn = rows[stays], ended[stays], drawn[stays]
        logits = model.extended(drawn, cache)
    return Completed(tokens, lengths, said[:, : place + 1], mask[:, : place + 1], log_probs[:, : place + 1])


def completed_of(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], context: int) -> Completed:
    """Given completions, one of each prompt, as they would have been drawn; those that do not fit into the context are
    cut off.

    Raises:
        ConfigurationError: a prompt does not fit.
    """
    tokens, lengths = _padded(prompts, context)
    room = context - tokens.shape[1]
    ended = [[*each, END][:room] for each in completions]
    longest = max(map(len, ended))
    said = torch.tensor([[*each, *[END] * (longest - len(each))] for each in ended])
    mask = torch.arange(longest) < torch.tensor([len(each) for each in ended]).unsqueeze(1)
    return Completed(tokens, lengths, said, mask, torch.zeros(said.shape))


def log_probs_of(model: Decoder, completed: Completed) -> Tensor:
    """(B, T) log probabilities of the completions' tokens, with gradient; 0 where there is none."""
    mask = completed.mask
    logits = model(Packed.of(completed.prompts, completed.lengths, completed.tokens, mask))
    found = -functional.cross_entropy(logits, completed.tokens[mask], reduction="none")
    return torch.zeros(mask.shape).masked_scatter(mask, found)


def _padded(prompts: Sequence[Sequence[int]], context: int) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    if longest >= context:
        raise ConfigurationError(
            f"grpo_text: a prompt has {longest} tokens and the model's context {context}: raise model.context above "
            f"{longest}, so that there is room for an answer"
        )
    tokens = torch.tensor([[*each] + [END] * (longest - len(each)) for each in prompts])
    return tokens, torch.tensor([len(each) for each in prompts])


def asked(tokens: Sequence[int]) -> list[int]:
    """A prompt's tokens with the mark of its end."""
    return [*tokens, ANSWER]
