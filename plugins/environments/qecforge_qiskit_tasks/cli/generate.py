"""`qecforge tasks generate`: tasks by the thousand, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import say, working

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)


def generate(
    out: Annotated[Path, typer.Option("--out", help="File to write, as JSON lines; each task names its split.")],
    count: Annotated[int, typer.Option("--count", min=1, max=50_000, help="Tasks of all splits together.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same tasks.")] = 0,
) -> None:
    """Compose tasks of two or three operations; `test` has pairs of operations that `train` never has together."""
    from qecforge.errors import ConfigurationError
    from qecforge_qiskit_tasks.generator import GeneratorConfig, generate_tasks

    if not out.parent.is_dir():
        raise ConfigurationError(f"--out: there is no folder {out.parent}; make it first")
    with working("composing tasks"):
        generated = generate_tasks(GeneratorConfig(count=count, seed=seed))
    try:
        out.write_text("".join(task.model_dump_json() + "\n" for task in generated.tasks), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({error.strerror})") from error
    sizes = ", ".join(f"{len(ids)} {split}" for split, ids in generated.splits.items())
    say(f"wrote {len(generated.tasks)} tasks to {out}: {sizes}")
