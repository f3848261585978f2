"""What the commands `qecforge reproduce PAPER` share: their options, and one way from planned runs to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from qecforge.cli._output import DEFAULT_STORE, Format, emit, open_store, say, stdout
from qecforge.errors import ConfigurationError, Interrupted, RunFailed
from qecforge.reporting.tables import Column, Table, to_rich, to_text

if TYPE_CHECKING:
    from qecforge.reproduction.files import Planned, Reproduction
    from qecforge.runs.listener import RunOutcome
    from qecforge.store import Store

__all__ = [
    "MAX_SEEDS",
    "DryRunOption",
    "Order",
    "OutOption",
    "OverridesOption",
    "TablesOnlyOption",
    "WorkersOption",
    "names",
    "reproduce",
]

MAX_SEEDS = 1000

OutOption: TypeAlias = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write tables and figures there too.")
]
WorkersOption: TypeAlias = Annotated[
    int | None, typer.Option("--workers", min=1, help="Runs at a time; one a core where not given.")
]
OverridesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a value of every manifest; these are then other runs."),
]
DryRunOption: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say which runs there are; do none of them.")]
TablesOnlyOption: TypeAlias = Annotated[
    bool, typer.Option("--tables-only", help="Do no run: the tables of what the store has already.")
]

P = TypeVar("P", bound="Planned")
R = TypeVar("R")


@dataclass(frozen=True)
class Order:
    """What a user asks of a reproduction, whatever the paper.

    Raises:
        ConfigurationError: It asks for no run in two ways.
        MissingDependency: Figures are wanted, and matplotlib is not installed.
    """

    store: str = DEFAULT_STORE
    out: Path | None = None
    workers: int | None = None
    dry_run: bool = False
    tables_only: bool = False

    def __post_init__(self) -> None:
        if self.dry_run and self.tables_only:
            raise ConfigurationError("--dry-run and --tables-only: choose one of them")
        if self.out is not None:
            from qecforge.reporting.figures import require_matplotlib

            require_matplotlib()


def names(text: str | None, default: Sequence[str]) -> Sequence[str]:
    """Names with commas between them; the default where the option was not given.

    Raises:
        ConfigurationError: It was given, and has no name.
    """
    if text is None:
        return default
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ConfigurationError(
            f"a list of names is {text!r}, which has none: give some, such as {', '.join(default)}"
        )
    return found


def reproduce(paper: Reproduction[P, R], order: Order, *, afterwards: Callable[[Store], None] | None = None) -> None:
    """Carry out what the store lacks, then print the tables and write the report.

    Args:
        afterwards: Work on the store once the runs have ended, such as measuring latencies.

    Raises:
        RunFailed: A run failed; the tables of the others have been printed.
        Interrupted: Runs were stopped; their state is saved.
    """
    planned = paper.planned
    if order.dry_run:
        _show_plans(planned, order.store)
        return
    outcomes = [] if order.tables_only else _carry_out(paper.stages, order)
    if not order.tables_only and afterwards is not None:
        with open_store(order.store, write=True) as opened:
            afterwards(opened)
    with open_store(order.store) as opened:
        results = paper.collect(opened, planned)
    if len(results) < len(planned):
        missing = len(planned) - len(results)
        say(f"{missing} of {len(planned)} runs are not in the store, or did not finish: they are left out")
    tables = paper.tables(results)
    _show(tables)
    if order.out is not None and results:
        from qecforge.reproduction.files import write_files

        say(f"{len(write_files(tables, paper.figures(results), order.out))} files in {order.out}")
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise RunFailed(
            f"{len(failed)} of {len(outcomes)} runs failed, the first with {failed[0].error}; "
            f"`qecforge runs show {failed[0].run_id}` has the traceback"
        )


def _carry_out(stages: Sequence[Sequence[Planned]], order: Order) -> list[RunOutcome]:
    """Stage after stage; a run that fails does not stop the others."""
    from qecforge.cli._progress import show_progress
    from qecforge.executors import make_executor
    from qecforge.runs.listener import RunOptions
    from qecforge.store import Store

    Store(order.store).close()
    outcomes: list[RunOutcome] = []
    for stage in stages:
        executor = make_executor("local", order.workers)
        with show_progress() as listener:
            ended = executor.run([each.plan for each in stage], RunOptions(store_url=order.store), listener)
        outcomes += ended
        stopped = len(stage) - sum(outcome.status != "interrupted" for outcome in ended)
        if stopped:
            raise Interrupted(f"{stopped} of {len(stage)} runs did not end; their state is saved, run it again")
    return outcomes


def _show(tables: Mapping[str, Table]) -> None:
    console = stdout()
    for table in tables.values():
        if console.is_terminal:
            console.print(to_rich(table))
        else:
            typer.echo(to_text(table))
        typer.echo()


def _show_plans(planned: Sequence[Planned], store: str) -> None:
    from qecforge.store.engine import parse_url

    url, known = parse_url(store), {}
    if url.get_backend_name() != "sqlite" or (url.database and Path(url.database).exists()):
        with open_store(store) as opened:
            known = {run.identity: run.status for run in opened.runs()}
    rows: list[dict[str, Any]] = [
        {
            "run": each.plan.identity[:12],
            **each.labels,
            "seed": each.plan.seed,
            "in_store": known.get(each.plan.identity, "new"),
        }
        for each in planned
    ]
    labels = [Column(name) for name in (planned[0].labels if planned else ())]
    columns = (Column("run"), *labels, Column("seed"), Column("in_store", "in the store"))
    emit(Table(columns, rows), Format.TABLE)
