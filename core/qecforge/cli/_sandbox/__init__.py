"""`qecforge sandbox`: whether programs that nobody trusts can be run on this machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say
from qecforge.reporting.tables import Column, Table

__all__ = ["app"]

app = typer.Typer(help="The sandbox for untrusted programs.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = (Column("layer"), Column("state"), Column("probe"), Column("remedy"))
NOT_SAFE = 2


class ProfileName(StrEnum):
    """How cells are isolated."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


@app.callback()
def _group() -> None:
    """The sandbox for untrusted programs."""


@app.command("check")
def check(
    profile: Annotated[
        ProfileName,
        typer.Option(
            "--profile",
            help="How programs are isolated. landlock: without namespaces, which some containers forbid; weaker.",
        ),
    ] = ProfileName.BUBBLEWRAP,
    form: FormatOption = Format.TABLE,
) -> None:
    """Test each layer of the sandbox on this machine, and say what to install or to set where one does not work.

    Exit code 2 if a layer is absent; programs are then not run."""
    from qecforge.sandbox.checking import check_layers, sandbox_works
    from qecforge.sandbox.config import Profile

    layers = check_layers(Profile(profile.value))
    rows = [
        {"layer": each.layer, "state": each.state.value, "probe": each.probe, "remedy": each.remedy} for each in layers
    ]
    emit(Table(COLUMNS, rows), form)
    if not sandbox_works(layers):
        if form is Format.TABLE:
            say("programs cannot be isolated here, so the sandbox runs none")
        raise typer.Exit(NOT_SAFE)
