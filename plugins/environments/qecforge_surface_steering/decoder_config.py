"""What a manifest may say about `decoder_steering`. "The paper" is arXiv 2511.08493."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts import PluginConfig
from qecforge.evaluation.error_rates.config import DecoderName
from qecforge_surface_steering.config import SurfaceSteeringConfig

__all__ = ["DecoderPriorsConfig", "DecoderSteeringConfig"]


class Calibration(PluginConfig):
    """How gate errors are inferred from detection events alone."""

    shots: int = Field(default=10_000, ge=1, description="Shots, all bases together; not used for anything else.")
    spread: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="Scale of the prior distribution, Student's around the nominal errors, in units of them [ours].",
    )


class DecoderSteeringConfig(PluginConfig):
    """A device that is held as it is, and the decoder's belief about its gates, tuned on the logical error rate."""

    device: SurfaceSteeringConfig = Field(
        description="Code, gates and drift, with the keys of environment surface_steering; those about candidates and "
        "rewards (engine, cycles, objectives, bulk_only, reward) have no effect."
    )
    control: Literal["fixed", "optimal"] = Field(
        default="fixed", description="fixed: control stays where `device.start` puts it; optimal: it is at the optimum."
    )
    epoch: int = Field(default=0, ge=0, description="Epoch of the device's drift at which it is held.")
    decoder: DecoderName = Field(
        default="auto", description="Decoder whose priors are tuned (paper: matching, which is also the fastest)."
    )
    parameters: Literal["gate", "kind"] = Field(
        default="gate",
        description="gate: one number for each gate [ours: the paper tunes edges of the graph]; kind: one for all "
        "gates of one qubit and one for all of two.",
    )
    prior: Literal["nominal", "learned"] = Field(
        default="nominal",
        description="Where tuning starts. nominal: equal errors for all gates of a kind, those of the "
        "configuration; learned: inferred from detection events.",
    )
    calibration: Calibration = Field(
        default=Calibration(), description="Measurement from which a learned prior is inferred."
    )
    shots: int = Field(
        default=10_000,
        ge=1,
        description="Shots of an epoch, of all bases together. All candidates decode the same ones.",
    )
    exploration: float = Field(
        default=0.5,
        gt=0,
        allow_inf_nan=False,
        description="Exploration scale: of the natural logarithm of a prior [ours].",
    )
    assess_shots: int = Field(
        default=20_000, ge=1, description="Shots of an assessment, other shots than those of training."
    )
    horizon: int = Field(
        default=1000, ge=1, description="Number of epochs at which the observed fraction of time is 1."
    )


class DecoderPriorsConfig(PluginConfig):
    """Logical error rates with several priors on the same shots, which training has not seen."""

    shots: int = Field(default=100_000, ge=1, description="Shots, of all bases together.")
