"""What the store keeps of one steered run, as figures: those that its record allows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qecforge.contracts import COST, TRUE_COST
from qecforge.errors import StoreError
from qecforge.evaluation.statistics import wilson_interval
from qecforge.reporting.curves import Curves, curves_figure, run_title
from qecforge.reporting.figures import Point, require_matplotlib
from qecforge_surface_steering.views.layout import (
    Trace,
    detection_rate_figure,
    logical_error_rate_figure,
    place,
    stabilizer_figure,
    trace_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from qecforge.store import Run, Series, Store

__all__ = ["Records", "error_rate_curves", "former_learning_curve", "run_figures", "stabilizer_panels", "traces"]

FORMER_COST = "detection_rate"
"""What `COST` was called in the log before other environments than this plugin's shared the contract."""

POLICIES = ("fixed", "steered", "optimal")
PRIORS = {"nominal": "", "learned": ", learned prior", "true": ", true prior"}

_ERROR_RATE = re.compile(r"steering/([^/]+)/([^/]+)/ler")
_TRACE = re.compile(r"steering/trace/(.+)/mean")


class Records(Protocol):
    """Where the series of runs are, such as a `Store`."""

    def metrics(self, run_id: str, name: str) -> Series:
        """One series of a run."""


def run_figures(store: Store, run: Run) -> dict[str, Figure]:
    """The figures that a run's record allows, by name.

    `stabilizers`: detection rates on the layout before and after. `traces`: parameters beside their optimum.
    `detection_rate` and `logical_error_rate`: over time, for each policy and decoder prior.

    Raises:
        StoreError: Logical error rates without the number of cycles that they are of.
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    names = store.metric_names(run.id)
    title = run_title(run)
    found: dict[str, Figure] = {}
    if panels := stabilizer_panels(store, run, names):
        found["stabilizers"] = stabilizer_figure(panels, title)
    if lines := traces(store, run, names):
        found["traces"] = trace_figure(lines, title)
    rates = {policy: store.metrics(run.id, f"steering/{policy}/rate") for policy in POLICIES}
    if any(map(len, rates.values())):
        known = {policy: (series.step, series.value) for policy, series in rates.items() if len(series)}
        found["detection_rate"] = detection_rate_figure(known, title)
    if curves := error_rate_curves(store, run, names):
        found["logical_error_rate"] = logical_error_rate_figure(curves, title)
    return found


def former_learning_curve(store: Store, run: Run, label: str) -> dict[str, Figure]:
    """The learning curve of a run that was filed while what it minimised still had another name in the log; empty for
    all others, whose curve is everybody's.

    Args:
        label: What people call that number.
    """
    if store.metrics(run.id, COST).step.size:
        return {}
    panel = Curves(y=label, metrics={FORMER_COST: "measured", TRUE_COST: "without sampling noise"})
    figure = curves_figure(store, run, [panel], x="epochs")
    return {} if figure is None else {"learning_curve": figure}


def stabilizer_panels(store: Records, run: Run, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Panels of `stabilizer_figure`: fixed control at the first and the last epoch, steered control at the last.

    Where control starts is one state of both, shown once. Objectives without a place are left out.

    Args:
        names: The run's metrics.
    """
    panels: dict[tuple[int, str], dict[str, float]] = {}
    for policy in ("fixed", "steered"):
        prefix = f"steering/stabilizer/{policy}/"
        for name in names:
            objective = name.removeprefix(prefix)
            if objective != name and place(objective) is not None:
                series = store.metrics(run.id, name)
                for epoch, rate in {int(series.step[i]): float(series.value[i]) for i in (0, -1)}.items():
                    panels.setdefault((epoch, policy), {})[objective] = rate
    first = min((epoch for epoch, _ in panels), default=0)
    return {
        f"{policy}, epoch {epoch:,}": rates
        for (epoch, policy), rates in sorted(panels.items())
        if policy == "fixed" or epoch > first or (first, "fixed") not in panels
    }


def traces(store: Records, run: Run, names: Sequence[str]) -> dict[str, Trace]:
    """By parameter, in the order of its metrics' names.

    Args:
        names: The run's metrics.
    """
    parameters = [match[1] for match in map(_TRACE.fullmatch, names) if match]
    found: dict[str, Trace] = {}
    for parameter in parameters:
        epochs, mean, optimum = _together(store, run, f"steering/trace/{parameter}", ("mean", "optimum"))
        found[parameter] = Trace(epochs, mean, optimum)
    return found


def error_rate_curves(store: Records, run: Run, names: Sequence[str]) -> dict[str, list[Point]]:
    """Logical error rates per cycle over epochs, with Wilson's intervals, by policy and prior of the decoder.

    Args:
        names: The run's metrics.

    Raises:
        StoreError: The manifest says not how many cycles a shot has.
    """
    pairs = [(match[1], match[2]) for match in map(_ERROR_RATE.fullmatch, names) if match]
    if not pairs:
        return {}
    rounds = json.loads(run.manifest)["environment"].get("rounds")
    if rounds is None:
        raise StoreError(
            f"run {run.id}: its manifest has no environment.rounds, which logical error rates per cycle need: "
            "choose a run of surface_steering"
        )
    curves: dict[str, list[Point]] = {}
    for policy, prior in sorted(pairs, key=_rank):
        columns = _together(store, run, f"steering/{policy}/{prior}", ("ler", "errors", "shots"))
        curves[policy + PRIORS.get(prior, f", prior {prior}")] = [
            _point(epoch, rate, wrong, shots, rounds) for epoch, rate, wrong, shots in zip(*columns, strict=True)
        ]
    return curves


def _rank(pair: tuple[str, str]) -> tuple[int, int, str, str]:
    """Known policies and priors first, in their order."""
    policy, prior = pair
    known = list(PRIORS)
    return (
        POLICIES.index(policy) if policy in POLICIES else len(POLICIES),
        known.index(prior) if prior in known else len(known),
        policy,
        prior,
    )


def _together(store: Records, run: Run, path: str, names: Sequence[str]) -> list[NDArray[Any]]:
    """Epochs at which all series below `path` have a value, and their values: an interrupted evaluation leaves some
    longer than others."""
    series = [store.metrics(run.id, f"{path}/{name}") for name in names]
    epochs = reduce(np.intersect1d, [each.step for each in series])
    return [epochs, *(each.value[np.isin(each.step, epochs)] for each in series)]


def _point(epoch: float, rate: float, errors: float, shots: float, rounds: int) -> Point:
    interval = wilson_interval(round(errors), round(shots))
    return Point(float(epoch), float(rate), _per_cycle(interval.low, rounds), _per_cycle(interval.high, rounds))


def _per_cycle(per_shot: float, rounds: int) -> float:
    """The rate of one cycle, of which an odd number makes an error of the shot; 1/2 and beyond stay 1/2."""
    return float((1 - max(0.0, 1 - 2 * per_shot) ** (1 / rounds)) / 2)
