"""What every command shares: where output goes, in which format, and the options that recur."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from qecforge.errors import one_line
from qecforge.machine.masking import masked
from qecforge.reporting.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from qecforge.reporting.tables import Table
    from qecforge.store import Store

__all__ = [
    "DEFAULT_STORE",
    "OPTIONS",
    "Format",
    "FormatOption",
    "StoreOption",
    "emit",
    "in_options",
    "open_store",
    "say",
    "stdout",
    "store_option",
    "working",
    "write",
]

DEFAULT_STORE = "sqlite:///results.db"

OPTIONS = {
    "allow": "--allow",
    "directory": "--directory",
    "executor": "--executor",
    "folder": "--out",
    "force": "--force",
    "overrides": "--set",
    "store_url": "--store",
    "workers": "--workers",
}
"""By which option a user gives a parameter of the library."""


class Format(StrEnum):
    """How a listing is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", help="How to write the listing.")]
StoreOption = Annotated[str, typer.Option("--store", metavar="URL", help="The store, as an SQLAlchemy URL.")]


def in_options(error: Exception) -> str:
    """The message of an error on one line, with the option where it names a parameter of the library."""
    message, parameter = one_line(error), getattr(error, "parameter", None)
    # A file is refused inside a plugin's configuration, and the error of the manifest tells of its own parameter.
    for name in (parameter, "allow"):
        if name in OPTIONS:
            message = message.replace(f"`{name}`", OPTIONS[name])
    return message


def say(line: str) -> None:
    """A line for people, on stderr; stdout is for results."""
    typer.echo(printable(masked(line)), err=True)


def write(text: str) -> None:
    """Text for people or JSON, on stdout."""
    typer.echo(printable(text))


def store_option(store_url: str) -> str:
    """The store as an option of a command that is shown, passwords masked; nothing for the usual store."""
    return "" if store_url == DEFAULT_STORE else f" --store {quote(masked(store_url))}"


def stdout() -> Console:
    """A rich console on stdout. Where that is not a terminal nothing is wrapped, cut or coloured."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100_000)
    return console


def emit(table: Table, form: Format, *, empty: str = "nothing to list") -> None:
    """Write a listing to stdout. An empty text table says `empty` on stderr instead."""
    from qecforge.reporting import tables

    if form is Format.JSON:
        write(tables.to_json(table))
    elif form is Format.CSV:
        # Programs are given the values as they are; a terminal is not steered by them.
        typer.echo(printable(tables.to_csv(table)) if sys.stdout.isatty() else tables.to_csv(table))
    elif not table.rows:
        say(empty)
    else:
        console = stdout()
        if console.is_terminal:
            console.print(tables.to_rich(table))
        else:
            write(tables.to_text(table))


@contextmanager
def working(what: str, *, seconds: float = 10.0) -> Iterator[None]:
    """Say that long work goes on: a spinner on a terminal, elsewhere a line on stderr every `seconds`."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(what):
            yield
        return
    done = threading.Event()

    def remind() -> None:
        elapsed = 0.0
        while not done.wait(seconds):
            elapsed += seconds
            say(f"{what}, {elapsed:.0f} s so far")

    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def open_store(url: str, *, write: bool = False) -> Store:
    """An existing store; a command that only reads does not make one.

    Raises:
        StoreError: There is no store at `url`, or it cannot be opened.
    """
    from qecforge.store import Store

    return Store(url, read_only=not write, create=False)
