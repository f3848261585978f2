"""What a manifest may say about `parameter_ppo`. "The paper" is arXiv 2511.08493."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from qecforge.learning.schedules import Rate, Schedule
from qecforge.parameters import ParameterAgentConfig

__all__ = ["ParameterPPOConfig"]


class ParameterPPOConfig(ParameterAgentConfig):
    """Parameter-exploring policy gradient (Sehnke et al. 2010) with PPO's clip (Schulman et al. 2017), one advantage
    for each objective and gradient masking by the factor graph (the paper, "RL control").

    Mean and deviation of every parameter are in units of the environment's `exploration_scale`.
    """

    total_epochs: int = Field(default=1000, ge=1, description="Epochs to train for (the paper's simulation: 1,000).")
    candidates: int = Field(default=40, ge=2, description="Candidates of each epoch, K (the paper, hardware: 40).")
    optimizer: Literal["adam", "sgd"] = Field(
        default="sgd",
        description="How a gradient becomes a step. A parameter's gradient is taken in units of its deviation and its "
        "step is so too: sgd is then Sehnke et al.'s step alpha sigma^2, which tracks drift better than adam here "
        "[ours: the paper names no optimizer].",
    )
    learning_rate: Rate | Schedule = Field(
        default=0.25, description="Inner step of the mean, in deviations (times the gradient, for sgd), or a schedule."
    )
    sigma_learning_rate: Rate | Schedule = Field(
        default=0.005, description="Inner step of the logarithm of the deviation, or a schedule."
    )
    adam_betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="Adam's averages of gradient and squared gradient, each in [0, 1)."
    )
    initial_sigma: float = Field(default=0.5, gt=0, description="Deviation at the start, in exploration scales.")
    min_sigma: float = Field(default=0.01, gt=0, description="Least deviation, in exploration scales.")
    max_sigma: float = Field(default=10.0, gt=0, description="Greatest deviation, in exploration scales.")
    entropy: Rate | Schedule = Field(
        default=0.01,
        description="Weight of the entropy bonus (the paper's simulation: 0.001, 0.01, 0.1), or a schedule.",
    )
    mask: bool = Field(
        default=True,
        description="A parameter learns only from the objectives that the environment's factor graph connects it to; "
        "false: from their sum, as plain PGPE (mask false, clip none, replay 0, inner_steps 1).",
    )
    ratio: Literal["coordinate", "objective"] = Field(
        default="coordinate",
        description="Which probability ratio is clipped. coordinate: each parameter's, min(r A, clip(r) A) with the "
        "sum A of its objectives' advantages; objective: an objective's, the product of its parameters' clipped "
        "ratios, with the loss -A r: its variance grows with their number, and so it tracks drift less well.",
    )
    clip: float | None = Field(
        default=0.2, gt=0, lt=1, description="Clip of the ratio (Schulman et al.: 0.2); none: not clipped."
    )
    inner_steps: int = Field(default=2, ge=1, description="Gradient steps on each epoch's candidates.")
    replay: int = Field(
        default=1, ge=0, description="Earlier epochs that every update uses again, with importance weights."
    )
    max_weight: float = Field(default=2.0, ge=1, description="Importance weights of replayed candidates are cut here.")
    baseline: Literal["batch", "learned"] = Field(
        default="batch",
        description="What is subtracted from a reward. batch: the mean of the epoch's other candidates; learned: "
        "a running "
        "mean of each objective.",
    )
    baseline_rate: float = Field(
        default=0.1, gt=0, le=1, description="Weight of the newest epoch in the learned baseline."
    )
    normalize_advantages: Literal["objective", "common", "none"] = Field(
        default="objective",
        description="objective: each objective's advantages are divided by their root mean square over the candidates; "
        "common: all by one number, which keeps the direction of the mean reward's gradient; none: rates and entropy "
        "are then in units of the reward.",
    )
    mirrored: bool = Field(
        default=False,
        description="Candidates in pairs mu + sigma z, mu - sigma z (Sehnke et al.'s symmetric sampling): even parts "
        "of the reward no longer disturb the mean's gradient.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads of the update, at most; none: as many as numba has. Changes no result."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ParameterPPOConfig:
        if not self.min_sigma <= self.initial_sigma <= self.max_sigma:
            raise ValueError(
                f"initial_sigma: {self.initial_sigma} lies outside min_sigma {self.min_sigma} and max_sigma "
                f"{self.max_sigma}: widen them"
            )
        if self.mirrored and (self.candidates % 2 or self.candidates < 4):
            raise ValueError(
                f"candidates: {self.candidates} do not make pairs of which others remain: "
                "set an even number from 4, or mirrored to false"
            )
        if not all(0 <= beta < 1 for beta in self.adam_betas):
            raise ValueError(
                f"adam_betas: got {list(self.adam_betas)}, expected numbers in [0, 1), such as [0.9, 0.999]"
            )
        return self
