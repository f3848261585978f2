"""`qecforge reproduce`: a paper's experiments, its tables and figures, ours beside theirs."""

from __future__ import annotations

import typer

from qecforge_apq.reproduction.spec import apq
from qecforge_surface_steering.reproduction.spec import steering

__all__ = ["app"]

app = typer.Typer(
    help="A paper's experiments and tables, ours beside theirs.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """A paper's experiments and tables, ours beside theirs."""


app.command("apq")(apq)
app.command("steering")(steering)
