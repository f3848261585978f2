"""Coefficients that change while an agent trains."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qecforge.contracts.config import PluginConfig

__all__ = ["Rate", "Schedule", "value_at"]

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Schedule(PluginConfig):
    """A coefficient that changes over the training: `{from: 0.01, to: 0, shape: linear, until: 1}`."""

    model_config = ConfigDict(populate_by_name=True)

    start: Rate = Field(alias="from", description="Value at the first step.")
    to: Rate = Field(description="Value at the end.")
    shape: Literal["constant", "linear", "cosine"] = Field(
        default="linear", description="constant keeps `from`; linear; cosine: half a period, flat at both ends."
    )
    until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Fraction of the training at which `to` is reached; it stays there afterwards.",
    )

    def at(self, progress: float) -> float:
        """The value when the fraction `progress` (0..1) of the training is done."""
        if self.shape == "constant":
            return self.start
        x = min(max(progress / self.until, 0.0), 1.0)
        if self.shape == "cosine":
            x = (1.0 - math.cos(math.pi * x)) / 2.0
        return self.start + (self.to - self.start) * x


def value_at(coefficient: float | Schedule, progress: float) -> float:
    """A coefficient that may be a plain number or a `Schedule`."""
    return coefficient.at(progress) if isinstance(coefficient, Schedule) else coefficient
