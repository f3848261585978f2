"""The policy that is fine-tuned under fake quantisation."""

from __future__ import annotations

from torch import nn

from qecforge.inference.module_policy import ModulePolicy
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp

__all__ = ["StudentPolicy"]


class StudentPolicy(ModulePolicy):
    """A softmax policy over N actions whose logits are fake-quantised; an agent trains it in place.

    Its state also holds steps and calibration.

    Args:
        module: Calibrated.
        value_module: (M, *observation_shape) float32 -> (M, 1), a value network of its own to go on with; None where
            the agent starts from the beginning.
        start: First action's number in the environment's action space.
    """

    def __init__(self, module: FakeQuantizedMlp, value_module: nn.Module | None = None, *, start: int = 0) -> None:
        super().__init__(module, value_module, start=start)
        self._fake = module

    @property
    def module(self) -> FakeQuantizedMlp:
        """From observations to logits."""
        return self._fake
