"""`qecforge runs figures`: pictures of what a run left in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, open_store, say, write
from qecforge.errors import StoreError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `qecforge runs`."""
    app.command("figures")(draw_figures)


def draw_figures(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or its first characters.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw the figures of a run and print the names of the files.

    Learning curve, codes over gates, logical error rates with their fit, decisions of a quantized policy, and the
    figures of its environment and its agent.
    """
    from qecforge.registry import Registry
    from qecforge.reporting.views import run_figures, views_of, write_figures

    with open_store(store) as opened:
        record = opened.run(run)
        views, missing = views_of(record, Registry.load())
        figures = run_figures(opened, record, views)
    written = write_figures(figures, record, out) if figures.found else None
    for line in [*missing, *(written or figures).left_out]:
        say(line)
    if written is None or not written.found:
        raise StoreError(
            f"run {record.id} ({record.name}) has nothing to draw: no metrics, no codes, and no figures of its "
            f"plugins (its status is {record.status})"
        )
    write("\n".join(map(str, written.found.values())))
