"""The formulas of GRPO, for steps of an environment and for tokens of a completion alike.

Shapes: E episodes (completions) in order of their groups of G, T steps (tokens) of the longest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qecforge_grpo.config import AdvantageScale, LossAverage

__all__ = [
    "Losses",
    "averaged",
    "group_advantages",
    "grpo_losses",
    "k3",
    "token_weights",
    "weighted",
    "without_variance",
]

_EPSILON = 1e-4
"""Added to the deviation of a group, as TRL does."""


def group_advantages(returns: Tensor, group_size: int, scale: AdvantageScale) -> Tensor:
    """How much more each episode returned than its group: (E,) -> (E,).

    `deviation` divides by the standard deviation of the group (of G - 1 degrees of freedom, as TRL) + 1e-4.

    Source: DeepSeekMath (arXiv 2402.03300), section 4.1.2; `none`: Dr. GRPO (arXiv 2503.20783), section 3.1.
    """
    groups = returns.view(-1, group_size)
    centred = groups - groups.mean(1, keepdim=True)
    if scale == "deviation":
        centred = centred / (groups.std(1, keepdim=True) + _EPSILON)
    return centred.flatten()


def without_variance(returns: Tensor, group_size: int) -> int:
    """How many groups returned the same throughout: nothing can be learned from them."""
    groups = returns.view(-1, group_size)
    return int((groups == groups[:, :1]).all(1).sum())


def k3(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Schulman's estimator of KL(pi || reference) for each sample of pi: exp(d) - d - 1, d = log reference - log pi.

    Source: DeepSeekMath (arXiv 2402.03300), eq. (4).
    """
    difference = reference - log_probs
    return difference.exp() - difference - 1.0


@dataclass(frozen=True)
class Losses:
    """Of each step, (E, T), with gradient where the probabilities have one.

    Attributes:
        policy: Minus the clipped objective.
        divergence: k3 from the reference; zeros where there is none.
        clipped: Whether the clip holds this step back, bool.
    """

    policy: Tensor
    divergence: Tensor
    clipped: Tensor


def grpo_losses(
    log_probs: Tensor,
    old_log_probs: Tensor,
    reference: Tensor | None,
    advantages: Tensor,
    *,
    clip: float,
) -> Losses:
    """The terms of GRPO's objective.

    Args:
        log_probs, old_log_probs, reference: (E, T) log probabilities of what was done under the present policy, the one
            that acted, and the frozen one.
        advantages: (E,).

    Source: DeepSeekMath (arXiv 2402.03300), eq. (3).
    """
    ratio = (log_probs - old_log_probs).exp()
    weights = advantages.unsqueeze(1)
    objective = torch.minimum(ratio * weights, ratio.clamp(1.0 - clip, 1.0 + clip) * weights)
    held = ((ratio < 1.0 - clip) & (weights < 0)) | ((ratio > 1.0 + clip) & (weights > 0))
    divergence = torch.zeros_like(objective) if reference is None else k3(log_probs, reference)
    return Losses(policy=-objective, divergence=divergence, clipped=held)


def averaged(terms: Tensor, mask: Tensor, average: LossAverage, longest: int) -> Tensor:
    """One number of the (E, T) terms where `mask` is True; see `GRPOConfig.loss_average`."""
    return weighted(terms, token_weights(mask, average, longest, len(mask)))


def token_weights(mask: Tensor, average: LossAverage, longest: int, episodes: int) -> Tensor:
    """What each term weighs in the loss of `episodes` episodes, those without any step among them: (E, T), 0 where
    `mask` is False.

    Source: `episode` DeepSeekMath, eq. (3); `constant` Dr. GRPO (arXiv 2503.20783), section 3.1; `step` DAPO (arXiv
    2503.14476), eq. (12).
    """
    if average == "episode":
        return mask / (mask.sum(1, keepdim=True).clamp(min=1) * episodes)
    if average == "step":
        return mask / mask.sum().clamp(min=1)
    return mask / (episodes * longest)


def weighted(terms: Tensor, weights: Tensor) -> Tensor:
    """The sum of (E, T) terms by their weights; terms of weight 0 may be anything."""
    return torch.where(weights > 0, terms * weights, torch.zeros_like(terms)).sum()
