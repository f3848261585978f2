"""Differentiable rankings: what may stand in the place of the listwise term.

Both relax Spearman's distance between two rankings of n actions, in the form 1 - rho_S =
6 / (n (n^2 - 1)) sum_a (rank~_a - rank_a)^2, and become it as the temperature T goes to 0. The teacher's ranking is
relaxed as the student's is, so that a student equal to its teacher is at the minimum, 0 [ours]. Rank 1 is best.

Shapes as in `losses`: logits (M, N), mask (M, N) bool or None, losses (M,); a state with one action has loss 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

__all__ = ["permutahedron_distance", "soft_ranks", "softsort_distance"]


def softsort_distance(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """1 - rho_S where the student's order is relaxed: the teacher's rank expected at each of the student's places.

    The student's order is the matrix P_ij = softmax_j(-|z~_[i] - z~_j| / T), z~_[i] the i-th largest logit. O(N^2)
    memory for each state.

    Source: Prillo & Eisenschlos 2020 (arXiv 2006.16038) for P; the distance is [ours], the APQ paper's section 4.1 only
    says "a smooth proxy".
    """
    teacher = teacher.detach()
    legal = torch.ones_like(teacher, dtype=torch.bool) if mask is None else mask
    ranks = _descending(teacher, legal).argsort(-1).to(student.dtype) + 1.0
    expected = _expected_ranks(student, ranks, temperature, legal)
    wanted = _expected_ranks(teacher, ranks, temperature, legal)
    places = torch.arange(teacher.shape[-1], device=teacher.device)
    counted = places < legal.sum(-1, keepdim=True)
    return _spearman((expected - wanted).masked_fill(~counted, 0.0), legal)


def permutahedron_distance(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """1 - rho_S between the soft ranks of both: `soft_ranks` with the temperature as the strength.

    Source: Blondel et al. 2020 (arXiv 2002.08871), the relaxation of Spearman's distance.
    """
    legal = torch.ones_like(teacher, dtype=torch.bool) if mask is None else mask
    found = soft_ranks(student, temperature, legal)
    wanted = soft_ranks(teacher.detach(), temperature, legal)
    return _spearman((found - wanted).masked_fill(~legal, 0.0), legal)


def soft_ranks(values: Tensor, strength: float, mask: Tensor) -> Tensor:
    """Ranks 1 (largest) to n, projected: the Euclidean projection of -values / strength onto the permutahedron of
    (n, ..., 1). Gaps between neighbours that exceed `strength` give the true ranks.

    Returns:
        (M, N) of the values' dtype; 0 where `mask` is False. With the projection's exact gradient.

    Source: Blondel et al. 2020, section 4: reduction to isotonic regression, and its Jacobian.
    """
    ranks: Tensor = _SoftRanks.apply(values, strength, mask)  # type: ignore[no-untyped-call]
    return ranks


class _SoftRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float, mask: Tensor) -> Tensor:
        scores = -values.detach().to("cpu", torch.float64).numpy() / strength
        ranks, order, blocks = _project(scores, mask.cpu().numpy())
        ctx.order, ctx.blocks, ctx.strength = order, blocks, strength
        return torch.from_numpy(ranks).to(values.device, values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        scores = gradient.to("cpu", torch.float64).numpy()
        back = -_pull_back(scores, ctx.order, ctx.blocks) / ctx.strength
        return torch.from_numpy(back).to(gradient.device, gradient.dtype), None, None


@njit(nogil=True, cache=True)
def _project(scores: Any, mask: Any) -> Any:
    """Project each row's allowed scores onto the permutahedron of (n, ..., 1).

    In descending order s, the projection is s - v with v the isotonic (descending) regression of s - (n, ..., 1): pool
    adjacent violators.

    Returns:
        Projections (M, N); the order, (M, N) action numbers, -1 past n; for each place in the order the place where its
        pool starts.
    """
    M, N = scores.shape
    ranks = np.zeros((M, N))
    order = np.full((M, N), -1, np.int64)
    blocks = np.zeros((M, N), np.int64)
    total = np.empty(N)
    start = np.empty(N + 1, np.int64)
    for m in range(M):
        legal = np.flatnonzero(mask[m])
        n = len(legal)
        sequence = legal[np.argsort(-scores[m][legal], kind="mergesort")]
        pools = 0
        for i in range(n):
            total[pools] = scores[m, sequence[i]] - (n - i)
            start[pools] = i
            start[pools + 1] = i + 1
            pools += 1
            while pools > 1 and (
                total[pools - 2] * (start[pools] - start[pools - 1])
                < total[pools - 1] * (start[pools - 1] - start[pools - 2])
            ):
                total[pools - 2] += total[pools - 1]
                start[pools - 1] = start[pools]
                pools -= 1
        for pool in range(pools):
            mean = total[pool] / (start[pool + 1] - start[pool])
            for i in range(start[pool], start[pool + 1]):
                action = sequence[i]
                order[m, i] = action
                blocks[m, i] = start[pool]
                ranks[m, action] = scores[m, action] - mean
    return ranks, order, blocks


@njit(nogil=True, cache=True)
def _pull_back(gradient: Any, order: Any, blocks: Any) -> Any:
    """Gradients for the scores: within each pool, the gradient less its mean."""
    M, N = gradient.shape
    back = np.zeros((M, N))
    for m in range(M):
        i = 0
        while i < N and order[m, i] >= 0:
            end = i
            mean = 0.0
            while end < N and order[m, end] >= 0 and blocks[m, end] == i:
                mean += gradient[m, order[m, end]]
                end += 1
            mean /= end - i
            for j in range(i, end):
                back[m, order[m, j]] = gradient[m, order[m, j]] - mean
            i = end
    return back


def _descending(values: Tensor, legal: Tensor) -> Tensor:
    """Actions from the largest value to the smallest, of equals the first; the forbidden last."""
    return values.detach().masked_fill(~legal, -torch.inf).sort(dim=-1, descending=True, stable=True).indices


def _expected_ranks(values: Tensor, ranks: Tensor, temperature: float, legal: Tensor) -> Tensor:
    """(M, N): the mean of `ranks` over each row of the relaxed permutation that sorts `values`."""
    in_order = values.gather(-1, _descending(values, legal))
    closeness = -(in_order.unsqueeze(-1) - values.unsqueeze(-2)).abs() / temperature
    permutation = closeness.masked_fill(~legal.unsqueeze(-2), -torch.inf).softmax(-1)
    return (permutation * ranks.unsqueeze(-2)).sum(-1)


def _spearman(differences: Tensor, legal: Tensor) -> Tensor:
    n = legal.sum(-1).to(differences.dtype).clamp(min=2.0)
    return 6.0 / (n * (n * n - 1.0)) * differences.square().sum(-1)
