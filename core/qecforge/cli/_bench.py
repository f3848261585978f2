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
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Benchmarks; all where none.")] = None,
    form: FormatOption = Format.TABLE,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller samples: seconds, not minutes.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="Say which benchmarks there are; run none.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--directory", metavar="DIR", help="Where the scripts lie, outside a checkout.")
    ] = None,
) -> None:
    """Measure each claim beside a named peer.

    Both are measured in the same run, on this machine.
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
