"""What a manifest may say about `grpo_hf`. "DeepSeekMath" is arXiv 2402.03300, "Dr. GRPO" arXiv 2503.20783, and "LoRA"
arXiv 2106.09685."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from qecforge.contracts import PluginConfig
from qecforge.errors import ConfigurationError
from qecforge.learning.schedules import Rate, Schedule
from qecforge_grpo.config import AdvantageScale, LossAverage
from qecforge_grpo.hf.base import located, sha256_of
from qecforge_grpo.text.config import HeldOutConfig

__all__ = ["HFGRPOConfig", "ImitationConfig", "LoraConfig", "pin_base"]


class LoraConfig(PluginConfig):
    """Low-rank additions to the base's matrices, which are all that is trained and kept."""

    rank: int = Field(default=16, ge=1, description="Rank of each addition (LoRA: r).")
    scale: float = Field(default=32.0, gt=0, description="Additions are multiplied by scale / rank (LoRA: alpha).")
    targets: tuple[str, ...] = Field(
        default=(),
        description="Names of the modules that are added to, such as q_proj; none: all linear ones but the last.",
    )


class ImitationConfig(PluginConfig):
    """Supervised training on the environment's demonstrations, before GRPO."""

    completions: int = Field(default=512, ge=0, description="Demonstrations shown, with repetition; 0: none.")
    batch: int = Field(default=16, ge=1, description="Demonstrations of each gradient step.")
    learning_rate: Rate | Schedule = Field(
        default=Schedule.model_validate({"from": 1e-3, "to": 1e-4, "shape": "cosine"}),
        description="AdamW's step size, or a schedule over the warm start.",
    )
    report_every: int = Field(
        default=8,
        ge=1,
        description="Gradient steps after which the run may stop and a checkpoint may be written. Their demonstrations "
        "are drawn together, and those of like length are shown together.",
    )


class HFGRPOConfig(PluginConfig):
    """Group relative policy optimisation of a pretrained language model by TRL's `GRPOTrainer`, with LoRA."""

    base: str = Field(
        min_length=1,
        description="The pretrained model: a folder as `save_pretrained` writes it, a .gguf file, "
        "package:PACKAGE/FILE.gguf of an installed package, or hub:OWNER/NAME[@REVISION] of Hugging Face's cache. "
        "Nothing is downloaded, and no code of a model is run.",
    )
    base_sha256: str | None = Field(
        None, description="SHA-256 of the base; filled in while the manifest is read, refused where it changed."
    )
    dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="Of the base's numbers; what is added to them is float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where it trains; auto: CUDA where there is one."
    )
    lora: LoraConfig = Field(default=LoraConfig(), description="What is trained.")
    total_steps: int = Field(default=2000, ge=1, description="Completions that are drawn and scored for learning.")
    group_size: int = Field(default=8, ge=2, description="Completions of each prompt (DeepSeekMath: 64).")
    groups: int = Field(default=8, ge=1, description="Prompts of each update.")
    minibatch: int = Field(
        default=16,
        ge=1,
        description="Completions whose gradients are computed at once; an update adds up those of all. Divides "
        "group_size x groups.",
    )
    warm_start: ImitationConfig = Field(default=ImitationConfig(), description="Supervised training before GRPO.")
    held_out: HeldOutConfig | None = Field(
        default=None, description="Measurements on tasks of another split; null: none."
    )
    longest_completion: int = Field(default=128, ge=1, description="Tokens after which a completion is cut off.")
    advantage_scale: AdvantageScale = Field(
        default="deviation",
        description="deviation: (r - mean) / standard deviation of the group (DeepSeekMath); none: r - mean alone (Dr. "
        "GRPO).",
    )
    loss_average: LossAverage = Field(
        default="episode",
        description="episode: mean over the tokens of each completion, then over completions (DeepSeekMath); step: "
        "mean over the tokens of each minibatch; constant: sum over tokens divided by longest_completion (Dr. GRPO).",
    )
    learning_rate: Rate | Schedule = Field(default=1e-4, description="AdamW's step size, or a schedule over GRPO.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay.")
    clip: Rate = Field(
        default=0.2,
        description="Clip of the probability ratio (PPO: 0.2). There is one pass over the completions, so that the "
        "ratio is 1 but for rounding.",
    )
    kl: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the divergence from the frozen model of the warm start, by the estimator k3 "
        "(DeepSeekMath: 0.04). 0: no reference is kept.",
    )
    max_grad_norm: float | None = Field(
        default=1.0, gt=0, description="Gradients are scaled down to this norm; none: not clipped."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice instead of keeping them: less memory, more time."
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

    @model_validator(mode="after")
    def _minibatches_are_even(self) -> HFGRPOConfig:
        if self.num_envs % self.minibatch:
            raise ValueError(
                f"minibatch: got {self.minibatch}, expected a divisor of the {self.num_envs} completions of an update "
                "(group_size x groups): change one of them"
            )
        return self


def pin_base(config: HFGRPOConfig) -> HFGRPOConfig:
    """With the hash of the base. Raises `ConfigurationError` where it is not there, or not that of the hash that
    stands there."""
    found = sha256_of(located(config.base))
    if config.base_sha256 not in (None, found):
        raise ConfigurationError(
            f"base_sha256: {config.base} is of {found[:12]}..., not of {config.base_sha256[:12]}...: restore that "
            "model, or remove the hash for a new run"
        )
    return config.model_copy(update={"base_sha256": found})
