"""Action fidelity: how far a student's continuous actions (INT8, say) are from its teacher's, on states that were
visited."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.policies.fidelity import policy_logits

if TYPE_CHECKING:
    from qecforge.contracts.policy import Policy

__all__ = ["ActionFidelity", "action_fidelity"]


@dataclass(frozen=True)
class ActionFidelity:
    """Of unit actions, which lie in -1..1 along each axis of the action space.

    Attributes:
        action_error_rms: Root mean square of student less teacher, over states and axes.
        action_error_max: The greatest of them.
        action_error_relative: `action_error_rms` over the standard deviation of the teacher's actions about the mean of
            each axis; None where these do not differ.
    """

    action_error_rms: float
    action_error_max: float
    action_error_relative: float | None

    def values(self) -> dict[str, float]:
        """The numbers by which runs are compared, for `Store.add_policy_evaluation`; what is undefined is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def action_fidelity(teacher: Policy, student: Policy, observations: NDArray[Any]) -> ActionFidelity:
    """Compare both without noise.

    Args:
        teacher: Float, of continuous actions (`Policy.head`).
        student: Made from it, in integers.
        observations: (S, *observation_shape), S >= 1.

    Raises:
        ConfigurationError: One of them has no head, or there is no state.
    """
    if teacher.head is None or student.head is None:
        raise ConfigurationError(
            "action_fidelity: got a policy of discrete actions, expected continuous ones: use decision_fidelity"
        )
    if not len(observations):
        raise ConfigurationError("action_fidelity: got no state, expected 1 or more")
    theirs = policy_logits(teacher, teacher.head.shown(observations)).astype(np.float64)
    error = np.abs(np.tanh(policy_logits(student, observations).astype(np.float64)) - theirs)
    rms, spread = float(np.sqrt(np.square(error).mean())), float((theirs - theirs.mean(0)).std())
    return ActionFidelity(rms, float(error.max()), rms / spread if spread > 0 else None)
