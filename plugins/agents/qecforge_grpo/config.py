"""What a manifest may say about `grpo`. "DeepSeekMath" is arXiv 2402.03300, where GRPO comes from; "Dr. GRPO" is arXiv
2503.20783."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts import PluginConfig
from qecforge.learning.networks import PerceptronConfig
from qecforge.learning.schedules import Rate, Schedule

__all__ = ["AdvantageScale", "GRPOConfig", "LossAverage", "check_fine_tuning"]

AdvantageScale = Literal["deviation", "none"]
LossAverage = Literal["episode", "step", "constant"]


class GRPOConfig(PluginConfig):
    """Group relative policy optimisation for discrete actions: each episode is judged by how much more it returned than
    others that began alike. There is no value network."""

    total_steps: int = Field(default=300_000, ge=1, description="Environment steps to train for.")
    group_size: int = Field(
        default=16,
        ge=2,
        description="Episodes of a group, which begin alike (DeepSeekMath: 64 answers to a question).",
    )
    groups: int = Field(default=16, ge=1, description="Groups side by side: group_size x groups members.")
    episodes: int = Field(
        default=1,
        ge=1,
        description="Episodes of each member between two updates. Members that are done with theirs before the others "
        "go on for nothing: with several episodes that is a smaller part of all steps.",
    )
    longest_episode: int = Field(
        default=1000, ge=1, description="Steps after which an episode that does not end is an error."
    )
    policy: PerceptronConfig = Field(default=PerceptronConfig(), description="The network: layers and activation.")
    advantage_scale: AdvantageScale = Field(
        default="deviation",
        description="deviation: (r - mean) / standard deviation of the group (DeepSeekMath); none: r - mean alone (Dr. "
        "GRPO), so that groups that differ little weigh little.",
    )
    loss_average: LossAverage = Field(
        default="episode",
        description="episode: mean over the steps of each episode, then over episodes (DeepSeekMath); step: mean over "
        "all steps; constant: sum over steps divided by longest_episode, mean over episodes (Dr. GRPO).",
    )
    updates: int = Field(default=1, ge=1, description="Passes over the episodes (DeepSeekMath: 1).")
    minibatch_episodes: int = Field(default=64, ge=1, description="Whole episodes of each gradient step.")
    learning_rate: Rate | Schedule = Field(default=3e-3, description="AdamW's step size, or a schedule.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="AdamW's epsilon (CleanRL: 1e-5).")
    clip: Rate = Field(default=0.2, description="Clip of the probability ratio (PPO: 0.2).")
    kl: float = Field(
        default=0.04,
        ge=0,
        description="Weight of the divergence from the frozen reference policy, by the estimator k3 (DeepSeekMath: "
        "0.04). 0: no reference is kept.",
    )
    reference_updates: int | None = Field(
        default=None,
        ge=1,
        description="After so many updates the reference becomes the present policy; none: it stays that of the start.",
    )
    entropy: Rate | Schedule = Field(default=0.0, description="Entropy coefficient, or a schedule (DeepSeekMath: 0).")
    max_grad_norm: float | None = Field(
        default=1.0, gt=0, description="Gradients are scaled down to this norm; none: not clipped."
    )
    warn_after: int = Field(
        default=50,
        ge=1,
        description="After so many updates in a row in which all episodes of each group returned the same, so that "
        "nothing was learned, a warning says so.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the network lives; auto: cuda if there is one. Bit-exact resumption needs the cpu.",
    )
    threads: int = Field(default=1, ge=1, description="Threads of torch's operations while training.")

    @property
    def num_envs(self) -> int:
        """Members of the environment."""
        return self.group_size * self.groups


def check_fine_tuning(trained: GRPOConfig, config: GRPOConfig) -> None:
    """Refuse another network for a student: it keeps its teacher's.

    Raises:
        ValueError: Says what to set.
    """
    if config.policy != trained.policy:
        raise ValueError(
            "policy is another network than agent.policy, which a student keeps from its teacher: remove policy from "
            "quantizer.fine_tune"
        )
