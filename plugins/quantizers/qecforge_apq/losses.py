"""The formulas of argmax-preserving quantization, each on its own.

Shapes: M states, N actions. `teacher` (z) and `student` (z~) are logits (M, N); `mask` (M, N) bool is True where an
action is allowed, None where all are, and every state allows one action at least. Forbidden actions enter nothing:
no winner, no competitor, no probability. Each loss is one number for each state, (M,); the teacher gets no gradient.

Source: the argmax-preserving quantization paper ("APQ paper"), by equation.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "best_actions",
    "expected_excess",
    "listwise_kl",
    "logit_noise",
    "near_ties",
    "pairwise_margin",
    "teacher_margin",
    "worst_excess",
]

_FORBIDDEN = -1e9
"""Logit of a forbidden action: its probability is exactly 0 in float32, and 0 log 0 comes out as 0."""


def best_actions(teacher: Tensor, count: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The `count` actions that the teacher likes best, the winner a* first, of equals the first.

    Returns:
        Actions (M, K) int64 with K = min(count, N), and (M, K) bool: False where a state allows fewer.
    """
    order = _allowed(teacher, mask, -torch.inf).sort(dim=-1, descending=True, stable=True).indices[:, :count]
    return order, torch.ones_like(order, dtype=torch.bool) if mask is None else mask.gather(-1, order)


def teacher_margin(teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """m(s) = z_{a*} - max_{a != a*} z_a, >= 0; infinite where one action alone is allowed.

    Source: APQ paper, appendix 7.1.
    """
    best = _allowed(teacher.detach(), mask, -torch.inf).topk(min(2, teacher.shape[-1])).values
    return best[:, 0] - best[:, 1] if best.shape[-1] == 2 else torch.full_like(best[:, 0], torch.inf)


def near_ties(teacher: Tensor, threshold: float | Tensor, mask: Tensor | None = None) -> Tensor:
    """(M,) bool: states whose margin is at most `threshold`.

    A student within epsilon of the teacher's logits keeps the winner wherever the margin exceeds 2 epsilon.

    Source: APQ paper, section 4.3 note 2 and appendix 7.1.
    """
    return teacher_margin(teacher, mask) <= threshold


def logit_noise(student: Tensor, teacher: Tensor, mask: Tensor | None = None, *, shift_free: bool = False) -> Tensor:
    """epsilon(s) = max_a |z~_a - z_a|. No gradient.

    Args:
        shift_free: Take the smallest such number over all constants added to z~, half the range of z~ - z: adding a
            constant changes no decision, and the bound on the winner holds as well [ours].
    """
    difference = (student - teacher).detach()
    if not shift_free:
        return _allowed(difference.abs(), mask, 0.0).amax(-1)
    highest = _allowed(difference, mask, -torch.inf).amax(-1)
    return (highest - _allowed(difference, mask, torch.inf).amin(-1)) / 2


def pairwise_margin(student: Tensor, teacher: Tensor, tau: float, mask: Tensor | None = None) -> Tensor:
    """L_pair(s) = sum over a != a* of max(0, tau - (z~_{a*} - z~_a)), a* the teacher's winner.

    Source: APQ paper, eq. (1).
    """
    winner = _allowed(teacher.detach(), mask, -torch.inf).argmax(-1, keepdim=True)
    lead = student.gather(-1, winner) - student
    shortfall = _allowed((tau - lead).clamp(min=0.0), mask, 0.0)
    return shortfall.scatter(-1, winner, 0.0).sum(-1)


def listwise_kl(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """L_list(s) = KL(softmax(z / T) || softmax(z~ / T)), nats.

    Source: APQ paper, eq. (2); without the factor T^2 that distillation often adds.
    """
    target = _allowed(teacher.detach() / temperature, mask, _FORBIDDEN).log_softmax(-1)
    found = _allowed(student / temperature, mask, _FORBIDDEN).log_softmax(-1)
    return (target.exp() * (target - found)).sum(-1)


def expected_excess(
    student: Tensor,
    actions: Tensor,
    increases: Tensor,
    budget: float,
    *,
    allowed: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Sum over a in N(s) of pi~(a|s) max(0, Drho(s, a) - epsilon): what the student expects to lose beyond the budget.

    Args:
        actions, allowed: N(s), as `best_actions` gives it.
        increases: (M, K), Drho(s, a) of each of `actions`: by how much the residual after a exceeds that after a*.
        budget: epsilon, in the residual's units.

    Source: [ours], in place of APQ paper, eq. (5), which has no gradient (see `worst_excess`).
    """
    probabilities = _allowed(student, mask, _FORBIDDEN).softmax(-1).gather(-1, actions)
    return (probabilities * _allowed((increases - budget).clamp(min=0.0), allowed, 0.0)).sum(-1)


def worst_excess(increases: Tensor, budget: float, *, allowed: Tensor) -> Tensor:
    """max(0, max_{a in N(s)} (Drho(s, a) - epsilon)). Arguments as in `expected_excess`.

    It depends on the teacher and on the environment alone, so its gradient for the student is zero.

    Source: APQ paper, eq. (5), to the letter, lambda aside.
    """
    return _allowed(increases - budget, allowed, -torch.inf).amax(-1).clamp(min=0.0)


def _allowed(values: Tensor, mask: Tensor | None, otherwise: float) -> Tensor:
    return values if mask is None else values.masked_fill(~mask, otherwise)
