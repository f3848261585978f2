"""`qecforge reproduce steering`: the surface-code steering paper."""

from __future__ import annotations

from typing import Annotated

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption
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

__all__ = ["steering"]

QUICK_SEEDS, FULL_SEEDS = 2, 5


def steering(
    quick: Annotated[
        bool, typer.Option("--quick", help="Every result, smaller, with 2 seeds: 15 minutes at most on 2 cores.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=MAX_SEEDS, help="Seeds 0..N-1; 5, or 2 with --quick.")
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="NAMES", help="Such as drift,response,scaling; all.")
    ] = None,
    out: OutOption = None,
    workers: WorkersOption = None,
    overrides: OverridesOption = None,
    dry_run: DryRunOption = False,
    tables_only: TablesOnlyOption = False,
) -> None:
    """The surface-code steering paper: its eight results, the curve over drift amplitudes, and other optimizers.

    Runs that the store has are not done again, so the same command resumes, and more seeds join those that are there.
    """
    from qecforge.registry import Registry
    from qecforge.reproduction.files import Reproduction
    from qecforge_surface_steering.reproduction.report import report_figures, report_tables
    from qecforge_surface_steering.reproduction.runs import collect, experiments, plan_runs

    order = Order(store, out, workers, dry_run, tables_only)
    planned = plan_runs(
        names(results, list(experiments())),
        seeds=range(seeds or (QUICK_SEEDS if quick else FULL_SEEDS)),
        registry=Registry.load(),
        quick=quick,
        overrides=overrides or (),
    )
    reproduce(Reproduction([planned], collect, report_tables, report_figures), order)
