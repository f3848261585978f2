"""What runs of `ppo` and of `parameter_ppo` look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import EPISODE_RETURN, Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["PARAMETER_PPO", "PPO"]

_OF_AGENT = re.compile(r"agent_(\d+)/recent_return")


def _ppo_figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`losses`: what the updates did. `agents`: recent returns of agents side by side, where there are several."""
    from qecforge.reporting.curves import Curves, curves_figure

    agents = {name: f"agent {of[1]}" for name in store.metric_names(run.id) if (of := _OF_AGENT.fullmatch(name))}
    figures = {
        "losses": curves_figure(
            store,
            run,
            [
                Curves(y="policy loss", metrics={"policy_loss": ""}),
                Curves(y="value loss", metrics={"value_loss": ""}, log=True),
                Curves(y="entropy of the policy, nats", metrics={"entropy": ""}),
                Curves(y="KL of old and new, nats", metrics={"approx_kl": ""}, log=True),
                Curves(y="share of samples clipped", metrics={"clip_fraction": ""}),
                Curves(y="explained variance of returns", metrics={"explained_variance": ""}),
            ],
        ),
        "agents": curves_figure(store, run, [Curves(y="recent episode return", metrics=agents)]),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _parameter_figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`search`: how far the mean has gone, how widely it explores, and what the updates did."""
    from qecforge.reporting.curves import Curves, curves_figure

    figure = curves_figure(
        store,
        run,
        [
            Curves(y="exploration scales", metrics={"sigma": "sigma", "displacement": "way of the mean"}),
            Curves(y="KL, nats per parameter", metrics={"approx_kl": ""}, log=True),
            Curves(y="share of ratios clipped", metrics={"clip_fraction": ""}),
        ],
        x="epochs",
    )
    return {} if figure is None else {"search": figure}


PPO = RunView(
    readings=(
        Reading(metric=EPISODE_RETURN, label="episode return"),
        Reading(metric="entropy", label="entropy"),
        Reading(metric="time/steps_per_second", label="steps/s", show=speed, words="{} steps/s"),
    ),
    unit="steps",
    figures=_ppo_figures,
)
"""Return, how much the policies still try out, and speed."""

PARAMETER_PPO = RunView(
    readings=(
        Reading(metric="sigma", label="sigma"),
        Reading(metric="time/epochs_per_second", label="epochs/s", show=speed, words="{} epochs/s"),
    ),
    unit="epochs",
    figures=_parameter_figures,
)
"""How widely the search explores, and its speed."""
