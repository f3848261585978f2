"""What a manifest may say about `cma_es` and `spsa`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from qecforge.parameters import ParameterAgentConfig

__all__ = ["CMAESConfig", "SPSAConfig"]


class CMAESConfig(ParameterAgentConfig):
    """Covariance matrix adaptation (Hansen and Ostermeier 2001) with the defaults of the library cma, on one reward,
    the mean over all objectives.

    It searches in units of the environment's `exploration_scale` from `initial_parameters`. None of the library's
    criteria ends the search.
    """

    initial_sigma: float = Field(default=0.5, gt=0, description="Deviation at the start, in exploration scales.")
    min_sigma: float = Field(
        default=0.0,
        ge=0,
        description="Least deviation of each parameter, in exploration scales, which keeps the search moving where an "
        "optimum drifts (cma: 0).",
    )
    diagonal: bool | Literal["auto"] = Field(
        default="auto",
        description="true: a diagonal covariance (sep-CMA, Ros and Hansen 2008), linear in time and memory; false: a "
        "full one; auto: diagonal beyond 2,000 parameters [ours].",
    )

    @field_validator("candidates")
    @classmethod
    def _enough_to_rank(cls, candidates: int) -> int:
        if candidates < 3:
            raise ValueError(f"{candidates} are too few for cma: set 3 or more")
        return candidates


class SPSAConfig(ParameterAgentConfig):
    """Simultaneous perturbation stochastic approximation (Spall 1992) on one reward, the mean over all objectives.

    Epoch k steps by a_k times a gradient estimate, with a_k = a / (A + k + 1)^alpha. The candidates are mirrored pairs
    mu + c_k delta, mu - c_k delta with random signs delta and c_k = c / (k + 1)^gamma; the pairs' estimates are
    averaged. All is in units of the environment's `exploration_scale`.
    """

    perturbation: float = Field(
        default=0.5, gt=0, description="c, the perturbation of every parameter at first, in exploration scales [ours]."
    )
    first_step: float = Field(
        default=0.1,
        gt=0,
        description="Root mean square over the parameters of the first step, in exploration scales [ours]; a follows "
        "from it and the first gradient estimate, as Spall 1998 advises.",
    )
    max_step: float = Field(
        default=0.2,
        gt=0,
        description="Steps of a greater root mean square are cut to this, in exploration scales [ours; Spall 1998 "
        "takes none then]: a is far too large where the search starts at an optimum.",
    )
    step_decay: float = Field(
        default=0.602, ge=0, description="alpha (Spall 1998: 0.602). 0: steps do not decay, for an optimum that drifts."
    )
    perturbation_decay: float = Field(
        default=0.101, ge=0, description="gamma (Spall 1998: 0.101). 0: perturbations do not decay."
    )
    stability: float = Field(
        default=0.1, ge=0, description="A, as a fraction of total_epochs (Spall 1998: at most a tenth)."
    )

    @field_validator("candidates")
    @classmethod
    def _in_pairs(cls, candidates: int) -> int:
        if candidates % 2:
            raise ValueError(f"{candidates} do not make pairs: set an even number")
        return candidates

    @model_validator(mode="after")
    def _first_is_not_cut(self) -> SPSAConfig:
        if self.max_step < self.first_step:
            raise ValueError(f"max_step: {self.max_step} is below first_step {self.first_step}: raise it")
        return self
