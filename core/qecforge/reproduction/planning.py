"""From a reproduction's spec to checked runs in stages, and what its plan and its report share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from qecforge.contracts.reproduction import Order, PlannedRun, ReproductionSpec
from qecforge.errors import ConfigurationError, PluginError, QecforgeError, did_you_mean, one_line
from qecforge.manifest import RunPlan

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Run, Store

__all__ = ["blaming", "check_names", "finished", "planned_runs", "seeds_of", "stages"]

P = TypeVar("P", bound=PlannedRun)


def seeds_of(spec: ReproductionSpec, *, quick: bool, seeds: int | None = None) -> tuple[int, ...]:
    """Seeds from 0: as many as asked for, else as many as the spec says for this size."""
    count = seeds if seeds is not None else spec.quick_seeds if quick else spec.seeds
    return tuple(range(count))


def planned_runs(spec: ReproductionSpec[Any, P], order: Order[Any], registry: Registry) -> tuple[P, ...]:
    """The runs that a reproduction plans for an order, checked.

    Raises:
        PluginError: A plugin that it needs is not installed, it fails, or what it gives are no planned runs.
        ConfigurationError: It plans no run.
        UserError: What the reproduction says of an order that it can't plan.
    """
    who = f"reproduction {spec.name!r}"
    for need in spec.needs:
        kind, _, name = need.partition(".")
        try:
            registry.get(kind, name)
        except PluginError as error:
            raise PluginError(f"{who} needs {kind} {name!r}, which cannot be used: {error}") from error
    with blaming(spec, "planned its runs"):
        planned = tuple(spec.plan(order, registry))
    if not planned:
        raise ConfigurationError(f"{who} has no run for these options: choose others, or leave them out")
    columns = None
    for each in planned:
        if not isinstance(each, PlannedRun):
            raise PluginError(f"{who} planned {_shown(each)}, expected PlannedRun. Report it to the plugin's authors.")
        if not isinstance(each.plan, RunPlan):
            raise PluginError(
                f"{who} planned a run of {_shown(each.plan)}, expected a RunPlan of load_manifest(...).runs(). "
                "Report it to the plugin's authors."
            )
        columns = columns or tuple(each.labels)
        if tuple(each.labels) != columns:
            raise PluginError(
                f"{who}: labels of a run are {', '.join(each.labels)}, of another {', '.join(columns)}; expected the "
                "same for all. Report it to the plugin's authors."
            )
    stages(planned, who)
    return planned


def stages(planned: Sequence[P], who: str = "a reproduction") -> list[list[P]]:
    """The runs in stages: each run stands in the first one that comes after those which it waits for.

    Overrides can make two runs one, with the same identity: the first of them is there alone.

    Raises:
        PluginError: A run waits for one that is not planned, or for itself by way of others.
    """
    runs: dict[str, P] = {}
    for each in planned:
        runs.setdefault(each.plan.identity, each)
    for identity, each in runs.items():
        if unplanned := [other for other in each.after if other not in runs]:
            raise PluginError(f"{who}: run {identity[:12]} waits for {unplanned[0][:12]}, which is not planned")
    found: list[list[P]] = []
    ended: set[str] = set()
    while runs:
        stage = {identity: each for identity, each in runs.items() if ended.issuperset(each.after)}
        if not stage:
            raise PluginError(f"{who}: runs wait for each other: {', '.join(identity[:12] for identity in runs)}")
        found.append(list(stage.values()))
        ended.update(stage)
        runs = {identity: each for identity, each in runs.items() if identity not in stage}
    return found


def finished(store: Store, planned: Iterable[P]) -> list[tuple[P, Run]]:
    """Those whose run is in the store and finished, with it, in their order."""
    runs = {run.identity: run for run in store.runs(status="finished")}
    return [(each, runs[each.plan.identity]) for each in planned if each.plan.identity in runs]


def check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises `ConfigurationError` where one of the names is unknown; the nearest are offered."""
    for name in names:
        if name not in known:
            raise ConfigurationError(f"unknown {what} {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")


@contextmanager
def blaming(spec: ReproductionSpec, what: str) -> Iterator[None]:
    """Turns what a reproduction raises, and is no word to its user, into a `PluginError` of one line."""
    try:
        yield
    except QecforgeError:
        raise
    except Exception as error:
        raise PluginError(
            f"reproduction {spec.name!r} failed while it {what}: {type(error).__name__}: {one_line(error)}. "
            "Report it to the plugin's authors."
        ) from error


def _shown(value: object) -> str:
    return one_line(repr(value), 80)
