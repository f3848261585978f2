"""What a quantizer is: a trained float policy in, an integer one out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from qecforge.contracts.agent import ExtraLoss, TrainingContext
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["Quantizer"]


class Quantizer(ABC):
    """Gives an integer policy for a trained float one. The policy that it is given is never changed.

    The integer policy is a `qecforge.inference.policy.QuantizedPolicy`, which runtimes execute and the store keeps: a
    run refuses anything else.

    Attributes:
        calibration_states: How many observations `quantize` wants to be given.
        trains: Of a distillation, whether there is anything to learn; else a run calls `quantize` in place of `distil`.
    """

    calibration_states: int = 1024
    trains: bool = True

    @abstractmethod
    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """A `QuantizedPolicy` without any training, from (N, *observation_shape) calibration observations: the result
        of post-training quantization, and what the others start from."""

    def distil(self, teacher: Policy, env: Environment, context: TrainingContext) -> Policy:
        """Distillation: a `QuantizedPolicy` that has learned from the frozen teacher, without the agent and its reward.

        The loop is the quantizer's own. It reports to `context.advance`, in steps of its own and metrics called
        `quantizer/NAME` (`time/NAME` for clocks), what an agent would, its state included: a resumed distillation
        equals the uninterrupted one, bit for bit. It plays in `env`, whose state is not needed to go on.
        """
        raise NotImplementedError(f"{type(self).__name__} distils nothing")

    def prepare(self, policy: Policy, env: Environment) -> Policy:
        """Training-aware: a student with fake quantisation, started from `policy`, the frozen teacher."""
        raise NotImplementedError(f"{type(self).__name__} trains no student by an agent")

    def extra_loss(self, teacher: Policy, student: Policy, env: Environment) -> ExtraLoss:
        """Training-aware: what is added to the agent's objective while it fine-tunes the student."""
        raise NotImplementedError(f"{type(self).__name__} trains no student by an agent")

    def convert(self, student: Policy) -> Policy:
        """Training-aware: the trained student as a `QuantizedPolicy`."""
        raise NotImplementedError(f"{type(self).__name__} trains no student by an agent")
