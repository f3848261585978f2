"""What a manifest may say about `smoothquant`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qecforge.contracts import PluginConfig

__all__ = ["Alpha", "AlphaSearch", "SmoothQuantConfig"]

Alpha = Annotated[float, Field(ge=0, le=1)]


class AlphaSearch(PluginConfig):
    """Migration strengths to try."""

    search: tuple[Alpha, ...] = Field(
        min_length=1,
        description="Of these the one is taken whose logits on the calibration states have the least mean squared "
        "error; of equals the first.",
    )


class SmoothQuantConfig(PluginConfig):
    """What a manifest may say about `smoothquant`. "SmoothQuant" is Xiao et al. 2022."""

    bits: int = Field(default=8, ge=2, le=8, description="Bits of weights and activations (SmoothQuant: W8A8).")
    alpha: Alpha | AlphaSearch = Field(
        default=0.5,
        description="Migration strength: how much of an outlier goes from activations to weights (SmoothQuant: 0.5), "
        "or {search: [...]}.",
    )
    preactivation_bits: int = Field(
        default=8,
        ge=2,
        le=8,
        description="Bits of what goes into an activation function, which is a table of 256 entries whatever `bits` is "
        "[ours; APQ paper: one width for all].",
    )
    granularity: Literal["per_tensor", "per_channel"] = Field(
        default="per_tensor",
        description="Weight steps: one for each layer (SmoothQuant, table 2), or one for each output. Activations "
        "have one static step per tensor (its O3).",
    )
    calibration_states: int = Field(
        default=1024,
        ge=16,
        description="States visited by the float policy from which ranges are computed (APQ paper: 1024).",
    )
