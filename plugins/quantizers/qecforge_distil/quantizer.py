"""Distillation into integers, and the choice by width."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from numpy.typing import NDArray

from qecforge.contracts import ActionHead, Environment, Policy, Quantizer, TrainingContext
from qecforge.inference.network import read_policy
from qecforge.inference.policy import QuantizedPolicy
from qecforge.inference.quantization.calibration import (
    OBSERVATION_BITS,
    rollout_states,
    space_holds_levels,
    with_inputs_of_one_range,
)
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge.learning.generators import seed_for
from qecforge.learning.restoring import restored_number, restored_parts
from qecforge_distil.config import AutoConfig, DistilConfig
from qecforge_distil.states import TeacherStates, held_out_states, teacher_states
from qecforge_distil.training import Distillation, agreement, relative_error
from qecforge_ptq import PtqConfig, make_ptq

__all__ = ["Automatic", "Distilling"]

_REPORTS = 20
"""How often the held-out states are judged, beside the beginning."""
_BETWEEN = 50
"""Updates between two reports to the run, which can be stopped there."""


class Distilling(Quantizer):
    """Weights, biases and step sizes learn the frozen teacher's logits, up to a constant, on states that it visits; of
    continuous actions the actions.

    Args:
        method: What integer policies say that made them.
    """

    def __init__(self, config: DistilConfig, *, method: str = "distil") -> None:
        self.config, self.method = config, method
        self.calibration_states = config.calibration_states

    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> QuantizedPolicy:
        """The integers that the distillation starts from: ranges of least squared error, weights per channel.

        Raises:
            ConfigurationError: The policy is not a perceptron, or the calibration states cannot be used.
        """
        student, head = self._student(policy, calibration, holds_levels(calibration, self.config.bits))
        return QuantizedPolicy(to_integer(student, self.method), start=policy.start, head=head)

    def distil(self, teacher: Policy, env: Environment, context: TrainingContext) -> QuantizedPolicy:
        """The integers that have learned from `teacher`.

        Reports to the context, by steps of the optimizer, the metrics `quantizer/loss` (mean over the updates since the
        last report), `quantizer/held_out_top1` or, of continuous actions, `quantizer/held_out_error`,
        `quantizer/step_change_mean`, `quantizer/step_change_largest`, `time/cpu_seconds` (of the process, the playing
        included) and, once, `quantizer/distinct_states` and `quantizer/held_out_states`.

        Raises:
            ConfigurationError: The teacher is not a perceptron.
        """
        config, started, before = self.config, time.process_time(), 0.0
        read_policy(teacher)
        levels = space_holds_levels(env.single_observation_space, config.bits)
        student, head = self._student(teacher, rollout_states(teacher, env, config.calibration_states), levels)
        states = teacher_states(env, teacher, config.states, config.temperatures, seed=seed_for(context.seed, "states"))
        held_out = held_out_states(
            env, teacher, config.held_out_states, states, seed=seed_for(context.seed, "held-out states")
        )
        continuous = head is not None
        if head is not None and head.divisor is not None:
            states, held_out = (each.divided(head.divisor) for each in (states, held_out))
        training = Distillation(
            config, student, states, seed=seed_for(context.seed, "minibatches"), continuous=continuous
        )
        metrics: dict[str, float] = {}
        if context.restored is None:
            metrics = {"quantizer/distinct_states": len(states), "quantizer/held_out_states": len(held_out)}
            metrics |= _judged(student, held_out, continuous)
        else:
            training.load_state_dict(context.restored)
            before = restored_number(
                restored_parts(context.restored, ("cpu_seconds",), "distil")["cpu_seconds"], "distil"
            )

        def state() -> dict[str, Any]:
            return {**training.state_dict(), "cpu_seconds": before + time.process_time() - started}

        judged_every = max(1, config.updates // _REPORTS)
        while context.advance(training.updates, config.updates, metrics, state):
            losses = []
            stop = min(training.updates - training.updates % _BETWEEN + _BETWEEN, config.updates)
            due = training.updates // judged_every < stop // judged_every
            while training.updates < stop:
                losses.append(training.update())
            metrics = {"quantizer/loss": sum(losses) / len(losses), **_moved(student)}
            metrics["time/cpu_seconds"] = before + time.process_time() - started
            if due or stop == config.updates:
                metrics |= _judged(student, held_out, continuous)
        return QuantizedPolicy(to_integer(student, self.method), start=teacher.start, head=head)

    def _student(
        self, policy: Policy, calibration: NDArray[Any], takes_levels: bool
    ) -> tuple[FakeQuantizedMlp, ActionHead | None]:
        """The network under fake quantisation, and what stands around it where actions are continuous."""
        config, spec, head = self.config, read_policy(policy), policy.head
        if head is not None:
            spec, divisor = with_inputs_of_one_range(spec, head.shown(calibration))
            head = dataclasses.replace(head, divisor=divisor)
        student = FakeQuantizedMlp(
            spec,
            bits=config.bits,
            takes_levels=takes_levels and head is None,
            preactivation_bits=config.preactivation_bits,
            observation_bits=None if head is None else OBSERVATION_BITS,
            step_learning_rate=config.step_learning_rate,
            step_epsilon=config.step_epsilon,
        )
        shown = calibration if head is None else head.shown(calibration)
        student.calibrate(shown, activations="mse", weights="mse")
        return student, head


class Automatic(Quantizer):
    """Ranges of a post-training quantizer with 8 bits, distillation with fewer."""

    def __init__(self, config: AutoConfig) -> None:
        self._ranges: Quantizer | None = None
        self._distilling = Distilling(DistilConfig(bits=config.bits))
        if config.bits == 8:
            self._ranges = make_ptq(PtqConfig(granularity="per_channel", range="mse"))
        self.trains = self._ranges is None
        self.calibration_states = (self._ranges or self._distilling).calibration_states

    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """See `Quantizer.quantize`: with 8 bits that is all there is to do."""
        return (self._ranges or self._distilling).quantize(policy, calibration)

    def distil(self, teacher: Policy, env: Environment, context: TrainingContext) -> Policy:
        """See `Quantizer.distil`; with 8 bits nothing is trained.

        Raises:
            ConfigurationError: The teacher is not a perceptron.
        """
        if self._ranges is None:
            return self._distilling.distil(teacher, env, context)
        return self._ranges.quantize(teacher, rollout_states(teacher, env, self.calibration_states))


def _judged(student: FakeQuantizedMlp, held_out: TeacherStates, continuous: bool) -> dict[str, float]:
    if not len(held_out):
        return {}
    if continuous:
        return {"quantizer/held_out_error": relative_error(student, held_out)}
    return {"quantizer/held_out_top1": agreement(student, held_out)}


def _moved(student: FakeQuantizedMlp) -> dict[str, float]:
    return {f"quantizer/{name}": value for name, value in student.step_changes().items()}
