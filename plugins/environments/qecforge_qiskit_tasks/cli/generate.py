"""`qecforge tasks generate`: many composed tasks, in a file."""

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
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write. Each task names its split.")],
    count: Annotated[int, typer.Option("--count", min=1, max=50_000, help="Number of tasks, over all splits.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same tasks.")] = 0,
) -> None:
    """Compose tasks of two or three operations. Pairs of operations in the split `test` never occur in `train`."""
    from qecforge.errors import ConfigurationError
    from qecforge.machine.files import why_not, write_whole
    from qecforge_qiskit_tasks.generator import GeneratorConfig, generate_tasks

    try:
        if not out.parent.is_dir():
            raise ConfigurationError(f"--out: there is no folder {out.parent}; make it first")
        if out.is_dir():
            raise ConfigurationError(f"--out: {out} is a folder; give the name of a file")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({why_not(error)}); give another file") from error
    with working("composing tasks"):
        generated = generate_tasks(GeneratorConfig(count=count, seed=seed))
    try:
        write_whole(out, "".join(task.model_dump_json() + "\n" for task in generated.tasks).encode())
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({why_not(error)}); give another file") from error
    sizes = ", ".join(f"{len(ids)} {split}" for split, ids in generated.splits.items())
    say(f"wrote {len(generated.tasks)} tasks to {out}: {sizes}")
