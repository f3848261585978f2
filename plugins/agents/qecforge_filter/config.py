"""What a manifest may say about `parameter_filter`."""

from __future__ import annotations

from pydantic import Field, field_validator

from qecforge.parameters import ParameterAgentConfig

__all__ = ["ParameterFilterConfig"]


class ParameterFilterConfig(ParameterAgentConfig):
    """A Kalman filter (Kalman 1960) of where each parameter's optimum is, on a model of the rewards: each falls with
    the squares of distances, by weights that the environment's factor graph has.

    All is in units of the environment's `exploration_scale`.
    """

    candidates: int = Field(
        default=160,
        ge=6,
        description="Candidates of each epoch, K, in pairs [ours: many with few cycles each tell parameters apart "
        "better than few with many].",
    )
    exploration: float = Field(
        default=0.2, gt=0, description="Deviation of candidates from the mean [ours: it costs as much as it brings]."
    )
    drift: float = Field(
        default=0.15,
        gt=0,
        allow_inf_nan=False,
        description="How far an optimum is believed to go in an epoch, standard deviation: the larger, the faster and "
        "the less steadily it is followed [ours].",
    )
    initial_uncertainty: float = Field(
        default=0.3, gt=0, allow_inf_nan=False, description="How far optima are believed to be from the start."
    )
    curvature_uncertainty: float = Field(
        default=0.5,
        gt=0,
        allow_inf_nan=False,
        description="How far the true weights of a group are believed to be from those of the graph, as a share of "
        "them; they are learned.",
    )
    noise_rate: float = Field(
        default=0.1, gt=0, le=1, description="Weight of the newest epoch in the running variance of each objective."
    )

    @field_validator("candidates")
    @classmethod
    def _in_pairs(cls, candidates: int) -> int:
        if candidates % 2:
            raise ValueError(f"{candidates} do not make pairs: set an even number")
        return candidates
