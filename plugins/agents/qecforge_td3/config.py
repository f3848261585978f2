"""What a manifest may say about `td3`. "Paper" is arXiv:2503.09119 (algorithm 1, table 2), "TD3" Fujimoto et al. 2018,
whose values stand where the paper gives none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from qecforge.contracts import PluginConfig

__all__ = ["TD3Config", "check_quantized"]

Width = Annotated[int, Field(ge=1)]


class TD3Config(PluginConfig):
    """Twin delayed deterministic policy gradients whose actor sends its hidden layer through a block: a quantum circuit
    that is sampled and never differentiated, or what it is compared with."""

    total_steps: int = Field(default=1_000_000, ge=1, description="Environment steps to train for (TD3: 1e6).")
    num_envs: int = Field(default=1, ge=1, description="Environment members stepped together (TD3: 1).")

    block: Literal["pqc", "fc", "rbg", "zeros", "none"] = Field(
        default="pqc",
        description="What lies between PreDNN and PostDNN, beside the links. pqc: bits sampled from the quantum "
        "circuit (paper); fc: a linear map; rbg: random bits; zeros: zeros (the paper's 0L); none: no block and no "
        "links, an actor of two hidden layers (TD3, the classical baseline).",
    )
    gradient: Literal["tangential", "exact"] = Field(
        default="tangential",
        description="What stands for the circuit wherever the actor is differentiated, and in the critics' target. "
        "tangential: the network qtDNN, fitted to the sampled bits (paper); exact: the bits' exact means and their "
        "derivatives by the angles (ours; needs a simulator).",
    )
    readout: Literal["sample", "marginals"] = Field(
        default="sample",
        description="What PostDNN is given while acting. sample: one shot's bits (paper); marginals: their exact "
        "means, without randomness (ours).",
    )
    rotation: Literal["r", "ry_rz"] = Field(
        default="r",
        description="Each qubit's rotation in each layer, of two angles (paper: R; its axis is unpublished). r: "
        "R(theta, phi), about an axis in the plane; ry_rz: RY(theta), then RZ(phi).",
    )
    qubits: int = Field(default=10, ge=2, le=16, description="Qubits of the circuit, and bits (paper: 10).")
    layers: int = Field(default=10, ge=1, description="Layers of rotations and one conditional CZ (paper: 10).")
    links: int = Field(default=10, ge=0, description="Classical links from PreDNN to PostDNN (paper: 10).")
    pre_hidden: Width = Field(default=256, description="Hidden units of PreDNN (paper: 256).")
    post_hidden: Width = Field(default=256, description="Hidden units of PostDNN (paper: 256).")
    tangential_hidden: Width = Field(default=2048, description="Hidden units of qtDNN (paper: 2048).")
    hidden_noise: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of normal noise on the second hidden layer of block none, in every pass: the "
        "randomness of a block's bits without a circuit. 0.2 is what random bits cause there at first (ours).",
    )
    critic_hidden: tuple[Width, Width] = Field(
        default=(256, 256),
        description="Hidden units of each critic's two segments; the action joins between them (paper: 256, 256).",
    )

    fits: int = Field(
        default=32,
        ge=1,
        description="Updates of qtDNN for each batch, N_qt (paper: 32), each on a tiny batch. The tiny batches are a "
        "random partition of the batch, and another one once it is used up (ours; the paper gives no size).",
    )
    tiny_batch: int = Field(default=8, ge=1, description="Samples of a tiny batch (ours: 8, so that 32 make 256).")

    batch_size: int = Field(default=256, ge=2, description="Transitions of an update (paper: 256).")
    actor_learning_rate: float = Field(default=3e-4, gt=0, description="Adam's, of PreDNN and PostDNN (TD3: 3e-4).")
    critic_learning_rate: float = Field(default=3e-4, gt=0, description="Adam's, of the critics (TD3: 3e-4).")
    tangential_learning_rate: float = Field(default=3e-4, gt=0, description="Adam's, of qtDNN (ours: 3e-4).")
    gamma: float = Field(default=0.99, ge=0, le=1, description="Discount per step (paper: 0.99).")
    tau: float = Field(default=0.005, gt=0, le=1, description="Soft update of the targets (TD3: 0.005).")
    policy_delay: int = Field(default=2, ge=1, description="Updates of the critics for each of the actor (TD3: 2).")
    exploration_noise: float = Field(
        default=0.1,
        ge=0,
        description="Standard deviation of what is added to actions while training, in halves of the action's range "
        "(TD3: 0.1).",
    )
    target_noise: float = Field(
        default=0.2, ge=0, description="The same for the target's actions, by which it is smoothed (TD3: 0.2)."
    )
    noise_clip: float = Field(default=0.5, ge=0, description="Bound of the target's noise (TD3: 0.5).")
    replay_capacity: int = Field(default=1_000_000, ge=1, description="Transitions that are kept (TD3: 1e6).")
    learning_starts: int = Field(
        default=25_000,
        ge=0,
        description="Steps with random actions before the first update (TD3: 25,000). Circuits are sampled in them "
        "too: qtDNN learns from pairs of input and bits.",
    )

    normalize_observations: bool = Field(
        default=False,
        description="Whether networks see observations less their running mean, in running standard deviations (ours).",
    )
    critic: Literal["plain", "layer_norm", "batch_renorm"] = Field(
        default="plain",
        description="plain (paper); layer_norm: normalised hidden layers; batch_renorm: batch renormalisation and no "
        "target networks (CrossQ, Bhatt et al. 2024).",
    )
    n_step: int = Field(default=1, ge=1, description="Rewards that are summed before the target bootstraps (TD3: 1).")
    updates_per_step: int = Field(
        default=1, ge=1, description="Updates for each step of each environment member (TD3: 1)."
    )

    log_every: int = Field(default=1_000, ge=1, description="Steps between two points of the log.")
    test_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between two tests of the policy, without noise and in an environment of its own, whose mean "
        "return is logged as test_return; none: no tests while training. The training is the same with and without.",
    )
    test_episodes: int = Field(default=10, ge=1, description="Episodes of such a test.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="cpu",
        description="Where the networks live; auto: cuda if there is one. Bit-exact resumption needs the cpu.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Threads of the networks, of qtDNN's fit and of the circuits. Decides the last bits of a result, "
        "hence not taken from the machine; more than 1 pays on idle cores only (ours).",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> TD3Config:
        if self.tiny_batch > self.batch_size:
            raise ValueError(
                f"tiny_batch is {self.tiny_batch}, more than batch_size ({self.batch_size}), of which it is a part: "
                "lower tiny_batch or raise batch_size"
            )
        if self.block == "zeros" and self.links == 0:
            raise ValueError("links is 0 and block is zeros: nothing would reach PostDNN: set links to 1 or more")
        if self.block in ("rbg", "none") and self.readout == "marginals":
            raise ValueError(f"readout is marginals, which block {self.block} does not have: leave readout out")
        if self.hidden_noise and self.block != "none":
            raise ValueError(f"hidden_noise is {self.hidden_noise:g}, which block {self.block} does not take: set 0")
        if self.replay_capacity < self.batch_size:
            raise ValueError(
                f"replay_capacity is {self.replay_capacity}, less than a batch of {self.batch_size}: raise it"
            )
        return self

    @property
    def circuit_inputs(self) -> int:
        """Angles and CZ outputs of PreDNN: 220 for 10 qubits and 10 layers."""
        return self.layers * (2 * self.qubits + 2)


def check_quantized(config: TD3Config) -> None:
    """Raises `ValueError` where the actor is no plain network, which quantizers need."""
    if config.block != "none":
        raise ValueError(
            f"a quantizer needs an actor that is one plain network, and block {config.block} stands in this one: set "
            "block to none, or leave the quantizer out"
        )
    if config.hidden_noise:
        raise ValueError(
            f"a quantizer needs an actor that is one plain network, and hidden_noise is {config.hidden_noise:g}: set "
            "it to 0, or leave the quantizer out"
        )
