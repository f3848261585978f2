"""What a manifest may say about `apq`. "APQ paper" is the argmax-preserving quantization paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, WrapSerializer, model_validator

from qecforge.learning.schedules import Schedule
from qecforge_lsq import LsqConfig

__all__ = ["ApqConfig", "check_components", "needs_lookahead"]

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _linear_unsaid(schedule: Schedule, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """`shape` where it is not linear: canonical forms of runs from before there were others stay what they are."""
    values: dict[str, Any] = dump(schedule)
    if schedule.shape == "linear":
        values.pop("shape", None)
    return values


Anneal: TypeAlias = Annotated[Schedule, WrapSerializer(_linear_unsaid)]
"""A number that changes over the fine-tuning: `{from: 3, to: 1, until: 0.5}`."""


class ApqConfig(LsqConfig):
    """Argmax-preserving quantization on top of learned step sizes. The student's objective is
    L_RL + beta (L_pair + alpha L_list) + L_safe (APQ paper, eq. 6).

    The paper's ablations: w/o ranking is {pairwise: false, ranking: none}; w/o safe {safe: none}; listwise only
    {pairwise: false}; PTQ+rank {mode: ptq_rank, safe: none}, and to start where its PTQ baseline is,
    {granularity: per_tensor, weight_range: minmax}.
    """

    mode: Literal["qat", "ptq_rank"] = Field(
        default="qat",
        description="qat: weights and steps are trained with the whole objective (APQ paper, section 4); ptq_rank: the "
        "weights stay the teacher's, and steps alone are trained, by beta L_rank + L_safe without L_RL, from one "
        "calibration at the start ([ours]; the paper says of its ablation PTQ+rank only: no QAT).",
    )
    beta: Weight | Anneal = Field(
        default=1.0, description="Weight of L_rank (APQ paper, eq. 6: unpublished; 1 is ours)."
    )
    alpha: Weight | Anneal = Field(default=0.5, description="Weight of the listwise term (APQ paper: 0.5).")
    pairwise: bool = Field(default=True, description="Whether the pairwise margin term, eq. (1), is used.")
    margin: Weight | Anneal = Field(
        default=Schedule.model_validate({"from": 0.0, "to": 0.2, "until": 0.5}),
        description='tau of the pairwise term, logits (APQ paper: 0.2, "anneal-up"; from 0 within the first half is '
        "ours).",
    )
    ranking: Literal["kl", "softsort", "permutahedron", "none"] = Field(
        default="kl",
        description="The listwise term: kl is eq. (2); softsort (Prillo & Eisenschlos 2020) and permutahedron (Blondel "
        "et al. 2020) are Spearman's distance between relaxed rankings (APQ paper, section 4.1). softsort costs N^2 "
        "for each state: slow for hundreds of actions.",
    )
    temperature: Temperature | Anneal = Field(
        default=Schedule.model_validate({"from": 3.0, "to": 1.0}),
        description="T of the listwise term, logits (APQ paper: 3 annealed to 1; linear is ours).",
    )
    gate: Literal["pairwise", "both", "none"] = Field(
        default="pairwise",
        description="Which terms count in near ties only: pairwise (APQ paper, section 4.3 note 2), both (its appendix "
        "7.1), or none of the two.",
    )
    gate_factor: float = Field(
        default=2.0,
        gt=0,
        description="A near tie is a state whose teacher margin is at most this many times the logit noise (APQ paper: "
        "delta = 2 epsilon_hat).",
    )
    noise: Literal["largest", "shift_free"] = Field(
        default="largest",
        description="The logit noise of a state: largest, max_a |z~_a - z_a| [ours]; shift_free, the same for the best "
        "constant added to z~, which changes no decision [ours].",
    )
    noise_against: Literal["teacher", "unquantized"] = Field(
        default="teacher",
        description="What z~ is compared with: the teacher, as in the bound that the gate rests on; or the student's "
        "own network unquantized, which leaves out what training changed on purpose and narrows the gate [ours].",
    )
    noise_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="epsilon_hat is the moving average of the minibatches' mean logit noise; this is the weight of its "
        'past, per minibatch (APQ paper: "online estimate"; 0.99 is ours).',
    )
    safe: Literal["expected", "literal", "none"] = Field(
        default="expected",
        description="The reward-safe term: expected, lambda sum_{a in N(s)} pi~(a|s) max(0, Drho(s, a) - epsilon) "
        "[ours]; literal, eq. (5) of the APQ paper, whose gradient is zero; or none.",
    )
    safe_weight: Weight = Field(default=0.2, description="lambda of the reward-safe term (APQ paper: 0.2).")
    top_k: int = Field(
        default=6, ge=2, description="N(s) is the teacher's best this many actions (APQ paper: top-K = 6)."
    )
    safe_states: Literal["near_ties", "all"] = Field(
        default="near_ties",
        description="Where the reward-safe term counts: near_ties (APQ paper, appendix 7.1), or all states (section "
        "4.2 read by itself).",
    )
    residual_change: Literal["peek", "sensitivity"] = Field(
        default="peek",
        description="Drho: peek looks one step ahead in the environment's own kernel; sensitivity predicts it by a "
        "linear model of the observation for each action, fitted to the teacher's rollouts (APQ paper, section 4.2: "
        "both).",
    )
    residual_component: str = Field(
        default="residual",
        min_length=1,
        description="Which component of the look-ahead is rho; for `reward`, minus the reward. With sensitivity, "
        "reward needs no look-ahead at all.",
    )
    residual_units: Literal["raw", "typical"] = Field(
        default="raw",
        description="raw: Drho as it is (APQ paper); typical: divided by the root mean square change in the teacher's "
        "rollouts, so that lambda means the same whatever the reward's scale [ours].",
    )
    budget: Weight | None = Field(
        default=None,
        description="epsilon of the reward-safe term, in the residual's units; none: `budget_quantile` of the sizes of "
        "the residual changes in the teacher's rollouts (APQ paper).",
    )
    budget_quantile: float = Field(
        default=0.95, ge=0, le=1, description="Quantile that gives the budget (APQ paper: 95th percentile)."
    )
    teacher_steps: int = Field(
        default=128,
        ge=1,
        description="Steps of each member (256 members at most) in those rollouts (ours: the APQ paper's horizon).",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ApqConfig:
        if isinstance(self.temperature, Schedule) and 0.0 in (self.temperature.start, self.temperature.to):
            raise ValueError(
                f"temperature: goes from {self.temperature.start} to {self.temperature.to}: a temperature is above 0: "
                "set from and to above 0, such as 3 and 1"
            )
        if self.mode == "ptq_rank" and not self.pairwise and self.ranking == "none" and self.safe != "expected":
            raise ValueError(
                "mode: ptq_rank trains the steps by the ranking and reward-safe terms alone, and all of them are off: "
                "set pairwise to true or ranking to kl"
            )
        if self.budget is not None and self.budget_quantile != ApqConfig.model_fields["budget_quantile"].default:
            raise ValueError(
                f"budget_quantile: {self.budget_quantile} has no effect where budget is given ({self.budget}): leave "
                "one of the two out"
            )
        return self


def check_components(components: Sequence[str] | None, config: ApqConfig) -> None:
    """Refuse a `residual_component` that the reward does not have. Raises `ValueError` that names those it has.

    Args:
        components: Of the reward; None where it is the environment's own and they are not known.
    """
    known = (*(components or ()), "reward")
    if config.safe != "none" and components is not None and config.residual_component not in known:
        raise ValueError(
            f"residual_component is {config.residual_component!r}, expected one of the reward's, {', '.join(known)}: "
            "name one of these, or set safe to none"
        )


def needs_lookahead(config: ApqConfig) -> str | None:
    """What of the configuration needs an environment that looks ahead, and how to do without; None where nothing."""
    if config.safe == "none" or (config.residual_change, config.residual_component) == ("sensitivity", "reward"):
        return None
    return (
        f"safe: {config.safe} needs that: set safe to none, or residual_change to sensitivity with residual_component "
        "reward"
    )
