"""Completions of prompts: drawn or the likeliest, for all rows at once, and their log probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from qecforge.errors import ConfigurationError
from qecforge.learning.perceptrons import sample_actions
from qecforge_grpo.text.decoder import Decoder
from qecforge_grpo.text.tokenizer import ANSWER, END

__all__ = ["Completed", "asked", "complete", "completed_of", "log_probs_of"]


@dataclass(frozen=True)
class Completed:
    """B prompts with a completion each.

    Attributes:
        prompts: (B, P) int64, padded on the left; each ends with `ANSWER`.
        seen: (B, P) bool, False where a prompt is padded.
        tokens: (B, T) int64; `END` ends a completion that was not cut off.
        mask: (B, T) bool, the tokens of the completion, its `END` included.
        log_probs: (B, T) float32, of the tokens under the model that drew them; 0 where it is not known.
    """

    prompts: Tensor
    seen: Tensor
    tokens: Tensor
    mask: Tensor
    log_probs: Tensor

    def chosen(self, rows: Tensor) -> Completed:
        """Those of the given numbers, without columns that none of them has."""
        seen, mask = self.seen[rows], self.mask[rows]
        first, longest = int(seen.int().argmax(1).min()), int(mask.sum(1).max())
        return Completed(
            self.prompts[rows, first:],
            seen[:, first:],
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
    tokens, seen = _padded(prompts, model.config.context)
    room = min(longest, model.config.context - tokens.shape[1])
    cache = model.empty_cache(torch.cat([seen, torch.ones(len(seen), room, dtype=torch.bool)], 1))
    logits = model.extended(tokens, cache).repeat_interleave(times, 0)
    if times > 1:
        cache = cache.repeated(times)
    rows = len(logits)
    ended = torch.zeros(rows, dtype=torch.bool)
    said, masks, log_probs = [], [], []
    for place in range(room):
        scores = logits.log_softmax(-1)
        if generator is None:
            drawn = scores.argmax(-1)
        else:
            drawn = sample_actions(scores, torch.rand(rows, 1, generator=generator))
        masks.append(~ended)
        said.append(drawn.masked_fill(ended, END))
        log_probs.append(scores.gather(1, drawn.unsqueeze(1)).squeeze(1).masked_fill(ended, 0.0))
        ended = ended | (drawn == END)
        if place + 1 == room or bool(ended.all()):
            break
        logits = model.extended(said[-1].unsqueeze(1), cache)
    return Completed(
        tokens.repeat_interleave(times, 0),
        seen.repeat_interleave(times, 0),
        torch.stack(said, 1),
        torch.stack(masks, 1),
        torch.stack(log_probs, 1),
    )


def completed_of(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], context: int) -> Completed:
    """Given completions, as they would have been drawn; those that do not fit into the context are cut off.

    Raises:
        ConfigurationError: a prompt does not fit.
    """
    tokens, seen = _padded(prompts, context)
    room = context - tokens.shape[1]
    ended = [[*each, END][:room] for each in completions]
    longest = max(map(len, ended))
    said = torch.tensor([[*each, *[END] * (longest - len(each))] for each in ended])
    mask = torch.arange(longest) < torch.tensor([len(each) for each in ended]).unsqueeze(1)
    return Completed(tokens, seen, said, mask, torch.zeros(said.shape))


def log_probs_of(model: Decoder, completed: Completed) -> Tensor:
    """(B, T) log probabilities of the completions' tokens, with gradient; 0 where there is none."""
    prompt, said = completed.seen.sum(1, keepdim=True), completed.mask.sum(1, keepdim=True)
    ends = prompt + said
    columns = torch.arange(int(ends.max()))
    completing = (columns >= prompt) & (columns < ends)
    # Each row from its first column on, so that it is as long as its own prompt and completion.
    tokens = torch.full(completing.shape, END)
    tokens[columns < prompt] = completed.prompts[completed.seen]
    chosen = tokens[completing] = completed.tokens[completed.mask]
    logits = model(tokens[:, :-1], completing[:, 1:])
    found = -functional.cross_entropy(logits, chosen, reduction="none")
    return torch.zeros(completed.mask.shape).masked_scatter(completed.mask, found)


def _padded(prompts: Sequence[Sequence[int]], context: int) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    if longest >= context:
        raise ConfigurationError(
            f"grpo_text: a prompt has {longest} tokens and the model's context {context}: raise model.context above "
            f"{longest}, so that there is room for an answer"
        )
    tokens = torch.tensor([[END] * (longest - len(each)) + [*each] for each in prompts])
    lengths = torch.tensor([len(each) for each in prompts]).unsqueeze(1)
    return tokens, torch.arange(longest) >= longest - lengths


def asked(tokens: Sequence[int]) -> list[int]:
    """A prompt's tokens with the mark of its end."""
    return [*tokens, ANSWER]
