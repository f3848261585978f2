"""What a manifest may say about `distil` and `auto`. No paper has them: all numbers are ours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from qecforge.contracts import PluginConfig

__all__ = ["AutoConfig", "DistilConfig"]

Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DistilConfig(PluginConfig):
    """A student with weights per channel, whose logits learn to be those of its teacher. No reward takes part."""

    bits: int = Field(default=8, ge=2, le=8, description="Bits of weights and activations.")
    preactivation_bits: int = Field(
        default=8,
        ge=2,
        le=8,
        description="Bits of what goes into an activation function, which is a table of 256 entries whatever `bits` "
        "is.",
    )
    states: int = Field(
        default=100_000,
        ge=16,
        description="States visited by the teacher on which the student learns, as many at each temperature; of equal "
        "ones one is kept.",
    )
    temperatures: tuple[Temperature, ...] = Field(
        default=(1.0, 2.0, 4.0),
        min_length=1,
        description="The teacher acts by softmax(logits / T), one T after the other: above 1 it strays to states that "
        "it seldom sees.",
    )
    updates: int = Field(default=4_000, ge=1, description="Steps of the optimizer.")
    minibatch_size: int = Field(default=256, ge=1, description="States for each.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        allow_inf_nan=False,
        description="Adam's step size for weights and biases at the beginning; it falls to 0 by half a cosine.",
    )
    step_learning_rate: float = Field(
        default=1e-3,
        gt=0,
        allow_inf_nan=False,
        description="Likewise for the logarithms of step sizes.",
    )
    step_epsilon: float = Field(
        default=1e-12, gt=0, allow_inf_nan=False, description="Adam's epsilon for them, below their gradients."
    )
    calibration_states: int = Field(
        default=1024,
        ge=16,
        description="States visited by the teacher from which the first step sizes are computed, by least squared "
        "error.",
    )
    held_out_states: int = Field(
        default=10_000,
        ge=16,
        description="Further states visited by the teacher; on the distinct ones among them that the student does not "
        "learn on, `quantizer/held_out_top1` counts how often both decide alike.",
    )


class AutoConfig(PluginConfig):
    """The width alone; how is chosen by it."""

    bits: int = Field(default=8, ge=2, le=8, description="Bits of weights and activations.")
