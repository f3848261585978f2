"""`qecforge decoders` and `qecforge steering`: what a laboratory does with circuits and recorded events."""

from __future__ import annotations

import typer

from qecforge_surface_steering.cli.fit import fit
from qecforge_surface_steering.cli.tag import tag

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add both groups."""
    decoders = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

    @decoders.callback()
    def _decoders() -> None:
        """Priors for decoders, fitted to recorded detection events."""

    decoders.command("fit")(fit)
    app.add_typer(decoders, name="decoders")
    steering = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

    @steering.callback()
    def _steering() -> None:
        """Prepare circuits for steering."""

    steering.command("tag")(tag)
    app.add_typer(steering, name="steering")
