"""APQ's terms as an agent's extra loss: schedules, gates, and the state that they keep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from qecforge.contracts import Environment, Policy, TrainingBatch
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring import restored_array, restored_number, restored_parts, restoring
from qecforge.learning.schedules import value_at
from qecforge_apq.config import ApqConfig
from qecforge_apq.losses import (
    best_actions,
    expected_excess,
    listwise_kl,
    logit_noise,
    near_ties,
    pairwise_margin,
    worst_excess,
)
from qecforge_apq.ranking import permutahedron_distance, softsort_distance
from qecforge_apq.residuals import Sensitivity, fit_sensitivity, peek_changes, record_teacher

__all__ = ["ApqLoss"]

_LISTWISE: dict[str, Callable[[Tensor, Tensor, float, Tensor | None], Tensor]] = {
    "kl": listwise_kl,
    "softsort": softsort_distance,
    "permutahedron": permutahedron_distance,
}


class ApqLoss:
    """beta (L_pair + alpha L_list) + L_safe, averaged over the minibatch; a gated term counts 0 outside near ties.

    Args:
        teacher: Copied; it stays as it is now.
        env: Where residual changes are looked up, and where the teacher's usual ones are measured, at the first call,
            after which it is as it was.
        student_logits: From observations to the student's logits where the agent's own are without gradient; None to
            use the agent's.
        unquantized: From observations to the logits of the student's weights without quantisation, for
            `noise_against: unquantized`.
        reports: What is said beside the terms (how far steps have moved).
        on_progress: Told the progress before each minibatch is judged (the end of the student's calibration).

    Attributes:
        needs_states: Whether minibatches have to carry `Environment.compact_states`.
        metrics: Mean terms of the latest minibatch, before their weights: `pairwise`, `listwise`, `safe` (lambda
            included), `logit_noise` (epsilon_hat), `near_ties` (fraction of states), `budget`.

    Source: APQ paper, eqs. (3), (5), (6) and section 5, "Architectures and training".
    """

    def __init__(
        self,
        config: ApqConfig,
        teacher: Policy,
        env: Environment,
        *,
        student_logits: Callable[[Tensor], Tensor] | None = None,
        unquantized: Callable[[Tensor], Tensor] | None = None,
        on_progress: Callable[[float], None] | None = None,
        reports: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self.config, self.env = config, env
        self._policy, self._teacher = teacher, _frozen(teacher.module)
        self._student_logits, self._unquantized, self._on_progress = student_logits, unquantized, on_progress
        self.needs_states = config.safe != "none" and config.residual_change == "peek"
        if self.needs_states and not env.can_peek:
            raise ConfigurationError(
                f"apq: {type(env).__name__} cannot look ahead, which safe: {config.safe} needs: set safe to none, or "
                "residual_change to sensitivity with residual_component reward"
            )
        self._reports = reports
        self._noise: Tensor | None = None
        self._budget: float | None = None
        self._unit = 1.0
        self._sensitivity: Sensitivity | None = None
        self._latest: dict[str, Tensor] = {}

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """The scalar, with gradient for the student alone. epsilon_hat takes this minibatch in first."""
        config, mask = self.config, batch.action_mask
        if self._on_progress is not None:
            self._on_progress(batch.progress)
        student = batch.logits if self._student_logits is None else self._student_logits(batch.observations)
        with torch.no_grad():
            teacher = self._teacher.to(student.device)(batch.observations)
            compared = teacher
            if config.noise_against == "unquantized":
                if self._unquantized is None:
                    raise ConfigurationError(
                        "apq: noise_against is unquantized: give the student's unquantized network"
                    )
                compared = self._unquantized(batch.observations)
            near = near_ties(teacher, config.gate_factor * self._observe_noise(student, compared, mask), mask)
        everywhere = torch.ones_like(near)
        zero = 0.0 * student.sum()  # keeps the scalar on the graph where no term has a gradient
        pairwise = listwise = safe = zero
        if config.pairwise:
            terms = pairwise_margin(student, teacher, value_at(config.margin, batch.progress), mask)
            pairwise = (terms * (everywhere if config.gate == "none" else near)).mean()
        if config.ranking != "none":
            terms = _LISTWISE[config.ranking](student, teacher, value_at(config.temperature, batch.progress), mask)
            listwise = (terms * (near if config.gate == "both" else everywhere)).mean()
        if config.safe != "none":
            safe = self._safe(batch, student, teacher, near if config.safe_states == "near_ties" else everywhere)
        terms_found = {"pairwise": pairwise, "listwise": listwise, "safe": safe, "near_ties": near.float().mean()}
        self._latest = {name: value.detach() for name, value in terms_found.items()}
        alpha, beta = value_at(config.alpha, batch.progress), value_at(config.beta, batch.progress)
        return zero + beta * (pairwise + alpha * listwise) + safe

    @property
    def metrics(self) -> dict[str, float]:
        """As described above; empty before the first call."""
        found = {name: float(value) + 0.0 for name, value in self._latest.items()}  # no -0.0
        if self._reports is not None:
            found |= self._reports()
        if self._noise is not None:
            found["logit_noise"] = float(self._noise)
        if self._budget is not None:
            found["budget"] = self._budget
        return found

    def _observe_noise(self, student: Tensor, compared: Tensor, mask: Tensor | None) -> Tensor:
        noise = logit_noise(student, compared, mask, shift_free=self.config.noise == "shift_free").mean()
        decay = self.config.noise_decay
        self._noise = noise if self._noise is None else decay * self._noise.to(noise) + (1.0 - decay) * noise
        return self._noise

    def _safe(self, batch: TrainingBatch, student: Tensor, teacher: Tensor, counted: Tensor) -> Tensor:
        """Lambda times the mean excess over the budget, 0 for states that are not `counted`."""
        config = self.config
        if self._budget is None:
            self._measure_teacher(teacher.shape[-1])
        assert self._budget is not None
        rows = counted.nonzero().squeeze(-1)
        if not len(rows):
            return 0.0 * student.sum()
        mask = None if batch.action_mask is None else batch.action_mask[rows]
        actions, allowed = best_actions(teacher[rows], config.top_k, mask)
        increases = self._increases(batch, rows, torch.where(allowed, actions, actions[:, :1])) / self._unit
        budget = self._budget / self._unit
        if config.safe == "literal":
            excess = worst_excess(increases, budget, allowed=allowed)
        else:
            excess = expected_excess(student[rows], actions, increases, budget, allowed=allowed, mask=mask)
        return config.safe_weight * excess.sum() / len(counted)

    @torch.no_grad()
    def _increases(self, batch: TrainingBatch, rows: Tensor, actions: Tensor) -> Tensor:
        """Drho(s, a): the residual after each of `actions` (R, K) less that after the first, a*."""
        if self._sensitivity is not None:
            changes = self._sensitivity.changes(batch.observations[rows], actions)
        else:
            if batch.states is None:
                raise ConfigurationError(
                    "apq: the agent gave no states, which safe with residual_change: peek needs: use an agent that "
                    "follows ExtraLoss.needs_states, or set residual_change to sensitivity"
                )
            states = batch.states[rows.cpu().numpy()]
            looked_up = peek_changes(self.env, states, actions.cpu().numpy(), self.config.residual_component)
            changes = torch.from_numpy(looked_up.astype(np.float32)).to(actions.device)
        return changes - changes[:, :1]

    def _measure_teacher(self, num_actions: int) -> None:
        """Budget, unit and sensitivity from the teacher's own rollouts."""
        config = self.config
        predicts = config.residual_change == "sensitivity"
        self._budget = config.budget
        if config.budget is None or config.residual_units == "typical" or predicts:
            record = record_teacher(
                self.env, self._policy, config.residual_component, config.teacher_steps, keep_observations=predicts
            )
            if config.budget is None:
                self._budget = float(np.quantile(np.abs(record.changes), config.budget_quantile))
            if config.residual_units == "typical":
                self._unit = float(np.sqrt(np.mean(record.changes**2)))
                if self._unit == 0.0:
                    raise ConfigurationError(
                        f"apq: in {len(record.changes)} steps of the teacher the {config.residual_component} never "
                        "changed, so that it has no typical size: set residual_units to raw"
                    )
            if predicts:
                self._sensitivity = fit_sensitivity(record, num_actions)

    def state_dict(self) -> dict[str, Any]:
        """All that later calls depend on beside their minibatches, as copies."""
        sensitivity = self._sensitivity
        return {
            "noise": None if self._noise is None else self._noise.to("cpu", copy=True),
            "budget": self._budget,
            "unit": self._unit,
            "sensitivity": None
            if sensitivity is None
            else [part.to("cpu", copy=True) for part in (sensitivity.base, sensitivity.slope, sensitivity.centre)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it is none of ours."""
        state = restored_parts(state, ("noise", "budget", "unit", "sensitivity"), "apq")
        noise, budget, sensitivity = state["noise"], state["budget"], state["sensitivity"]
        if noise is not None:
            restored_array(noise, np.float32, (), "apq: noise", low=0.0)
        if budget is not None:
            budget = restored_number(budget, "apq: budget", low=0.0)
        unit = restored_number(state["unit"], "apq: unit", low=0.0)
        if (sensitivity is None) != (self.config.residual_change != "sensitivity"):
            raise CheckpointError(
                "apq: this checkpoint's sensitivity is not that of the configuration: restore it anew"
            )
        if sensitivity is not None:
            sensitivity = self._restored_sensitivity(sensitivity)
        self._noise = None if noise is None else noise.clone()
        self._budget, self._unit, self._sensitivity = budget, unit, sensitivity

    def _restored_sensitivity(self, parts: Any) -> Sensitivity:
        with restoring("apq: sensitivity"):
            base, slope, centre = parts
        actions = self.env.single_action_space
        assert isinstance(actions, gymnasium.spaces.Discrete)
        N, D = int(actions.n), int(np.prod(self.env.single_observation_space.shape or ()))
        for part, shape in ((base, (N,)), (slope, (N, D)), (centre, (D,))):
            restored_array(part, np.float32, shape, "apq: sensitivity")
        return Sensitivity(base.clone(), slope.clone(), centre.clone())


def _frozen(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).requires_grad_(False).eval()
