"""Quantisation-aware fine-tuning with learned step sizes (Esser et al. 2020)."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import torch
from numpy.typing import NDArray

from qecforge.contracts import Environment, ExtraLoss, Policy, Quantizer, TrainingBatch
from qecforge.errors import ConfigurationError
from qecforge.inference.network import read_mlp
from qecforge.inference.policy import QuantizedPolicy
from qecforge.inference.quantization.calibration import rollout_states, space_holds_levels
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge.inference.quantization.student import StudentPolicy
from qecforge_lsq.config import LsqConfig

__all__ = ["CalibrationSchedule", "LearnedStepSizes"]


class CalibrationSchedule:
    """The extra loss of plain LSQ, which is zero: it ends the student's on-policy calibration when it is time, and
    reports how far the steps have moved."""

    needs_states = False

    def __init__(self, student: Policy, observe_until: float) -> None:
        self.student, self.observe_until = student_of(student), observe_until

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        """Zero, with gradient zero."""
        self.follow_progress(batch.progress)
        return 0.0 * batch.logits.sum()

    @property
    def metrics(self) -> dict[str, float]:
        """`step_change_mean` and `step_change_largest`: |change of log step| by learning so far."""
        return self.student.module.step_changes()

    def follow_progress(self, progress: float) -> None:
        """End the calibration where the fraction `progress` of the fine-tuning is past `observe_until`."""
        module = self.student.module
        if progress >= self.observe_until and bool(module.observing):
            module.observe(False)


class LearnedStepSizes(Quantizer):
    """Fine-tunes a copy of the teacher with the agent's own objective under fake quantisation.

    Args:
        method: What integer policies say that made them.
        learn_weights: Whether weights are trained beside the steps.
    """

    def __init__(self, config: LsqConfig, *, method: str = "lsq", learn_weights: bool = True) -> None:
        self.config, self.method, self.learn_weights = config, method, learn_weights
        self.calibration_states = config.calibration_states

    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """The integers that fine-tuning starts from: calibrated, nothing learned.

        Raises:
            ConfigurationError: The policy is not a perceptron, or the calibration states cannot be used.
        """
        levels = holds_levels(calibration, self.config.bits)
        return self.convert(self._student(policy, calibration, takes_levels=levels))

    def prepare(self, policy: Policy, env: Environment) -> StudentPolicy:
        """The student, calibrated on what the teacher meets in `env`, which goes on afterwards as if untouched.

        The calibration is the same for the same teacher and environment: its rollouts have a seed of their own.

        Raises:
            ConfigurationError: The policy is not a perceptron, or the environment's actions are not discrete.
        """
        if not isinstance(env.single_action_space, gymnasium.spaces.Discrete):
            raise ConfigurationError(
                f"{self.method}: the action space is {env.single_action_space}, expected Discrete: leave the "
                "quantizer out for continuous actions"
            )
        read_mlp(policy.module)
        states = rollout_states(policy, env, self.calibration_states)
        levels = space_holds_levels(env.single_observation_space, self.config.bits)
        student = self._student(policy, states, takes_levels=levels)
        student.module.observe(self.config.observe_until > 0)
        return student

    def extra_loss(self, teacher: Policy, student: Policy, env: Environment) -> ExtraLoss:
        """Nothing is added to the objective; the calibration's end is watched."""
        return CalibrationSchedule(student, self.config.observe_until)

    def convert(self, student: Policy) -> QuantizedPolicy:
        """The student's integers.

        Raises:
            ConfigurationError: It is not one that `prepare` made, or its training diverged.
        """
        return QuantizedPolicy(to_integer(student_of(student).module, self.method), start=student.start)

    def _student(self, policy: Policy, states: NDArray[Any], *, takes_levels: bool) -> StudentPolicy:
        config = self.config
        module = FakeQuantizedMlp(
            read_mlp(policy.module),
            bits=config.bits,
            granularity=config.granularity,
            takes_levels=takes_levels,
            learn_weights=self.learn_weights,
            momentum=config.momentum,
            rescale_above=config.outlier_factor,
            rescale_every=config.rescale_every,
            preactivation_bits=config.preactivation_bits,
            step_learning_rate=config.step_learning_rate,
            step_epsilon=config.step_epsilon,
        )
        module.calibrate(states, weights=config.weight_range)
        value_module = copy.deepcopy(getattr(policy, "value_module", None))
        return StudentPolicy(module, value_module, start=policy.start)


def student_of(policy: Policy) -> StudentPolicy:
    """`policy`, if it is a student. Raises `ConfigurationError` else."""
    if not isinstance(policy, StudentPolicy):
        raise ConfigurationError(
            f"quantizer: got a {type(policy).__name__}, expected the student that prepare gives: prepare one first"
        )
    return policy
