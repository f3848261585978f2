"""What runs of `grpo` and `grpo_text` look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import EPISODE_RETURN, Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["TEXT_VIEW", "VIEW"]


def _figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`losses`: what the updates did, and how many groups there was nothing to learn from."""
    from qecforge.reporting.curves import Curves, curves_figure

    figure = curves_figure(
        store,
        run,
        [
            Curves(y="policy loss", metrics={"policy_loss": ""}),
            Curves(y="KL from the reference, nats", metrics={"kl": ""}, log=True),
            Curves(y="entropy of the policy, nats", metrics={"entropy": ""}),
            Curves(y="groups without variance", metrics={"groups_without_variance": ""}),
            Curves(y="share of steps clipped", metrics={"clip_fraction": ""}),
        ],
    )
    return {} if figure is None else {"losses": figure}


def _text_figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`learning`: scores, and what of them the updates could learn from."""
    from qecforge.reporting.curves import Curves, curves_figure

    scores = {EPISODE_RETURN: "train", "held_out/drawn": "held out", "held_out/greedy": "held out, greedy"}
    figure = curves_figure(
        store,
        run,
        [
            Curves(y="mean score", metrics=scores),
            Curves(y="groups without variance", metrics={"groups_without_variance": ""}),
            Curves(y="entropy of a token, nats", metrics={"entropy_estimate": ""}),
        ],
    )
    return {} if figure is None else {"learning": figure}


VIEW = RunView(
    readings=(
        Reading(metric=EPISODE_RETURN, label="episode return"),
        Reading(metric="groups_without_variance", label="groups without variance"),
        Reading(metric="time/steps_per_second", label="steps/s", show=speed, words="{} steps/s"),
    ),
    unit="steps",
    figures=_figures,
)
"""Return, the share of groups that taught nothing, and speed."""

TEXT_VIEW = RunView(
    readings=(
        Reading(metric=EPISODE_RETURN, label="mean score"),
        Reading(metric="held_out/drawn", label="held out"),
        Reading(metric="groups_without_variance", label="groups without variance"),
    ),
    unit="completions",
    figures=_text_figures,
)
"""Scores, and the share of groups that taught nothing."""
