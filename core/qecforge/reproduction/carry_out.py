"""Any reproduction, from an order to its report: what the store lacks is run, then measured, then told.

    planned = planned_runs(spec, Order(options=spec.options(), seeds=seeds_of(spec, quick=True), quick=True), registry)
    outcomes = carry_out(spec, planned, registry, store_url="sqlite:///results.db")
    with Store("sqlite:///results.db", read_only=True) as store:
        tables = tables_of(report_of(spec, store, planned))

The same order resumes what was interrupted, and more seeds join those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from qecforge.contracts.reproduction import PlannedRun, Report, ReproductionSpec
from qecforge.errors import Interrupted
from qecforge.executors import make_executor
from qecforge.reproduction.planning import blaming, stages
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.registry import Registry

__all__ = ["carry_out", "figures_of", "report_of"]

P = TypeVar("P", bound=PlannedRun)

Listening: TypeAlias = Callable[[], AbstractContextManager[RunListener]]
"""Gives a listener for the runs of one stage."""


@contextmanager
def _silent() -> Iterator[RunListener]:
    yield RunListener()


def carry_out(
    spec: ReproductionSpec[Any, P],
    planned: Sequence[P],
    registry: Registry,
    *,
    store_url: str,
    executor: str = "process",
    workers: int | None = None,
    listening: Listening = _silent,
    measuring: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[RunOutcome]:
    """Carry out those of the planned runs that the store has not finished, stage after stage, then measure.

    A run that fails stops neither its stage nor the next: what waited for it makes what it lacks itself, or fails too.

    Args:
        planned: As `planned_runs` gives them.
        store_url: SQLAlchemy URL of the store, which is made where it is missing.
        executor: `process` (here, one after the other) or `local` (a process for each run).
        workers: Runs at a time of the `local` executor; None for one for each core.
        listening: Entered for each stage; its listener is told what happens in the runs.
        measuring: Entered around the measurements that follow the runs.

    Returns:
        An outcome for each run, in the order in which they were started.

    Raises:
        Interrupted: Runs were stopped, and nothing was measured; the same call goes on.
        PluginError: The reproduction fails while it measures.
    """
    Store(store_url).close()
    outcomes: list[RunOutcome] = []
    for stage in stages(planned):
        with listening() as listener:
            ended = make_executor(executor, workers).run(_plans(stage), RunOptions(store_url=store_url), listener)
        outcomes += ended
        stopped = sum(outcome.status == "interrupted" for outcome in ended)
        if stopped:
            raise Interrupted(f"{stopped} of {len(stage)} runs were interrupted; the same command continues them")
    if spec.measure is not None:
        with measuring(), Store(store_url, create=False) as store, blaming(spec, "measured"):
            spec.measure(store, planned, registry)
    return outcomes


def report_of(spec: ReproductionSpec[Any, P], store: Store, planned: Sequence[P]) -> Report:
    """What the store says of those of the planned runs that are finished.

    Raises:
        PluginError: The reproduction fails while it makes its report.
    """
    with blaming(spec, "made its report"):
        return spec.report(store, planned)


def figures_of(spec: ReproductionSpec, report: Report) -> Mapping[str, Figure]:
    """The report's figures, drawn now.

    Raises:
        PluginError: The reproduction fails while it draws.
    """
    with blaming(spec, "drew its figures"):
        return report.figures()


def _plans(stage: Sequence[PlannedRun]) -> list[Any]:
    """Those of planned runs, which `planned_runs` has found to be `RunPlan`s."""
    return [each.plan for each in stage]
