"""`qecforge bench`: the benchmarks of a source checkout, as a table of ratios against named peers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say
from qecforge.errors import RunFailed, one_line
from qecforge.reporting.tables import Column, Table, duration, number

__all__ = ["register"]

SCRIPTS = (Column("name"), Column("summary"))

RATIOS = (
    Column("benchmark"),
    Column("claim"),
    Column("ours", show=number, justify="right"),
    Column("unit"),
    Column("target", show=number, justify="right"),
    Column("peer", show=number, justify="right"),
    Column("peer_name", "named peer"),
    Column("ratio", show=number, justify="right"),
    Column("extra", detail=True),
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("bench")(bench)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names of benchmarks. Default: all.")
    ] = None,
    form: FormatOption = Format.TABLE,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller samples: takes seconds instead of minutes.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the benchmarks and stop.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", metavar="DIR", help="Folder of the benchmark scripts; needed outside a source checkout."
        ),
    ] = None,
) -> None:
    """Run the benchmarks: each compares qecforge with a named alternative.

    Both are measured in the same process, on this machine.
    """
    import time

    from qecforge.reporting.benchmarks import find_benchmarks

    benchmarks = find_benchmarks(names or (), directory)
    if list_only:
        emit(Table(SCRIPTS, [{"name": item.name, "summary": item.summary} for item in benchmarks]), form)
        return
    rows, failed = [], []
    for item in benchmarks:
        say(f"{item.name}: {item.summary}")
        started = time.monotonic()
        try:
            rows += item.run(quick=quick)
        except Exception as error:  # one benchmark that fails leaves the others to run
            failed.append(item.name)
            say(f"{item.name}: {type(error).__name__}: {one_line(error)}")
        say(f"{item.name}: {duration(time.monotonic() - started)}")
    emit(Table(RATIOS, rows), form, empty="no benchmark gave a row")
    if failed:
        raise RunFailed(f"{len(failed)} of {len(benchmarks)} benchmarks failed: {', '.join(failed)}")
