"""The manifest's `evaluation.decision_fidelity`, `.action_fidelity`, `.returns` and `.search`: what is measured of the
policy itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts.config import PluginConfig

__all__ = ["ActionFidelityConfig", "DecisionFidelityConfig", "ReturnsConfig", "SearchConfig"]


class DecisionFidelityConfig(PluginConfig):
    """How often the quantized policy decides as its float teacher does, on states of new rollouts."""

    states: int = Field(
        10_000, ge=1, description="Number of states for each kind of rollout, sampled from all visited states."
    )
    rollouts: Literal["teacher", "student", "both"] = Field(
        "both",
        description="Policy that visits the states: the float teacher's, the quantized student's, or both, each "
        "measured on its own.",
    )
    deterministic: bool = Field(
        False, description="Whether the rollouts take the most likely action instead of a sampled one."
    )


class ActionFidelityConfig(PluginConfig):
    """How far the quantized policy's continuous actions are from those of its float teacher, on states of new
    rollouts."""

    states: int = Field(10_000, ge=1, description="Number of states, sampled from all that the teacher visits.")
    deterministic: bool = Field(True, description="Whether the rollouts are without exploration noise.")


class ReturnsConfig(PluginConfig):
    """Return of the trained policy (the integer one where it is quantized) over whole episodes, without learning."""

    episodes: int = Field(
        100,
        ge=1,
        description="Episodes to play, by as many environment members as the agent trained with, at most one for each; "
        "rounded up to as many for each member.",
    )
    deterministic: bool = Field(True, description="Whether the policy takes its best action instead of a sampled one.")


class SearchConfig(PluginConfig):
    """Codes found by the trained policy (the integer one where it is quantized), without learning."""

    episodes: int = Field(
        1_000, ge=1, description="Number of episodes, rounded up to an equal number for each environment member."
    )
    num_envs: int | None = Field(
        None, ge=1, description="Environment members that play; null: as many as the agent trained with."
    )
    deterministic: bool = Field(
        False, description="Whether the policy takes its most likely action instead of a sampled one."
    )
    runtime: Literal["onnxruntime", "native", "reference"] = Field(
        "onnxruntime", description="What executes a quantized policy; a float one runs on torch."
    )
    threads: int = Field(1, ge=1, description="Threads of the policy's network, float or quantized.")
