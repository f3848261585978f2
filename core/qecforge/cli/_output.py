"""What every command shares: where output goes, in which format, and the options that recur."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, ParamSpec, TextIO

import typer

from qecforge.errors import OlderSchema, PluginError, RunFailed, one_line, printable
from qecforge.machine.compilation import COMPILING, told_of_compilation
from qecforge.machine.exits import exits_refused
from qecforge.machine.masking import masked
from qecforge.machine.streams import mute

if TYPE_CHECKING:
    from qecforge.reporting.tables import Table
    from qecforge.runs.listener import RunOutcome
    from qecforge.store import Store

__all__ = [
    "DEFAULT_STORE",
    "OPTIONS",
    "Format",
    "FormatOption",
    "StoreOption",
    "emit",
    "emit_json",
    "in_options",
    "on_terminal",
    "open_store",
    "put",
    "raise_failed",
    "results_alone",
    "say",
    "shielded",
    "store_option",
    "terminal_width",
    "working",
    "write",
]

P = ParamSpec("P")

DEFAULT_STORE = "sqlite:///results.db"

OPTIONS = {
    "allow": "--allow",
    "directory": "--directory",
    "examples": "EXAMPLE",
    "executor": "--executor",
    "executor_options": "--executor-option",
    "folder": "--out",
    "force": "--force",
    "kind": "KIND",
    "listeners": "--listener",
    "log_file": "--log-file",
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


FormatOption = Annotated[Format, typer.Option("--format", help="Output format.")]
StoreOption = Annotated[str, typer.Option("--store", metavar="URL", help="The store: an SQLAlchemy URL.")]


def in_options(error: Exception) -> str:
    """The message of an error on one line, with the option where it names a parameter of the library."""
    message, parameter = one_line(error), getattr(error, "parameter", None)
    # A file is refused inside a plugin's configuration, and the error of the manifest tells of its own parameter.
    for name in (parameter, "allow"):
        if name in OPTIONS:
            message = message.replace(f"`{name}`", OPTIONS[name])
    return message


def say(line: str) -> None:
    """A line for people, on stderr; stdout is for results. Where nobody can read stderr the work goes on without."""
    try:
        typer.echo(printable(masked(line)), err=True)
    except OSError:
        mute(sys.stderr)


class _Results:
    """Where results go: stdout as it was before `results_alone`."""

    stream: TextIO | None = None


@contextmanager
def results_alone() -> Iterator[None]:
    """In the block stdout has what the functions of this module write; what plugins print goes to stderr."""
    before = _Results.stream
    _Results.stream = before or sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _Results.stream = before


def shielded(command: Callable[P, None]) -> Callable[P, None]:
    """The command with `results_alone`. A plugin that would end it (`sys.exit`, `os._exit`) is an error of one line."""

    @wraps(command)
    def carry_out(*given: P.args, **named: P.kwargs) -> None:
        try:
            with results_alone(), exits_refused():
                command(*given, **named)
        except SystemExit as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise PluginError(
                f"{at.filename}:{at.lineno}: would have ended the command (SystemExit: {error}): report it to the "
                "plugin's authors"
            ) from error

    return carry_out


def _stdout() -> TextIO:
    return _Results.stream or sys.stdout


def put(content: str | bytes, *, nl: bool = True) -> None:
    """Write to stdout as it is, by default with an end of line."""
    typer.echo(content, file=_stdout(), nl=nl)


def write(text: str) -> None:
    """Text for people, on stdout."""
    put(printable(text))


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return _stdout().isatty()


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None where it is none, and lines may be of any length."""
    if not on_terminal():
        return None
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        return os.get_terminal_size(_stdout().fileno()).columns


def emit(table: Table, form: Format, *, empty: str = "nothing to list") -> None:
    """Write a listing to stdout. An empty text table says `empty` on stderr instead."""
    from qecforge.reporting import tables

    if form is Format.JSON:
        emit_json(tables.to_json(table))
    elif form is Format.CSV:
        put(tables.to_csv(table))
    elif not table.rows:
        say(empty)
    else:
        write(tables.to_text(table, terminal_width()))


def emit_json(document: str) -> None:
    """Write JSON to stdout, in ASCII where its encoding does not have every character."""
    if not (_stdout().encoding or "").lower().startswith("utf"):
        document = re.sub(r"[^\x00-\x7f]", lambda match: json.dumps(match[0])[1:-1], document)
    put(printable(document))


def store_option(store_url: str) -> str:
    """What a command that is printed needs to find the same store, quoted for a shell, passwords masked."""
    return "" if store_url == DEFAULT_STORE else f" --store {shlex.quote(masked(store_url))}"


def raise_failed(outcomes: Sequence[RunOutcome], store_url: str, what: str = "failed") -> None:
    """Raise `RunFailed` where some of the runs failed. It says where the traceback of the first is, if there is one: a
    process that was ended from outside leaves none."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return
    run_id, error = failed[0].run_id, failed[0].error
    count = f"{len(failed)} of {len(outcomes)} runs {what}"
    with open_store(store_url) as store:
        ends = [each.payload for each in store.events(run_id) if each.kind in ("error", "lost")]
    if not (ends and ends[-1].get("traceback")):
        raise RunFailed(f"{count}: {error}")
    show = f"`qecforge runs show {run_id}{store_option(store_url)}`"
    raise RunFailed(f"{count}, the first with {error}; {show} has the traceback")


@contextmanager
def working(what: str, *, seconds: float = 10.0) -> Iterator[None]:
    """Say that long work goes on: a spinner on a terminal, elsewhere a line on stderr every `seconds`. That kernels are
    compiled is said too."""
    with told_of_compilation(lambda: say(COMPILING)), _reminding(what, seconds):
        yield


@contextmanager
def _reminding(what: str, seconds: float) -> Iterator[None]:
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
    """An existing store; a command that only reads does not make one. One of an older schema is migrated first.

    Raises:
        StoreError: There is no store at `url`, or it cannot be opened.
    """
    from qecforge.store import Store

    try:
        return Store(url, read_only=not write, create=False)
    except OlderSchema:
        say("the store is of an older schema; it is migrated")
        Store(url, create=False).close()
    return Store(url, read_only=True, create=False)
