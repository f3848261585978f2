"""`qecforge runs figures`: pictures of what a run left in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, open_store

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `qecforge runs`."""
    app.command("figures")(draw_figures)


def draw_figures(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the beginning of it.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw what a steered run recorded: detection rates on the code's layout before and after, parameters beside their
    optimum, detection and logical error rates over time. Prints the files written."""
    from qecforge_surface_steering.views.run_figures import write_run_figures

    with open_store(store) as opened:
        written = write_run_figures(opened, opened.run(run), out)
    typer.echo("\n".join(map(str, written)))
