"""What a manifest may say about `ppo`. "APQ paper" is the argmax-preserving quantization paper, section 5."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from qecforge.contracts import PluginConfig
from qecforge.learning.networks import PerceptronConfig, Width
from qecforge.learning.schedules import Rate, Schedule

__all__ = [
    "NetworkConfig",
    "PPOConfig",
    "check_fine_tuning",
    "network_of",
]


class NetworkConfig(PerceptronConfig):
    """A multilayer perceptron for the policy, and one for the value."""

    value: Literal["mirror", "shared"] | tuple[Width, ...] = Field(
        default="mirror",
        description="mirror: a torso of its own with the policy's sizes (APQ paper); shared: a head on the policy's "
        "torso; or the hidden sizes of a torso of its own.",
    )
    value_gain: float = Field(default=1.0, gt=0, description="Gain of the value's last layer (CleanRL: 1).")


_PRESETS = {
    "small": NetworkConfig(),
    "paper": NetworkConfig(hidden_sizes=(512, 512, 256), activation="gelu", value="mirror"),
}


def network_of(choice: str | NetworkConfig) -> NetworkConfig:
    """The network that `PPOConfig.policy` names."""
    return _PRESETS[choice] if isinstance(choice, str) else choice


class PPOConfig(PluginConfig):
    """Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation (Schulman et al.
    2016), or REINFORCE (Williams 1992). Defaults are the APQ paper's (section 5) where it gives a value."""

    algorithm: Literal["ppo", "reinforce"] = Field(
        default="ppo",
        description="ppo, or reinforce: one unclipped step on each rollout's Monte Carlo returns, less the value as "
        "a baseline (update_epochs, minibatch_size, gae_lambda and the clips then do not apply).",
    )
    total_steps: int = Field(
        default=300_000, ge=1, description="Environment steps to train for (APQ paper: 3e5 of warm-up)."
    )
    num_envs: int = Field(
        default=256, ge=1, description="Environment members stepped together, divided among the agents."
    )
    num_agents: int = Field(
        default=1,
        ge=1,
        description="Independent agents trained side by side on num_envs/num_agents members each; the best by recent "
        "return is kept.",
    )
    policy: Literal["small", "paper"] | NetworkConfig = Field(
        default="small",
        description="small: {hidden_sizes: [64, 64], activation: tanh}; paper: the APQ paper's {512, 512, 256} GELU "
        "with a mirrored value torso; or a network spelled out.",
    )
    horizon: int = Field(default=128, ge=1, description="Steps of each member between two updates (APQ paper: 128).")
    update_epochs: int = Field(default=4, ge=1, description="Passes over each rollout (CleanRL: 4).")
    minibatch_size: int = Field(default=64, ge=2, description="Samples per gradient step and agent (APQ paper: 64).")
    learning_rate: Rate | Schedule = Field(
        default=3e-4, description="AdamW's step size (APQ paper: 3e-4), or a schedule."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's decoupled weight decay (APQ paper: 0.01).")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="AdamW's epsilon (CleanRL: 1e-5).")
    gamma: float = Field(default=0.995, ge=0, le=1, description="Discount per step (APQ paper: 0.995).")
    gae_lambda: float = Field(
        default=0.95, ge=0, le=1, description="Lambda of the advantage estimate (APQ paper: 0.95)."
    )
    clip: Rate | Schedule = Field(
        default=0.2, description="Clip of the probability ratio (APQ paper: 0.2), or a schedule."
    )
    value_clip: float | None = Field(
        default=None,
        gt=0,
        description="Clip of the value's change in the value loss, in units of return; none: unclipped.",
    )
    entropy: Rate | Schedule = Field(
        default=Schedule.model_validate({"from": 0.01, "to": 0.0}),
        description="Entropy coefficient, or a schedule (APQ paper: 0.01 -> 0; its shape is unpublished, linear here).",
    )
    value_coefficient: float = Field(default=0.5, ge=0, description="Weight of the value loss (CleanRL: 0.5).")
    max_grad_norm: float | None = Field(
        default=0.5,
        gt=0,
        description="Gradients of an agent are scaled down to this norm (CleanRL: 0.5); none: not clipped.",
    )
    normalize_advantages: Literal["minibatch", "rollout", "none"] = Field(
        default="minibatch",
        description="Set over which advantages are normalised to mean 0 and standard deviation 1 (CleanRL: minibatch).",
    )
    target_kl: float | None = Field(
        default=None,
        gt=0,
        description="Skip the remaining epochs of a rollout when the approximate KL exceeds this; none: never.",
    )
    actor: Literal["float", "int8"] = Field(
        default="float",
        description="Policy of the rollouts: the float policy, or its integer copy, quantized again before each "
        "(per channel, min-max over the last rollout; the first one is float). The update's ratio uses the "
        "probabilities of the policy that acted.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the networks live; auto: cuda if there is one. Bit-exact resumption needs the cpu.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Threads of torch's operations while training. Decides the last bits of a result, hence not taken "
        "from the machine; more than 1 pays for large networks on idle cores [ours].",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> PPOConfig:
        if self.num_envs % self.num_agents:
            above = -(-self.num_envs // self.num_agents) * self.num_agents
            raise ValueError(
                f"num_envs is {self.num_envs}, which {self.num_agents} agents cannot share equally: "
                f"set num_envs to a multiple of num_agents, such as {above}"
            )
        if self.target_kl is not None and self.num_agents > 1:
            raise ValueError(
                f"target_kl stops one agent's epochs, and num_agents is {self.num_agents}: "
                "leave target_kl out or set num_agents to 1"
            )
        samples = self.num_envs // self.num_agents * self.horizon
        if samples < 2:
            raise ValueError(f"a rollout holds {samples} sample per agent: raise horizon or num_envs to have 2 or more")
        return self


def check_fine_tuning(trained: PPOConfig, config: PPOConfig) -> None:
    """Refuse what `ppo` cannot train a student by, and another network: the student keeps its teacher's.

    Args:
        trained: By which the teacher is trained.
        config: By which the student is.

    Raises:
        ValueError: Says what to set.
    """
    if config.num_agents > 1:
        raise ValueError(
            f"num_agents is {config.num_agents}, expected 1 where a student is fine-tuned: set num_agents to 1 in "
            "quantizer.fine_tune"
        )
    before, network = network_of(trained.policy), network_of(config.policy)
    if network.value == "shared":
        raise ValueError(
            "policy.value is shared, expected mirror or sizes where a student is fine-tuned, which has no torso to "
            "share: give quantizer.fine_tune the policy with another value"
        )
    if network != (before.model_copy(update={"value": network.value}) if before.value == "shared" else before):
        raise ValueError(
            "policy is another network than agent.policy, which a student keeps from its teacher: remove policy from "
            "quantizer.fine_tune"
        )
