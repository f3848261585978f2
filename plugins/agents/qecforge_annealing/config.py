"""What a manifest may say about `annealing`."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig

__all__ = ["AnnealingConfig"]


class AnnealingConfig(PluginConfig):
    """Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) over whole sequences of actions."""

    total_steps: int = Field(
        ge=1, description="Environment steps, over all chains: a sequence that is tried counts as many as it is long."
    )
    length: int = Field(
        ge=1,
        description="Actions of the first sequences. Whenever one reaches the target, sequences that are one shorter "
        "are sought from then on.",
    )
    chains: int = Field(32, ge=1, le=65536, description="Sequences that are annealed side by side.")
    cooling: int = Field(
        300_000, ge=2, description="Tries of a chain from the highest to the lowest temperature; then it starts anew."
    )
    hottest: float = Field(
        0.1, gt=0, description="Highest temperature, in units of the value that the reward gives a state."
    )
    coldest: float = Field(0.03, gt=0, description="Lowest temperature, in the same units.")
    from_best: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How often a chain starts from the best sequence so far, without one of its actions; else from one "
        "that is drawn.",
    )
    kind_weights: tuple[float, ...] = Field(
        (),
        description="How often each kind of action is drawn, in the order of the environment's kinds (of gates, say); "
        "empty: all alike.",
    )
    report_every: int = Field(20_000, ge=1, description="Tries between two entries of the log.")

    @field_validator("kind_weights")
    @classmethod
    def _some_weight(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights and (min(weights) < 0 or not 0 < sum(weights) < float("inf")):
            raise ValueError(f"{list(weights)} are no weights: give numbers >= 0, not all of them 0")
        return weights

    @model_validator(mode="after")
    def _cools(self) -> AnnealingConfig:
        if self.coldest > self.hottest:
            raise ValueError(f"coldest: {self.coldest} is above hottest {self.hottest}: lower it")
        return self
