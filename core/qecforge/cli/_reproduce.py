"""`qecforge reproduce`: a paper's experiments, its tables and figures, ours beside theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, open_store, say, stdout, working
from qecforge.errors import ConfigurationError, Interrupted, RunFailed
from qecforge.reporting.tables import Column, Table

if TYPE_CHECKING:
    from qecforge.plugins import Registry
    from qecforge.reporting.apq import Planned, Result
    from qecforge.run import RunOutcome

__all__ = ["app"]

QUICK_SEEDS, FULL_SEEDS = 2, 5
MAX_SEEDS = 1000

PLANS = (
    Column("run"),
    Column("experiment"),
    Column("method"),
    Column("seed"),
    Column("in_store", "in the store"),
)

app = typer.Typer(
    help="A paper's experiments and tables, ours beside theirs.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """A paper's experiments and tables, ours beside theirs."""


@app.command("apq")
def apq(
    quick: Annotated[
        bool, typer.Option("--quick", help="E1 and the methods of table 2 with 2 seeds: some minutes on 2 cores.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=MAX_SEEDS, help="Seeds 0..N-1; 5, or 2 with --quick.")
    ] = None,
    experiments: Annotated[
        str | None, typer.Option("--experiments", metavar="NAMES", help="Of e1,e2,e3,e1_deep; all, e1 with --quick.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="NAMES", help="Such as fp32,ptq,apq; all, those of table 2 with --quick."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write tables and figures there too.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Runs at a time; one a core where not given.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a value of every manifest; these are then other runs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which runs there are; do none of them.")] = False,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Do no run: the tables of what the store has already.")
    ] = False,
) -> None:
    """The argmax-preserving quantization paper: tables 2 and 3, flips by margin, search, latency.

    Runs that the store has are not done again, so the same command resumes, and more seeds join those that are there.
    """
    from qecforge.plugins import Registry
    from qecforge.reporting.apq import EXPERIMENTS, collect, plan_runs
    from qecforge.reporting.apq import methods as known_methods
    from qecforge.reporting.figures import require_matplotlib

    if dry_run and tables_only:
        raise ConfigurationError("--dry-run and --tables-only: choose one of them")
    if out is not None:
        require_matplotlib()
    registry = Registry.load()
    quick_methods = [name for name, method in known_methods().items() if method.table == "main"]
    planned = plan_runs(
        _names(experiments, ["e1"] if quick else list(EXPERIMENTS)),
        _names(methods, quick_methods if quick else list(known_methods())),
        seeds=range(seeds or (QUICK_SEEDS if quick else FULL_SEEDS)),
        registry=registry,
        overrides=overrides or (),
    )
    if dry_run:
        _show_plans(planned, store)
        return
    outcomes = [] if tables_only else _carry_out(planned, store, workers)
    if not tables_only:
        _measure_latencies(planned, store, registry)
    with open_store(store) as opened:
        results = collect(opened, planned)
    _show(results, len(planned))
    if out is not None and results:
        from qecforge.reporting.apq_report import write_report

        say(f"{len(write_report(results, out))} files in {out}")
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise RunFailed(
            f"{len(failed)} of {len(outcomes)} runs failed, the first with {failed[0].error}; "
            f"`qecforge runs show {failed[0].run_id}` has the traceback"
        )


def _names(text: str | None, default: Sequence[str]) -> Sequence[str]:
    """Names with commas between them."""
    if text is None:
        return default
    return [name.strip() for name in text.split(",") if name.strip()]


def _carry_out(planned: Sequence[Planned], store: str, workers: int | None) -> list[RunOutcome]:
    """Teachers first, then what starts from them; a run that fails does not stop the others."""
    from qecforge.cli._progress import show_progress
    from qecforge.executors import make_executor
    from qecforge.reporting.apq import stages
    from qecforge.run import RunOptions
    from qecforge.store import Store

    Store(store).close()
    outcomes: list[RunOutcome] = []
    for stage in stages(planned):
        executor = make_executor("local", workers)
        with show_progress() as listener:
            ended = executor.run([each.plan for each in stage], RunOptions(store_url=store), listener)
        outcomes += ended
        stopped = len(stage) - sum(outcome.status != "interrupted" for outcome in ended)
        if stopped:
            raise Interrupted(f"{stopped} of {len(stage)} runs did not end; their state is saved, run it again")
    return outcomes


def _measure_latencies(planned: Sequence[Planned], store: str, registry: Registry) -> None:
    """Of one policy of each experiment and method, where the store has it not yet: it does not depend on the seed."""
    from qecforge.reporting.apq import LATENCY, add_latency, collect
    from qecforge.reporting.apq_tables import grouped

    with open_store(store, write=True) as opened:
        for (experiment, method), group in grouped(collect(opened, planned)).items():
            if any(result.latency for result in group):
                continue
            with working(f"{LATENCY} of {experiment} {method}"):
                add_latency(opened, group[0].run.id, registry)


def _show(results: Sequence[Result], planned: int) -> None:
    from qecforge.reporting.apq_report import report_tables
    from qecforge.reporting.tables import to_rich, to_text

    if len(results) < planned:
        say(f"{planned - len(results)} of {planned} runs are not in the store, or did not finish: they are left out")
    console = stdout()
    for table in report_tables(results).values():
        if console.is_terminal:
            console.print(to_rich(table))
        else:
            typer.echo(to_text(table))
        typer.echo()


def _show_plans(planned: Sequence[Planned], store: str) -> None:
    from qecforge.cli._output import Format, emit
    from qecforge.store.engine import parse_url

    url, known = parse_url(store), {}
    if url.get_backend_name() != "sqlite" or (url.database and Path(url.database).exists()):
        with open_store(store) as opened:
            known = {run.identity: run.status for run in opened.runs()}
    rows: list[dict[str, Any]] = [
        {
            "run": each.plan.identity[:12],
            "experiment": each.experiment,
            "method": each.method.name,
            "seed": each.plan.seed,
            "in_store": known.get(each.plan.identity, "new"),
        }
        for each in planned
    ]
    emit(Table(PLANS, rows), Format.TABLE)
