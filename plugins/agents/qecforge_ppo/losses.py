"""The formulas of PPO, each on its own. Shapes: A agents, M samples per agent, T steps, B members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "clip_gradients",
    "clipped_policy_loss",
    "explained_variance",
    "generalized_advantages",
    "normalized",
    "reinforce_loss",
    "value_loss",
]


def generalized_advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    final_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Advantages (T, B): A_t = delta_t + gamma lambda A_{t+1} within an episode, where
    delta_t = r_t + gamma V(s_{t+1}) - V(s_t).

    Args:
        rewards, terminated, truncated: (T, B).
        values: (T + 1, B), V of the observation before each step, and of the last one.
        final_values: (T, B), V of the last observation of a truncated episode, read where `truncated` alone is set.
            V(s_{t+1}) is 0 after a terminal step.

    Source: Schulman et al. 2016 (arXiv 1506.02438), eq. (16).
    """
    goes_on = ~(terminated | truncated)
    following = np.where(goes_on, values[1:], np.where(truncated & ~terminated, final_values, np.float32(0)))
    deltas = (rewards + np.float32(gamma) * following - values[:-1]).astype(np.float32)
    decay = np.float32(gamma * gae_lambda) * goes_on.astype(np.float32)
    advantages = np.empty_like(deltas)
    advantage = np.zeros_like(deltas[0])
    for t in range(len(deltas) - 1, -1, -1):
        advantage = deltas[t] + decay[t] * advantage
        advantages[t] = advantage
    return advantages


def normalized(advantages: Tensor) -> Tensor:
    """Each agent's advantages (A, M) with mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(advantages, dim=-1, keepdim=True)
    return (advantages - mean) / (deviation + 1e-8)


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """-min(r A, clip(r, 1 - eps, 1 + eps) A), the mean of each agent's samples: (A, M) -> (A,).

    Source: Schulman et al. 2017 (arXiv 1707.06347), eq. (7).
    """
    return -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean(-1)


def reinforce_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """-A log pi(a|s), the mean of each agent's samples: (A, M) -> (A,). Source: Williams 1992."""
    return -(log_probs * advantages).mean(-1)


def value_loss(values: Tensor, returns: Tensor, old_values: Tensor, clip: float | None) -> Tensor:
    """Half the mean squared error of each agent's values: (A, M) -> (A,).

    With `clip`, the larger of the errors with and without the value's change clipped to ±clip (as in CleanRL).
    """
    errors = (values - returns).square()
    if clip is not None:
        clipped = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (clipped - returns).square())
    return 0.5 * errors.mean(-1)


def explained_variance(values: NDArray[np.float32], returns: NDArray[np.float32]) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns are all the same."""
    variance = float(np.var(returns))
    return 0.0 if variance == 0.0 else 1.0 - float(np.var(returns - values)) / variance


def clip_gradients(parameters: Sequence[torch.nn.Parameter], max_norm: float, agents: int) -> None:
    """Scale each agent's gradients down to the norm `max_norm`. With several agents, a parameter's first axis is the
    agent's."""
    if agents == 1:
        torch.nn.utils.clip_grad_norm_(parameters, max_norm, foreach=True)
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients])
    scales = (max_norm / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scales.view(-1, *[1] * (gradient.ndim - 1)))
