"""The warm start: gradient steps on demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from qecforge_grpo.hf.policy import HFPolicy

__all__ = ["batches_of_like_length", "imitation_loss"]


def batches_of_like_length(
    lengths: Sequence[int], count: int, batch: int, generator: torch.Generator
) -> list[list[int]]:
    """So many rows, drawn with repetition, in batches in which they are about as long, so that little is padding."""
    drawn = torch.randint(len(lengths), (count,), generator=generator).tolist()
    drawn.sort(key=lambda row: lengths[row])
    batches = [drawn[at : at + batch] for at in range(0, count, batch)]
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def imitation_loss(policy: HFPolicy, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Tensor:
    """Mean negative log probability of the answers' tokens, nats, with gradient.

    Args:
        prompts: Tokens of each prompt.
        answers: Tokens of each answer, its end included.
    """
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    longest, first = max(map(len, rows)), min(map(len, prompts))
    places = torch.arange(longest)
    ends = torch.tensor([len(row) for row in rows]).unsqueeze(1)
    begins = torch.tensor([len(prompt) for prompt in prompts]).unsqueeze(1)
    tokens = torch.full((len(rows), longest), int(policy.tokenizer.pad_token_id))
    for at, row in enumerate(rows):
        tokens[at, : len(row)] = torch.tensor(row)
    seen, said = places < ends, (places >= begins) & (places < ends)
    tokens, seen, said = tokens.to(policy.device), seen.to(policy.device), said.to(policy.device)
    # Of the logits only those from the shortest prompt's last token on are computed.
    output = policy.model(
        input_ids=tokens, attention_mask=seen.long(), logits_to_keep=longest - first + 1, use_cache=False
    )
    kept = said[:, first:]
    return functional.cross_entropy(output.logits[:, :-1][kept].float(), tokens[:, first:][kept])
