"""What a manifest may say about every agent that searches a space of parameters."""

from __future__ import annotations

from pydantic import Field, field_validator

from qecforge.contracts.config import PluginConfig

__all__ = ["ParameterAgentConfig"]


class ParameterAgentConfig(PluginConfig):
    """Length of the search, candidates, and what is reported and kept."""

    total_epochs: int = Field(default=1000, ge=1, description="Epochs to train for.")
    candidates: int = Field(default=40, ge=2, description="Candidates of each epoch, K.")
    report_every: int = Field(
        default=10, ge=1, description="Epochs between two entries in the log; also the grid of checkpoints."
    )
    snapshots: int = Field(
        default=100,
        ge=0,
        description="Number of copies of the mean that the policy keeps, evenly spread over total_epochs, first "
        "and last included; evaluations over time read them. 0: never.",
    )
    assess_every: int | None = Field(
        default=None,
        ge=1,
        description="Number of epochs between two assessments of the mean by the environment (of its logical "
        "error rate, "
        "for example), which are logged; none: never. Changes no result.",
    )

    @field_validator("snapshots")
    @classmethod
    def _start_and_end(cls, snapshots: int) -> int:
        if snapshots == 1:
            raise ValueError("1 snapshot is too few: set 2 or more (the first and the last epoch), or 0 for none")
        return snapshots
