"""`qecforge tasks`: each module of this folder whose name has no leading underscore adds its command.

# cli/check.py
def register(app: typer.Typer) -> None:
    app.command("check")(check)
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import typer

__all__ = ["make_app"]


def make_app() -> typer.Typer:
    """The group with the commands of all modules here, in the order of their names."""
    app = typer.Typer(
        help="Tasks for models that write Qiskit: check, evaluate, replay.", no_args_is_help=True, rich_markup_mode=None
    )

    @app.callback()
    def _group() -> None:
        """Tasks for models that write Qiskit: check, evaluate, replay."""

    for name in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        if not name.startswith("_"):
            import_module(f"{__name__}.{name}").register(app)
    return app
