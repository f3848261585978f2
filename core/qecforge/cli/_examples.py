"""`qecforge examples` and `init`: manifests to begin with, also where there is no clone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say, write
from qecforge.reporting.tables import Column, Table

__all__ = ["app", "register"]

app = typer.Typer(
    help="See and copy the examples that come with qecforge.", no_args_is_help=True, rich_markup_mode=None
)

EXAMPLES = (Column("example"), Column("summary"))
TEMPLATES = (Column("kind"), Column("summary"))

ForceOption = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


def register(root: typer.Typer) -> None:
    """Add the commands to the application."""
    root.add_typer(app, name="examples")
    root.command("init")(init)


@app.command("list")
def list_all(form: FormatOption = Format.TABLE) -> None:
    """List manifests, circuits and programs."""
    from qecforge.examples import list_examples

    rows = [{"example": str(each.path), "summary": each.summary} for each in list_examples()]
    emit(Table(EXAMPLES, rows), form)
    if form is Format.TABLE:
        say("`qecforge examples copy EXAMPLE` copies one of them, `qecforge examples copy` all")


@app.command("copy")
def copy(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXAMPLE", help="Names of examples, without folder or suffix. Default: all."),
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.")] = Path("examples"),
    force: ForceOption = False,
) -> None:
    """Copy examples into a folder."""
    from qecforge.examples import copy_examples, find_example, list_examples

    chosen = list(dict.fromkeys(find_example(name) for name in names)) if names else list_examples()
    for path in copy_examples(chosen, to, overwrite=force):
        write(str(path))


def init(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="Kind of manifest. Default: list the kinds and stop.")
    ] = None,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="File to write. Default: KIND.yaml.")] = None,
    force: ForceOption = False,
) -> None:
    """Write a manifest with comments, to start from.

    It can be run without changes, in about a minute.
    """
    from qecforge.examples import template_kinds, write_template

    if kind is None:
        rows = [{"kind": name, "summary": summary} for name, summary in template_kinds().items()]
        emit(Table(TEMPLATES, rows), Format.TABLE)
        say("`qecforge init KIND` writes a manifest of that kind")
        return
    path = file or Path(f"{kind}.yaml")
    write_template(kind, path, overwrite=force)
    write(str(path))
    say(f"`qecforge run {shlex.quote(str(path))}` carries it out; `qecforge validate` checks it after a change")
