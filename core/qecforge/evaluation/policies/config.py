"""The manifest's `evaluation.decision_fidelity`, `evaluation.returns` and `evaluation.search`: what is measured of the
policy itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts.config import PluginConfig

__all__ = ["DecisionFidelityConfig", "ReturnsConfig", "SearchConfig"]


class DecisionFidelityConfig(PluginConfig):
    """How far the quantized policy decides as its float teacher does, on states of fresh rollouts."""

    states: int = Field(
        10_000, ge=1, description="States that are kept of each kind of rollout, drawn from all that were visited."
    )
    rollouts: Literal["teacher", "student", "both"] = Field(
        "both",
        description="Whose rollouts the states are of: the float teacher's, the quantized student's, or both, each "
        "measured on its own.",
    )
    deterministic: bool = Field(
        False, description="Whether the rollouts take the likeliest action instead of a drawn one."
    )


class ReturnsConfig(PluginConfig):
    """What the trained policy earns, in integers where it is quantized, over whole episodes without learning."""

    episodes: int = Field(
        100,
        ge=1,
        description="Episodes to play, by as many environment members as the agent trained with, at most one for each; "
        "rounded up to as many for each member.",
    )
    deterministic: bool = Field(True, description="Whether the policy takes its best action, not a drawn one.")


class SearchConfig(PluginConfig):
    """What the trained policy, in integers where it is quantized, finds when it plays without learning."""

    episodes: int = Field(1_000, ge=1, description="Episodes to play, rounded up to as many for each member.")
    num_envs: int | None = Field(
        None, ge=1, description="Environment members that play; null: as many as the agent trained with."
    )
    deterministic: bool = Field(False, description="Whether the policy takes its likeliest action, not a drawn one.")
    runtime: Literal["onnxruntime", "native", "reference"] = Field(
        "onnxruntime", description="What executes a quantized policy; a float one runs on torch."
    )
    threads: int = Field(1, ge=1, description="Threads of the policy's network, float or quantized.")
