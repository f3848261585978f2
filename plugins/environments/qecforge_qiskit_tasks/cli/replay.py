"""`qecforge tasks replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say
from qecforge.reporting.tables import Column, Table
from qecforge_qiskit_tasks.cli._transcripts import TRANSCRIPTS, TranscriptsOption

__all__ = ["register"]

OTHER = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of a transcript, or its first characters.")],
    transcripts: TranscriptsOption = TRANSCRIPTS,
    form: FormatOption = Format.TABLE,
) -> None:
    """Run a program of the transcripts again and compare its verdict, tests and versions with the stored ones.

    Exit code 1 if they differ."""
    from qecforge.errors import ConfigurationError
    from qecforge_qiskit_tasks.replaying import replayed

    try:
        found = transcripts.is_file()
    except (OSError, ValueError):  # a name that no file can have
        found = False
    if not found:
        raise ConfigurationError(f"--transcripts: there is no file {transcripts}; give the file that the report names")
    rows = replayed(key, transcripts)
    columns = (Column("what"), Column("before"), Column("now"), Column("same"))
    emit(Table(columns, [{**row, "same": "yes" if row["same"] else "no"} for row in rows]), form)
    if not all(row["same"] for row in rows):
        say("the result differs from the stored one")
        raise typer.Exit(OTHER)
