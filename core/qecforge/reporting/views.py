"""What the views of a run's plugins give, each on its own: one that fails is named, and all else is there.

views, missing = views_of(run, Registry.load())
drawn = run_figures(store, run, views)
write_figures(drawn, run, Path("figures"))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qecforge.contracts.metrics import COST, EPISODE_RETURN
from qecforge.contracts.views import Reading, RunView
from qecforge.errors import PluginError, UserError, one_line
from qecforge.reporting.curves import STEPS
from qecforge.reporting.figures import figure_png, make_folder, require_matplotlib, save_figure
from qecforge.reporting.run_figures import (
    codes_figure,
    decisions_figure,
    error_rates_figure,
    learning_curve,
    metrics_figure,
)
from qecforge.reporting.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.hookspecs import AgentSpec, EnvironmentSpec
    from qecforge.registry import Registry
    from qecforge.store import Run, Store

__all__ = [
    "Gathered",
    "PluginView",
    "drawable",
    "failed",
    "readings",
    "run_figures",
    "run_tables",
    "unit",
    "views_of",
    "views_of_specs",
    "write_figures",
]

T = TypeVar("T")

GENERAL_READINGS = (Reading(metric=EPISODE_RETURN, label="episode return"), Reading(metric=COST, label="cost"))
"""What is watched of every run, where no view says more of it."""

_EVERY_RUN = "qecforge"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


@dataclass(frozen=True)
class PluginView:
    """A view, and the plugin that it belongs to."""

    kind: str
    name: str
    view: RunView

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """What was given, by name.

    Attributes:
        givers: Who gave each, such as `agent NAME`; `qecforge` for what every run can have.
        left_out: For what a view failed to give, a line that names it.
    """

    found: Mapping[str, T] = field(default_factory=dict)
    givers: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()


def views_of_specs(environment: EnvironmentSpec, agent: AgentSpec) -> list[PluginView]:
    """Those of a run's environment and agent that there are."""
    specs: tuple[tuple[str, EnvironmentSpec | AgentSpec], ...] = (("environment", environment), ("agent", agent))
    return [PluginView(kind, spec.name, spec.view) for kind, spec in specs if spec.view is not None]


def views_of(run: Run, registry: Registry) -> tuple[list[PluginView], list[str]]:
    """The views of the plugins that a run names, and a line for each plugin that is no longer there."""
    views, missing = [], []
    for kind, name in (("environment", run.environment), ("agent", run.agent)):
        try:
            view = registry.get(kind, name).spec.view
        except PluginError as error:
            missing.append(f"what {kind} {name} shows of its runs is left out: {one_line(error)}")
            continue
        if view is not None:
            views.append(PluginView(kind, name, view))
    return views, missing


def readings(views: Iterable[PluginView]) -> list[tuple[PluginView | None, Reading]]:
    """What is watched, in the order shown, and whose it is; None for what is watched of every run."""
    named: dict[str, tuple[PluginView | None, Reading]] = {}
    for view in views:
        for each in view.view.readings:
            named.setdefault(each.metric, (view, each))
    general = [(None, each) for each in GENERAL_READINGS if each.metric not in named]
    return [*general, *named.values()]


def unit(views: Sequence[PluginView]) -> str:
    """Of progress: the agent's word, else the environment's, else `steps`."""
    return next((each.view.unit for each in reversed(views) if each.view.unit is not None), "steps")


def run_figures(store: Store, run: Run, views: Sequence[PluginView]) -> Gathered[Figure]:
    """Figures of a run: those that every run can have, then those of the views.

    Of two views that give one name, the second's figure is called by the plugin's name too.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    found = _general_figures(store, run, views)
    givers, left_out = dict.fromkeys(found, _EVERY_RUN), list[str]()
    for each in views:
        if each.view.figures is None:
            continue
        given = _given(each, "figures", each.view.figures, _figure_type(), store, run)
        left_out += given.left_out
        for name, figure in given.found.items():
            if givers.get(name, _EVERY_RUN) != _EVERY_RUN:
                name = f"{each.name}_{name}"
            found[name], givers[name] = figure, str(each)
    logged = None if found else metrics_figure(store, run, x=_progress_axis(views))
    if logged is not None:
        found, givers = {"metrics": logged}, {"metrics": _EVERY_RUN}
    return Gathered(found, givers, left_out)


def run_tables(store: Store, run_ids: Mapping[str, Sequence[PluginView]]) -> Gathered[Table]:
    """Tables of the views, each of all its runs together; without those that have no rows.

    Args:
        run_ids: With the views of each.
    """
    found: dict[str, Table] = {}
    givers: dict[str, str] = {}
    left_out: list[str] = []
    for view in dict.fromkeys((each.kind, each.name) for views in run_ids.values() for each in views):
        of_view = {
            run_id: each for run_id, views in run_ids.items() for each in views if (each.kind, each.name) == view
        }
        owner = next(iter(of_view.values()))
        if owner.view.tables is None:
            continue
        given = _given(owner, "tables", owner.view.tables, Table, store, list(of_view))
        left_out += given.left_out
        for name, table in given.found.items():
            if table.rows:
                name = f"{owner.name}_{name}" if name in found else name
                found[name], givers[name] = table, str(owner)
    return Gathered(found, givers, left_out)


def write_figures(figures: Gathered[Figure], run: Run, folder: Path) -> Gathered[Path]:
    """Write figures as `RUN_name.png` into a folder, which is made where it is missing.

    Returns:
        The files by the figures' names; one that cannot be drawn after all is left out, with a line more.

    Raises:
        ConfigurationError: The folder cannot be written.
        MissingDependency: matplotlib is not installed.
    """
    make_folder(folder)
    written, left_out = {}, list(figures.left_out)
    for name, figure in figures.found.items():
        try:
            written[name] = save_figure(figure, folder / f"{run.id}_{name}.png")
        except UserError:
            raise
        except Exception as error:
            left_out.append(failed(_figure_of(figures, name), error))
    return Gathered(written, figures.givers, left_out)


def drawable(figures: Gathered[Figure]) -> Gathered[Figure]:
    """Those that can be drawn: a label that is not valid mathematical text, for example, raises only then."""
    found, left_out = {}, list(figures.left_out)
    for name, figure in figures.found.items():
        try:
            figure_png(figure)
            found[name] = figure
        except Exception as error:
            left_out.append(failed(_figure_of(figures, name), error))
    return Gathered(found, figures.givers, left_out)


def failed(what: str, error: Exception | None) -> str:
    """The line about something of a plugin's that raised: it is left out, and why."""
    words = one_line(error, 200)
    return f"{what} is left out: {type(error).__name__}{f': {words}' if words else ''}"


def _general_figures(store: Store, run: Run, views: Sequence[PluginView]) -> dict[str, Figure]:
    labels = {each.metric: each.label for of, each in readings(views) if of is not None}
    x = _progress_axis(views)
    figures = {
        "learning_curve": learning_curve(store, run, labels=labels, x=x),
        "codes": codes_figure(store, run, x=x),
        "error_rates": error_rates_figure(store, run),
        "decisions": decisions_figure(store, run),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _progress_axis(views: Sequence[PluginView]) -> str:
    """What the axis of a run's progress says."""
    of = unit(views)
    return STEPS if of == "steps" else of


def _given(view: PluginView, what: str, give: Callable[..., Any], kind: type[T], *arguments: Any) -> Gathered[T]:
    """What a view gives, if all of it is of the kind that it should be."""
    try:
        given = give(*arguments)
        for name, each in dict(given).items():
            if not (isinstance(name, str) and _NAME.fullmatch(name) and isinstance(each, kind)):
                raise TypeError(f"got {name!r}: {type(each).__name__}, expected {kind.__name__} by lower-case names")
        return Gathered(dict(given))
    except Exception as error:
        return Gathered(left_out=[failed(f"the view of {view} ({what})", error)])


def _figure_of(figures: Gathered[Figure], name: str) -> str:
    return f"the view of {figures.givers.get(name, _EVERY_RUN)} (figure {name})"


def _figure_type() -> type[Figure]:
    from matplotlib.figure import Figure

    return Figure
