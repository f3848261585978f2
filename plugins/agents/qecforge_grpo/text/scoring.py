"""Scores of groups of completions, some of which have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qecforge.contracts import TextOutcome
from qecforge.errors import InfrastructureError, QecforgeError
from qecforge_grpo.config import AdvantageScale
from qecforge_grpo.losses import group_advantages

__all__ = ["Scores", "scores_of", "still_groups", "valid_advantages"]


@dataclass(frozen=True)
class Scores:
    """Of E completions in order of their groups.

    Attributes:
        values: (E,) float64; NaN where there is none.
        components: Means of the outcomes' components, over those that have a score.
    """

    values: Tensor
    components: dict[str, float]

    @property
    def valid(self) -> Tensor:
        """(E,) bool."""
        return ~self.values.isnan()

    @property
    def mean(self) -> float:
        """Of those that have one."""
        return float(self.values[self.valid].mean())


def scores_of(outcomes: Sequence[TextOutcome], expected: int, agent: str = "grpo_text") -> Scores:
    """Of an environment's outcomes; errors name the agent.

    Raises:
        QecforgeError: they are not as many as completions, or a score is not finite though its outcome is valid.
        InfrastructureError: not one completion has a score.
    """
    if len(outcomes) != expected:
        raise QecforgeError(
            f"{agent}: got {len(outcomes)} rewards for {expected} completions, expected one each: report it to the "
            "environment's authors"
        )
    valid = [each for each in outcomes if each.valid]
    values = torch.tensor([each.score if each.valid else float("nan") for each in outcomes], dtype=torch.float64)
    if not valid:
        raise InfrastructureError(
            f"{agent}: none of {expected} completions could be judged ({outcomes[0].detail}): nothing was learned "
            "from them; repair the sandbox, then resume"
        )
    if int(values.isfinite().sum()) != len(valid):
        raise QecforgeError(
            f"{agent}: a reward is not finite, expected a number from 0 to 1: report it to the reward's authors"
        )
    names = sorted({name for each in valid for name in each.components})
    means = {name: sum(each.components.get(name, 0.0) for each in valid) / len(valid) for name in names}
    return Scores(values, means)


def valid_advantages(values: Tensor, group_size: int, scale: AdvantageScale) -> Tensor:
    """`group_advantages` within those of each group that have a score: (E,) -> (E,), 0 for those that have none, and
    where a group has fewer than two."""
    advantages = torch.zeros_like(values)
    for start in range(0, len(values), group_size):
        rows = start + torch.nonzero(~values[start : start + group_size].isnan()).squeeze(1)
        if len(rows) > 1:
            advantages[rows] = group_advantages(values[rows], len(rows), scale)
    return advantages


def still_groups(values: Tensor, group_size: int) -> int:
    """Groups in which no two scores differ: nothing can be learned from them."""
    groups = [each[~each.isnan()] for each in values.view(-1, group_size)]
    return sum(len(each) < 2 or bool((each == each[0]).all()) for each in groups)
