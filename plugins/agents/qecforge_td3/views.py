"""What runs of `td3` look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import EPISODE_RETURN, Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["TD3_VIEW"]


def _figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`returns`, in training and in tests; `losses`; `circuits`: what the sampled circuits are like."""
    from qecforge.reporting.curves import Curves, curves_figure

    figures = {
        "returns": curves_figure(
            store, run, [Curves(y="return", metrics={EPISODE_RETURN: "training", "test_return": "test"})]
        ),
        "losses": curves_figure(
            store,
            run,
            [
                Curves(y="loss of the critics", metrics={"critic_loss": ""}, log=True),
                Curves(y="mean of Q", metrics={"q_mean": ""}),
                Curves(y="entropy of bits given qtDNN, nats", metrics={"tangential_loss": ""}),
            ],
        ),
        "circuits": curves_figure(
            store,
            run,
            [
                Curves(y="share of CZs that fire", metrics={"cz_fraction": ""}),
                Curves(y="distinct pairs", metrics={"cz_pairs": ""}),
                Curves(y="largest register, qubits", metrics={"peak_register": ""}),
            ],
        ),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


TD3_VIEW = RunView(
    readings=(
        Reading(metric=EPISODE_RETURN, label="episode return"),
        Reading(metric="test_return", label="test return"),
        Reading(metric="time/steps_per_second", label="steps/s", show=speed, words="{} steps/s"),
    ),
    unit="steps",
    figures=_figures,
)
"""Returns in training and in tests, and speed."""
