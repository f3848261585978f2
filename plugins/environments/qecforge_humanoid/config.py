"""What a manifest may say about `humanoid`."""

from __future__ import annotations

from pydantic import Field, field_validator

from qecforge.contracts import PluginConfig
from qecforge_humanoid.making import check_id

__all__ = ["EpisodeVideoConfig", "HumanoidConfig"]


class HumanoidConfig(PluginConfig):
    """A continuous control task of Gymnasium, Humanoid-v4 by default."""

    id: str = Field(
        default="Humanoid-v4",
        description="An environment of Gymnasium with bounded continuous actions, such as Humanoid-v5, Hopper-v4, "
        "HalfCheetah-v4 or Pendulum-v1; `module:ID` imports the module that registers it. Humanoid-v4 in "
        "arXiv 2503.09119.",
    )
    max_episode_steps: int | None = Field(
        default=None, ge=1, description="Steps after which an episode is truncated; none: what Gymnasium has for it."
    )
    normalize_observations: bool = Field(
        default=False,
        description="Show observations less their running mean and divided by their running standard deviation, held "
        "within ±10 [ours]. It is counted in training alone, and kept with the policy.",
    )

    @field_validator("id")
    @classmethod
    def _known(cls, value: str) -> str:
        check_id(value)
        return value


class EpisodeVideoConfig(PluginConfig):
    """Episodes of the policy as animated GIFs."""

    episodes: int = Field(default=1, ge=1, le=100, description="Episodes, each a file of its own.")
    width: int = Field(default=240, ge=16, le=1920, description="Width of a frame in pixels.")
    height: int = Field(default=240, ge=16, le=1920, description="Height of a frame in pixels.")
    every: int = Field(default=3, ge=1, description="Steps from one frame to the next.")
    deterministic: bool = Field(default=True, description="Whether the policy takes its best action, not a drawn one.")
