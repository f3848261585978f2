"""What a manifest may say under `evaluation` of `surface_steering`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, field_validator

from qecforge.contracts import PluginConfig
from qecforge.evaluation.error_rates.config import DecoderName

__all__ = ["ControlName", "GradientRelationConfig", "PriorName", "SteeringEvaluationConfig"]

ControlName: TypeAlias = Literal["fixed", "steered", "optimal"]
PriorName: TypeAlias = Literal["nominal", "learned", "true"]


class SteeringEvaluationConfig(PluginConfig):
    """Fixed, steered and optimal control over the epochs of a run: detection rates, logical error rates, response."""

    ler_epochs: int = Field(
        default=21,
        ge=0,
        description="Epochs at which logical error rates are measured, spread evenly over the run; 0: none.",
    )
    shots: int = Field(
        default=2000,
        ge=1,
        description="Shots of an epoch, all bases together, from which the logical error rates of all policies are "
        "estimated; where policies are too far apart for that, as many of each.",
    )
    decoder: DecoderName = Field(
        default="auto", description="auto: pymatching where faults are graph-like, else as in logical_error_rate."
    )
    policies: tuple[ControlName, ...] = Field(
        default=("fixed", "steered", "optimal"),
        min_length=1,
        description="fixed: control stays where it started; steered: it is the agent's mean; optimal: the optimum.",
    )
    priors: tuple[PriorName, ...] = Field(
        default=("nominal", "learned"),
        min_length=1,
        description="Gate error probabilities that the decoder assumes. nominal: the median floors, the same of "
        "all gates of one "
        "kind; learned: inferred from the detection events of other shots of that epoch (not for optimal control); "
        "true: their errors.",
    )
    calibration_shots: int = Field(
        default=10_000, ge=1, description="Shots from which a learned prior is inferred, all bases together."
    )
    prior_spread: float = Field(
        default=0.5,
        gt=0,
        allow_inf_nan=False,
        description="Width of the distribution assumed before a prior is learned: scale of a Student "
        "distribution with three degrees of freedom, as a fraction of the nominal error [ours].",
    )
    traces: int = Field(
        default=6, ge=0, description="Number of drifting parameters to record, taken from each profile in turn."
    )
    settle: int = Field(default=0, ge=0, description="Epochs at the beginning that are not counted in the totals.")

    @field_validator("policies", "priors")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"{name} is given twice: give each once")
        return value


class GradientRelationConfig(PluginConfig):
    """Slopes of the logical error rate and of the detection rate along random directions, where control starts."""

    directions: int = Field(default=30, ge=1, description="Gaussian random directions.")
    step: float = Field(
        default=0.5,
        gt=0,
        allow_inf_nan=False,
        description="Half the distance over which a slope is measured: root mean square, in exploration scales.",
    )
    shots: int = Field(
        default=20_000,
        ge=1,
        description="Shots of each direction, all bases together: drawn in the middle and weighed for either end; "
        "where the ends are too far from it for that, as many of each.",
    )
    decoder: DecoderName = Field(
        default="auto", description="auto: pymatching where faults are graph-like, else as in logical_error_rate."
    )
    prior: Literal["nominal", "true"] = Field(
        default="nominal",
        description="Gate error probabilities that the decoder assumes, the same for all policies. nominal: the "
        "median floors; true: the gates' "
        "errors where control starts.",
    )
