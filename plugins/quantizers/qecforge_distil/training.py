"""How a student under fake quantisation learns its teacher's logits, or its continuous actions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.errors import CheckpointError
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.learning.parameter_groups import adamw_of
from qecforge.learning.restoring import restored_int, restored_parts
from qecforge.learning.restoring_torch import check_networks, restored_optimizer
from qecforge.learning.torch_state import copied
from qecforge_distil.config import DistilConfig
from qecforge_distil.states import TeacherStates

__all__ = ["Distillation", "action_error", "agreement", "centred_error", "relative_error"]


def centred_error(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """(M,): mean squared difference of logits over the allowed actions, for the best constant added to the student's.

    A constant changes no decision and no probability. The teacher gets no gradient.

    Args:
        student, teacher: Logits (M, N).
        mask: (M, N) bool, at least one action allowed in each row; None where all are.
    """
    difference = student - teacher.detach()
    if mask is None:
        return difference.var(-1, correction=0)
    difference = difference.masked_fill(~mask, 0.0)
    allowed = mask.sum(-1, keepdim=True)
    mean = difference.sum(-1, keepdim=True) / allowed
    return ((difference - mean).masked_fill(~mask, 0.0).square() / allowed).sum(-1)


def action_error(student: Tensor, teacher: Tensor) -> Tensor:
    """(M,): mean squared difference of unit actions. The teacher gets no gradient.

    Args:
        student: What the network gives, (M, A), the arguments of tanh.
        teacher: Unit actions (M, A).
    """
    return (student.tanh() - teacher.detach()).square().mean(-1)


def relative_error(student: FakeQuantizedMlp, states: TeacherStates) -> float:
    """Root mean square of the difference of unit actions over that of the teacher's about their mean; NaN where there
    is no state, or the teacher's do not differ."""
    if not len(states):
        return math.nan
    theirs = states.outputs.astype(np.float64)
    spread = float((theirs - theirs.mean(0)).std())
    return (
        float(np.sqrt(np.square(np.tanh(_outputs(student, states)) - theirs).mean())) / spread if spread else math.nan
    )


@torch.no_grad()
def _outputs(student: FakeQuantizedMlp, states: TeacherStates, *, batch: int = 4096) -> NDArray[np.float32]:
    parts = [
        student(torch.from_numpy(np.ascontiguousarray(states.observations[start : start + batch]))).numpy()
        for start in range(0, len(states), batch)
    ]
    return np.concatenate(parts)


def agreement(student: FakeQuantizedMlp, states: TeacherStates) -> float:
    """Fraction of the states in which both like the same allowed action best; NaN where there is no state."""
    if not len(states):
        return math.nan
    ours, theirs = _outputs(student, states), states.outputs
    if states.masks is not None:
        ours, theirs = (np.where(states.masks, each, -np.inf) for each in (ours, theirs))
    return float((ours.argmax(-1) == theirs.argmax(-1)).mean())


class Distillation:
    """Adam on minibatches of distinct states, each pass over them in an order of its own; learning rates fall to 0.

    Args:
        student: Calibrated; trained in place.
        states: What it learns on.
        seed: Of the orders.
        continuous: The teacher's outputs are unit actions, not logits.

    Attributes:
        updates: Steps of the optimizer so far.
    """

    def __init__(
        self,
        config: DistilConfig,
        student: FakeQuantizedMlp,
        states: TeacherStates,
        *,
        seed: int,
        continuous: bool = False,
    ) -> None:
        self.config, self.student, self.states, self.continuous = config, student, states, continuous
        self.updates = 0
        self._optimizer = adamw_of(student, learning_rate=config.learning_rate, epsilon=1e-8, weight_decay=0.0)
        self._rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        self._generator = np.random.default_rng(seed)
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def update(self) -> float:
        """One step of the optimizer. Returns the minibatch's loss, before it."""
        factor = (1.0 + math.cos(math.pi * self.updates / self.config.updates)) / 2.0
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        rows, masks = self._minibatch(), self.states.masks
        student = self.student(torch.from_numpy(self.states.observations[rows]))
        teacher = torch.from_numpy(self.states.outputs[rows])
        if self.continuous:
            loss = action_error(student, teacher).mean()
        else:
            mask = None if masks is None else torch.from_numpy(masks[rows])
            loss = centred_error(student, teacher, mask).mean()
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._optimizer.step()
        self.updates += 1
        return float(loss.detach())

    def _minibatch(self) -> NDArray[np.int64]:
        """Rows of the states, sorted by nothing; the last of a pass are left out where they do not fill it."""
        size = min(self.config.minibatch_size, len(self.states))
        if len(self._order) < size:
            self._order = self._generator.permutation(len(self.states))
        rows, self._order = self._order[:size], self._order[size:]
        return rows

    def state_dict(self) -> dict[str, Any]:
        """All that later updates depend on beside the states."""
        return {
            "student": copied(self.student.state_dict()),
            "optimizer": copied({"state": self._optimizer.state_dict()["state"]}),
            "generator": generator_state(self._generator),
            "order": self._order.copy(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it is none of ours."""
        state = restored_parts(state, ("student", "optimizer", "generator", "order", "updates"), "distil")
        check_networks(state["student"], self.student, "distil: student")
        optimizer = restored_optimizer(state["optimizer"], self._optimizer, "distil: optimizer")
        order = state["order"]
        if not isinstance(order, np.ndarray) or order.dtype != np.int64 or order.ndim != 1:
            raise CheckpointError("distil: order is not an array of rows: restore the checkpoint")
        if len(order) and (order.min() < 0 or order.max() >= len(self.states)):
            raise CheckpointError("distil: order has rows of other states: restore the checkpoint")
        self.updates = restored_int(state["updates"], "distil: updates", high=self.config.updates)
        self.student.load_state_dict(state["student"])
        self._optimizer.load_state_dict(optimizer)
        self._generator = restored_generator(restored_parts(state["generator"], (), "distil: generator"))
        self._order = order.copy()
