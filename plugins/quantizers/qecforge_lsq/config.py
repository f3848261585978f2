"""What a manifest may say about `lsq`. "LSQ" is Esser et al. 2020, "APQ paper" the argmax-preserving quantization."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts import PluginConfig

__all__ = ["LsqConfig"]


class LsqConfig(PluginConfig):
    """Learned step sizes."""

    bits: int = Field(
        default=8, ge=2, le=8, description="Bits of weights and activations (APQ paper: INT8; INT4 as an option)."
    )
    granularity: Literal["per_tensor", "per_channel"] = Field(
        default="per_channel",
        description="Weight steps: one for each output (APQ paper, section 5: per-channel), or one for each layer. "
        "Activations have one step per tensor.",
    )
    weight_range: Literal["minmax", "mse"] = Field(
        default="mse",
        description="First weight steps: minmax, the greatest weight is the highest level; mse, where the mean squared "
        "error is least [ours; LSQ: 2 <|v|> / sqrt(Qp), for few bits].",
    )
    preactivation_bits: int = Field(
        default=8,
        ge=2,
        le=8,
        description="Bits of what goes into an activation function, which is a table of 256 entries whatever `bits` is "
        "[ours; APQ paper: one width for all].",
    )
    step_learning_rate: float = Field(
        default=1e-3,
        gt=0,
        allow_inf_nan=False,
        description="Adam's step size for the logarithms of step sizes, constant through the fine-tuning [ours; LSQ: "
        "the weights' rate, with gradients scaled by 1/sqrt(N Qp), for step sizes themselves under SGD].",
    )
    step_epsilon: float = Field(
        default=1e-12,
        gt=0,
        allow_inf_nan=False,
        description="Adam's epsilon for them, below their gradients [ours; LSQ has none: it uses SGD].",
    )
    calibration_states: int = Field(
        default=1024,
        ge=16,
        description="States visited by the teacher from which the first activation steps are computed, by "
        "min-max (APQ paper: "
        "1024 for its post-training baselines).",
    )
    observe_until: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Fraction of the fine-tuning during which ranges of activations follow the minibatches by a moving "
        "average (APQ paper: EMA calibration on-policy; the duration is ours).",
    )
    momentum: float = Field(
        default=0.99, ge=0, lt=1, description="Weight of the past in that average, per minibatch [ours]."
    )
    outlier_factor: float | None = Field(
        default=8.0,
        gt=1,
        description="While ranges follow, a hidden unit whose range exceeds this many times that of its layer's median "
        "unit is divided down to that, and the next layer's weights are multiplied; none: never (APQ paper, section "
        "4.3: periodic rescaling of outlier channels, in attention; in perceptrons and the factor: ours).",
    )
    rescale_every: int = Field(
        default=100, ge=1, description="Minibatches between two checks for outliers (APQ paper: periodic; 100 is ours)."
    )
