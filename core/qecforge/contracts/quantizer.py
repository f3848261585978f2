"""What a quantizer is: a trained float policy in, an integer one out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from qecforge.contracts.agent import ExtraLoss
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["Quantizer"]


class Quantizer(ABC):
    """Gives an integer policy for a trained float one. The policy that it is given is never changed.

    The integer policy is a `qecforge.inference.policy.QuantizedPolicy`, which runtimes execute and the store keeps: a
    run refuses anything else.

    Attributes:
        calibration_states: How many observations `quantize` wants to be given.
    """

    calibration_states: int = 1024

    @abstractmethod
    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """Post-training: a `QuantizedPolicy`, from (N, *observation_shape) calibration observations."""

    def prepare(self, policy: Policy, env: Environment) -> Policy:
        """Training-aware: a student with fake quantisation, started from `policy`, the frozen teacher."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")

    def extra_loss(self, teacher: Policy, student: Policy, env: Environment) -> ExtraLoss:
        """Training-aware: what is added to the agent's objective while it fine-tunes the student."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")

    def convert(self, student: Policy) -> Policy:
        """Training-aware: the trained student as a `QuantizedPolicy`."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")
