"""Post-training quantization."""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import NDArray

from qecforge.contracts import Policy, Quantizer
from qecforge.inference.network import read_policy
from qecforge.inference.policy import QuantizedPolicy
from qecforge.inference.quantization.calibration import OBSERVATION_BITS, with_inputs_of_one_range
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge_ptq.config import PtqConfig

__all__ = ["PostTraining"]


class PostTraining(Quantizer):
    """Steps and zero points from what the float network does on the calibration states; weights are rounded."""

    def __init__(self, config: PtqConfig) -> None:
        self.config = config
        self.calibration_states = config.calibration_states

    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """As described. Integer observations 0..2^bits - 1 are taken as levels, without rounding; those of continuous
        actions are normalised first where the policy's are, and divided by their ranges.

        Raises:
            ConfigurationError: The policy is not a perceptron, or the calibration states cannot be used.
        """
        config, spec, head, shown = self.config, read_policy(policy), policy.head, calibration
        if head is not None:
            spec, divisor = with_inputs_of_one_range(spec, head.shown(calibration))
            head = dataclasses.replace(head, divisor=divisor)
            shown = head.shown(calibration)
        fake = FakeQuantizedMlp(
            spec,
            bits=config.bits,
            granularity=config.granularity,
            takes_levels=holds_levels(shown, config.bits),
            learn_weights=False,
            preactivation_bits=config.preactivation_bits,
            observation_bits=None if head is None else OBSERVATION_BITS,
            learn_weight_steps=False,
            learn_activation_steps=False,
        )
        fake.calibrate(
            shown,
            activations=config.range,
            weights="mse" if config.range == "mse" else "minmax",
            percentile=config.percentile,
        )
        return QuantizedPolicy(to_integer(fake, "ptq"), start=policy.start, head=head)
