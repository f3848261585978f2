"""What a manifest consists of, apart from its plugins."""

from __future__ import annotations

from pydantic import Field

from qecforge.contracts.config import PluginConfig

__all__ = [
    "FINE_TUNE",
    "MANIFEST_VERSION",
    "MAX_SEED",
    "NAME_PATTERN",
    "SECTIONS",
    "SHORTHAND",
    "SWEPT",
    "Budget",
    "Checkpoint",
    "Teacher",
]

MANIFEST_VERSION = 1
MAX_SEED = 2**32 - 1
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
SECTIONS = (
    "qecforge",
    "name",
    "environment",
    "reward",
    "agent",
    "quantizer",
    "evaluation",
    "seeds",
    "sweep",
    "budget",
    "checkpoint",
)
SWEPT = ("environment", "reward", "agent", "quantizer", "evaluation", "budget")
"""What a sweep may vary."""
SHORTHAND = ("environment", "reward", "agent", "quantizer")
"""What may be a plugin's name alone instead of a mapping."""


FINE_TUNE = "Settings of the agent that are otherwise while it fine-tunes the quantized student, total_steps say."
"""What `quantizer.fine_tune` is for."""


class Budget(PluginConfig):
    """Limits that end a training before the agent's own number of steps. `seconds` makes a run depend on the machine.

    Fine-tuning a student has its own `seconds`; a code does not stop it.
    """

    seconds: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Training stops after this wall-clock time, in seconds; null: never.",
    )
    stop_at_first_code: bool = Field(False, description="Training stops as soon as a code is discovered.")


class Checkpoint(PluginConfig):
    """How often a run's state is saved."""

    every_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Wall-clock time between two checkpoints, in seconds."
    )


class Teacher(PluginConfig):
    """A trained float policy that a quantizer starts from, instead of training one."""

    run: str | None = Field(None, min_length=1, description="Id, or unique start of the id, of a run in the store.")
    manifest: str | None = Field(
        None,
        min_length=1,
        description="Path of a manifest, seen from this one, whose run of the same seed is taken; it is carried out "
        "where the store does not have it yet.",
    )
