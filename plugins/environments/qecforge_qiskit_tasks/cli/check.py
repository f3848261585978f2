"""`qecforge tasks check`: whether a set of tasks tells right programs from wrong ones."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._output import Format, FormatOption, emit, emit_json, say
from qecforge_qiskit_tasks.cli._transcripts import TRANSCRIPTS, TranscriptsOption

if TYPE_CHECKING:
    from qecforge_qiskit_tasks.checking.report import SetCheck, TaskCheck

__all__ = ["register"]

NOT_PROVEN = 2
LINE_SECONDS = 10.0
LONGEST = 160


class ProfileName(StrEnum):
    """How programs are isolated."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    tasks: Annotated[
        str,
        typer.Argument(metavar="TASKS", help="File or folder of tasks, `shipped`, or the id of a data set on a hub."),
    ],
    mutants: Annotated[
        int | None,
        typer.Option("--mutants", min=1, max=100_000, help="Maximum number of mutants of each task. Default: all."),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=10_000, help="Number of runs of each reference; all must pass.")
    ] = 20,
    least: Annotated[
        float,
        typer.Option(
            "--least-score", min=0.0, max=1.0, help="Smallest accepted fraction of mutants that the tests fail."
        ),
    ] = 0.95,
    only: Annotated[str | None, typer.Option("--only", help="Only tasks whose id contains this text.")] = None,
    cells: Annotated[
        int | None,
        typer.Option(
            "--cells", min=1, max=4096, help="Number of programs that run at the same time. Default: one for each core."
        ),
    ] = None,
    profile: Annotated[
        ProfileName, typer.Option("--profile", help="How programs are isolated. landlock: without namespaces; weaker.")
    ] = ProfileName.BUBBLEWRAP,
    transcripts: TranscriptsOption = TRANSCRIPTS,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run all programs, also those in the transcripts.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check that tasks tell right from wrong programs: references pass; wrong solutions and mutants fail.

    Mutants that pass, and problems, are listed. Results are kept: the same command continues where it was interrupted.

    Exit code 2 if there is a problem, or the score is below --least-score."""
    from qecforge.errors import ConfigurationError
    from qecforge_qiskit_tasks.checking.check import CheckConfig, check_tasks
    from qecforge_qiskit_tasks.tasks import load_tasks

    chosen = [task for task in load_tasks(tasks) if only is None or only in task.id]
    if not chosen:
        raise ConfigurationError(f"--only: no id of {tasks} has {only!r} in it")
    config = CheckConfig(
        mutants=mutants,
        repeats=repeats,
        least=least,
        cells=cells,
        profile=profile.value,
        transcripts=transcripts,
        read_transcripts=not no_cache,
    )
    found = check_tasks(chosen, config, progress=_progress())
    if form is Format.JSON:
        from qecforge.reporting.tables import to_json_object

        emit_json(to_json_object(_document(found, profile.value)))
    else:
        emit(_table(found, profile.value), form)
        _tell(found, form)
    if not found.holds:
        raise typer.Exit(NOT_PROVEN)


def _progress() -> Any:
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS and done < total:
            last = time.monotonic()
            say(f"checked {done} of {total} tasks")

    return tell


def _document(found: SetCheck, profile: str) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "score": found.score,
        "least_score": found.least,
        "profile": profile,
        "sandbox": found.sandbox,
        **found.totals,
        "problems": list(found.problems),
        "missing": dict(found.missing),
        "tasks": [each.as_row() for each in found.tasks],
    }


def _table(found: SetCheck, profile: str) -> Any:
    from qecforge.reporting.tables import Column, Table

    names = ("task", "reference", "wrong", "mutants", "killed", "equivalent", "score", "judged", "profile", "problems")
    return Table(tuple(Column(each) for each in names), [{**_row(each), "profile": profile} for each in found.tasks])


def _row(task: TaskCheck) -> dict[str, Any]:
    judged = "outside" if task.judged else "in process"
    if task.outside is not None:
        judged += ", could be outside" if task.outside else ", must be"
    elif task.inside is False and task.passes:
        judged += " alone"
    return {
        "task": task.id,
        "reference": f"{task.passes}/{task.repeats}",
        "wrong": f"{task.refused}/{task.wrong}",
        "mutants": task.mutants,
        "killed": task.killed,
        "equivalent": task.equivalent,
        "score": "" if task.score is None else f"{task.score:.0%}",
        "judged": judged,
        "problems": len(task.problems),
    }


def _tell(found: SetCheck, form: Format) -> None:
    from qecforge.cli._output import write

    tell = write if form is Format.TABLE else say
    for task in found.tasks:
        for change in task.survivors:
            tell(f"{task.id} survives: {change if len(change) <= LONGEST else change[: LONGEST - 1] + '…'}")
    for problem in found.problems:
        tell(problem)
    if found.missing:
        tell(
            "not installed (tasks that want it): "
            + ", ".join(f"{name} ({count})" for name, count in found.missing.items())
        )
    totals = found.totals
    tell(
        f"{len(found.tasks)} tasks, references passed {totals['passes']} of {totals['repeats']} times, "
        f"{totals['refused']} of {totals['wrong']} wrong solutions failed, {totals['killed']} of {totals['mutants']} "
        f"mutants killed, {totals['equivalent']} declared equivalent: score {found.score:.1%}, "
        f"{found.least:.0%} wanted; {len(found.problems)} problems"
    )
