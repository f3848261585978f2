"""What a manifest may say about `grpo_text`. "DeepSeekMath" is arXiv 2402.03300, "Dr. GRPO" is arXiv 2503.20783."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig
from qecforge.learning.schedules import Rate, Schedule
from qecforge_grpo.config import AdvantageScale, LossAverage

__all__ = ["DecoderConfig", "HeldOutConfig", "TextGRPOConfig", "WarmStartConfig"]


class DecoderConfig(PluginConfig):
    """The tiny model: a decoder with rotary positions and RMSNorm, over merged bytes."""

    width: int = Field(default=128, ge=8, description="Numbers of each token's state.")
    layers: int = Field(default=5, ge=1, description="Blocks of attention and perceptron.")
    heads: int = Field(default=4, ge=1, description="Heads of attention; they divide the width into even parts.")
    vocabulary: int = Field(
        default=1024, ge=258, le=65_536, description="Most tokens: 2 marks, 256 bytes, and merges of the corpus."
    )
    context: int = Field(default=160, ge=4, description="Most tokens of prompt and completion together.")

    @model_validator(mode="after")
    def _heads_divide(self) -> DecoderConfig:
        if self.width % (2 * self.heads):
            raise ValueError(
                f"heads: got {self.heads} for the width {self.width}, expected an even number for width / heads: "
                "change one of them"
            )
        return self


class WarmStartConfig(PluginConfig):
    """Supervised training on the environment's demonstrations, before GRPO."""

    completions: int = Field(default=40_000, ge=0, description="Demonstrations shown, with repetition; 0: none.")
    batch: int = Field(default=16, ge=1, description="Demonstrations of each gradient step.")
    learning_rate: Rate | Schedule = Field(
        default=Schedule.model_validate({"from": 2e-3, "to": 1e-4, "shape": "cosine"}),
        description="AdamW's step size, or a schedule over the warm start.",
    )
    report_every: int = Field(
        default=100,
        ge=1,
        description="Gradient steps after which the run may stop and a checkpoint may be written. Their demonstrations "
        "are drawn together, and those of like length are shown together.",
    )


class HeldOutConfig(PluginConfig):
    """Completions of another split, for the log alone; nothing is learned from them."""

    split: str = Field(default="test", min_length=1, description="Split of the environment that is measured.")
    every: int = Field(
        default=10,
        ge=1,
        description="Updates between two measurements; one is after the warm start, one after all updates.",
    )
    samples: int = Field(
        default=128, ge=1, description="Tasks of each measurement, always the same; one completion each."
    )


class TextGRPOConfig(PluginConfig):
    """Group relative policy optimisation of a language model: each completion is judged by how much better it scored
    than others of the same prompt."""

    backend: Literal["tiny"] = Field(default="tiny", description="tiny: a decoder of our own, trained from nothing.")
    total_steps: int = Field(default=10_000, ge=1, description="Completions that are drawn and scored for learning.")
    group_size: int = Field(default=8, ge=2, description="Completions of each prompt (DeepSeekMath: 64).")
    groups: int = Field(default=12, ge=1, description="Prompts of each update.")
    model: DecoderConfig = Field(default=DecoderConfig(), description="The tiny model's size.")
    warm_start: WarmStartConfig = Field(default=WarmStartConfig(), description="Supervised training before GRPO.")
    held_out: HeldOutConfig | None = Field(
        default=None, description="Measurements on tasks of another split; null: none."
    )
    longest_completion: int = Field(default=96, ge=1, description="Tokens after which a completion is cut off.")
    advantage_scale: AdvantageScale = Field(
        default="deviation",
        description="deviation: (r - mean) / standard deviation of the group (DeepSeekMath); none: r - mean alone (Dr. "
        "GRPO).",
    )
    loss_average: LossAverage = Field(
        default="episode",
        description="episode: mean over the tokens of each completion, then over completions (DeepSeekMath); step: "
        "mean over all tokens; constant: sum over tokens divided by longest_completion (Dr. GRPO).",
    )
    updates: int = Field(default=1, ge=1, description="Passes over the completions (DeepSeekMath: 1).")
    minibatch: int = Field(default=96, ge=1, description="Completions of each gradient step, in whole groups.")
    learning_rate: Rate | Schedule = Field(default=2e-4, description="AdamW's step size, or a schedule over GRPO.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay.")
    clip: Rate = Field(default=0.2, description="Clip of the probability ratio (PPO: 0.2).")
    kl: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the divergence from the frozen model of the warm start, by the estimator k3 "
        "(DeepSeekMath: 0.04). 0: no reference is kept.",
    )
    max_grad_norm: float | None = Field(
        default=1.0, gt=0, description="Gradients are scaled down to this norm; none: not clipped."
    )
    warn_after: int = Field(
        default=20,
        ge=1,
        description="After so many updates in a row in which all completions of each group scored the same, so that "
        "nothing was learned, a warning says so.",
    )
    threads: int = Field(default=1, ge=1, description="Threads of torch's operations while training.")

    @property
    def num_envs(self) -> int:
        """Completions of each update."""
        return self.group_size * self.groups

    @field_validator("backend", mode="before")
    @classmethod
    def _pretrained_is_another_agent(cls, value: object) -> object:
        if value == "hf":
            raise ValueError("got hf: pretrained models are trained by an agent of its own: set plugin to grpo_hf")
        return value

    @model_validator(mode="after")
    def _fits(self) -> TextGRPOConfig:
        if self.longest_completion >= self.model.context:
            raise ValueError(
                f"longest_completion: got {self.longest_completion}, expected less than the {self.model.context} "
                "tokens of model.context, so that a prompt fits before it"
            )
        return self
