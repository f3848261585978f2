"""Continuous control: Humanoid-v4 by default, and any environment of Gymnasium with bounded continuous actions.

Source of the benchmark: Humanoid-v4 as in arXiv 2503.09119.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qecforge.contracts import Environment, EvaluationContext, Policy, Reward
from qecforge.hookspecs import EnvironmentSpec, EvaluationSpec, hookimpl
from qecforge_humanoid.config import EpisodeVideoConfig, HumanoidConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qecforge_humanoid.environment import ContinuousControl

__all__ = ["ContinuousControl", "EpisodeVideoConfig", "HumanoidConfig", "make", "qecforge_environments"]


def __getattr__(name: str) -> Any:
    if name != "ContinuousControl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qecforge_humanoid.environment import ContinuousControl

    return ContinuousControl


def make(config: HumanoidConfig, *, num_envs: int, seed: int, reward: Reward | None) -> Environment:
    """The environment of `EnvironmentSpec.make`; MuJoCo is imported here."""
    from qecforge_humanoid.environment import ContinuousControl

    return ContinuousControl(config, num_envs=num_envs, seed=seed)


def evaluate_video(env: Environment, policy: Policy, config: EpisodeVideoConfig, context: EvaluationContext) -> None:
    """See `video.film`; Pillow is imported here."""
    from qecforge_humanoid.environment import ContinuousControl
    from qecforge_humanoid.video import film

    assert isinstance(env, ContinuousControl)
    film(env, policy, config, context)


@hookimpl
def qecforge_environments() -> Sequence[EnvironmentSpec]:
    """The environment of this plugin."""
    return [
        EnvironmentSpec(
            name="humanoid",
            summary="Continuous control: Humanoid-v4, or any environment of Gymnasium with bounded continuous actions",
            config=HumanoidConfig,
            make=make,
            actions="continuous",
            native_reward=True,
            can_peek=False,
            evaluations=(
                EvaluationSpec(
                    name="episode_video",
                    summary="Episodes of the policy as animated GIFs, drawn without a display",
                    config=EpisodeVideoConfig,
                    evaluate=evaluate_video,
                ),
            ),
        )
    ]
