"""What a manifest may say about `ptq`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from qecforge.contracts import PluginConfig

__all__ = ["PtqConfig"]


class PtqConfig(PluginConfig):
    """What a manifest may say about `ptq`. "APQ paper" is the argmax-preserving quantization paper, section 5."""

    bits: int = Field(default=8, ge=2, le=8, description="Bits of weights and activations (APQ paper: INT8).")
    preactivation_bits: int = Field(
        default=8,
        ge=2,
        le=8,
        description="Bits of what goes into an activation function, which is a table of 256 entries whatever `bits` is "
        "[ours; APQ paper: one width for all].",
    )
    granularity: Literal["per_tensor", "per_channel"] = Field(
        default="per_tensor",
        description="Weight steps: one for each layer (APQ paper's baseline: per-tensor), or one for each output. "
        "Activations have one step per tensor.",
    )
    range: Literal["minmax", "percentile", "mse"] = Field(
        default="minmax",
        description="Range of a tensor: minmax, all that was seen (APQ paper); percentile, all activations but the "
        "outermost, and all weights; mse, where the mean squared error of weights and activations is least.",
    )
    percentile: float = Field(
        default=99.9,
        gt=50,
        le=100,
        description="With range: percentile, the percentage of values below the upper end, and above the lower end.",
    )
    calibration_states: int = Field(
        default=1024,
        ge=16,
        description="States visited by the float policy from which ranges are computed (APQ paper: 1024).",
    )

    @model_validator(mode="after")
    def _percentile_is_used(self) -> PtqConfig:
        if self.range != "percentile" and self.percentile != PtqConfig.model_fields["percentile"].default:
            raise ValueError(
                f"percentile: {self.percentile} has no effect where range is {self.range}: set range to percentile, or "
                "leave percentile out"
            )
        return self
