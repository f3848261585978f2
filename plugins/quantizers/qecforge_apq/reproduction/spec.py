"""`qecforge reproduce apq`: the argmax-preserving quantization paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, working
from qecforge.cli._reproducing import (
    MAX_SEEDS,
    DryRunOption,
    Order,
    OutOption,
    OverridesOption,
    TablesOnlyOption,
    WorkersOption,
    names,
    reproduce,
)

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_apq.reproduction.runs import Planned

__all__ = ["apq"]

QUICK_SEEDS, FULL_SEEDS = 2, 5


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
    out: OutOption = None,
    workers: WorkersOption = None,
    overrides: OverridesOption = None,
    dry_run: DryRunOption = False,
    tables_only: TablesOnlyOption = False,
) -> None:
    """The argmax-preserving quantization paper: tables 2 and 3, flips by margin, search, latency.

    Runs that the store has are not done again, so the same command resumes, and more seeds join those that are there.
    """
    from qecforge.registry import Registry
    from qecforge.reproduction.files import Reproduction
    from qecforge_apq.reproduction.report import report_figures, report_tables
    from qecforge_apq.reproduction.runs import EXPERIMENTS, collect, plan_runs, stages
    from qecforge_apq.reproduction.runs import methods as known_methods

    order = Order(store, out, workers, dry_run, tables_only)
    registry = Registry.load()
    quick_methods = [name for name, method in known_methods().items() if method.table == "main"]
    planned = plan_runs(
        names(experiments, ["e1"] if quick else list(EXPERIMENTS)),
        names(methods, quick_methods if quick else list(known_methods())),
        seeds=range(seeds or (QUICK_SEEDS if quick else FULL_SEEDS)),
        registry=registry,
        overrides=overrides or (),
    )
    paper = Reproduction(stages(planned), collect, report_tables, report_figures)
    reproduce(paper, order, afterwards=lambda opened: _measure_latencies(opened, planned, registry))


def _measure_latencies(store: Store, planned: Sequence[Planned], registry: Registry) -> None:
    """Of one policy of each experiment and method, where the store has it not from this CPU: no seed changes it."""
    from qecforge.machine.provenance import cpu_model
    from qecforge_apq.reproduction.runs import LATENCY, add_latency, collect
    from qecforge_apq.reproduction.tables import grouped

    for (experiment, method), group in grouped(collect(store, planned)).items():
        if any(result.latency.get("cpu") == cpu_model() for result in group):
            continue
        with working(f"{LATENCY} of {experiment} {method}"):
            add_latency(store, group[0].run.id, registry)
