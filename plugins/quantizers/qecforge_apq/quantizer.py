"""Argmax-preserving quantization: learned step sizes, fine-tuned to keep the teacher's order of actions."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from qecforge.contracts import Environment, ExtraLoss, Policy
from qecforge.inference.quantization.student import StudentPolicy
from qecforge_apq.config import ApqConfig
from qecforge_apq.objective import ApqLoss
from qecforge_lsq import CalibrationSchedule, LearnedStepSizes

__all__ = ["ArgmaxPreserving"]


class ArgmaxPreserving(LearnedStepSizes):
    """LSQ's student with APQ's terms in its objective.

    In mode `ptq_rank` the student's weights are fixed, its calibration stays as it is, and its module gives an agent
    logits without gradient, so that L_RL moves nothing; the extra loss computes them once more, with gradient for the
    steps.
    """

    def __init__(self, config: ApqConfig) -> None:
        super().__init__(config, method="apq", learn_weights=config.mode == "qat")
        self.apq = config

    def prepare(self, policy: Policy, env: Environment) -> StudentPolicy:
        """As LSQ does."""
        student = super().prepare(policy, env)
        if self.apq.mode == "ptq_rank":
            student.module.observe(False)
            student.module.register_forward_hook(_without_gradient)
        return student

    def extra_loss(self, teacher: Policy, student: Policy, env: Environment) -> ExtraLoss:
        """Beta L_rank + L_safe.

        Raises:
            ConfigurationError: The reward-safe term needs a look-ahead that `env` does not have, or `student` is not
                one that `prepare` made.
        """
        schedule = CalibrationSchedule(student, self.apq.observe_until)
        module = schedule.student.module

        def unquantized(observations: Tensor) -> Tensor:
            _, logits = module.spec().hidden(observations)[-1]
            return logits

        if self.apq.mode == "qat":
            return ApqLoss(
                self.apq,
                teacher,
                env,
                unquantized=unquantized,
                on_progress=schedule.follow_progress,
                reports=module.step_changes,
            )
        # forward itself, past the hook
        return ApqLoss(
            self.apq, teacher, env, unquantized=unquantized, student_logits=module.forward, reports=module.step_changes
        )


def _without_gradient(_module: nn.Module, _inputs: Any, logits: Tensor) -> Tensor:
    return logits.detach()
