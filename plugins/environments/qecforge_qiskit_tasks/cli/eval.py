"""`qecforge tasks eval`: how often a model solves tasks."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, emit_json, on_terminal, open_store, put, say, write
from qecforge.errors import ConfigurationError, InfrastructureError, Interrupted

if TYPE_CHECKING:
    from qecforge.reporting.tables import Table
    from qecforge.store import Run, Store
    from qecforge_qiskit_tasks.evaluation.evaluating import Plan
    from qecforge_qiskit_tasks.evaluation.models import ModelName, Sampling
    from qecforge_qiskit_tasks.evaluation.report import Report
    from qecforge_qiskit_tasks.judging import JudgeConfig

__all__ = ["register"]

SAMPLES, KS = 20, (1, 10)
PROGRESS_SECONDS = 10.0


class ReportFormat(StrEnum):
    """How a report is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"


class PromptName(StrEnum):
    """What a model is given."""

    STANDARD = "standard"
    HARD = "hard"


class Api(StrEnum):
    """How a server is asked."""

    CHAT = "chat"
    COMPLETIONS = "completions"


class ProfileName(StrEnum):
    """How programs are isolated."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(evaluate_tasks)


def evaluate_tasks(
    tasks: Annotated[
        str | None,
        typer.Argument(metavar="TASKS", help="File or folder of tasks, `shipped`, or the id of a data set on a hub."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model: http://HOST:PORT/v1#NAME, hf:PATH, run:ID or file:SAMPLES.jsonl."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("-n", help=f"Completions of each task. Default: {SAMPLES}; for a file, as many as it has."),
    ] = None,
    ks: Annotated[
        str | None, typer.Option("-k", metavar="K,...", help="Values of k for pass@k. Default: 1,10 as far as k <= n.")
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Sampling temperature; 0: greedy decoding.")
    ] = 0.8,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Maximum number of tokens of a completion.")] = 1024,
    prompt: Annotated[
        PromptName, typer.Option("--prompt", help="standard: code to continue; hard: a description in words.")
    ] = PromptName.STANDARD,
    attempts: Annotated[
        int, typer.Option("--attempts", help="2: after a failure, the model is asked once more and shown the error.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed for sampling.")] = 0,
    api: Annotated[
        Api, typer.Option("--api", help="Interface of the server; completions is for base models.")
    ] = Api.CHAT,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", help="Number of requests at the same time; for a local model, prompts in a batch."
        ),
    ] = 8,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer of the server.")] = 300.0,
    requests: Annotated[int, typer.Option("--requests", help="Maximum number of attempts at a request.")] = 6,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            help="Report (JSON file) or id of an evaluation to compare with. Without TASKS, give it twice.",
        ),
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option("--cells", help="Number of programs that run at the same time. Default: one for each core."),
    ] = None,
    profile: Annotated[
        ProfileName, typer.Option("--profile", help="How programs are isolated. landlock: without namespaces; weaker.")
    ] = ProfileName.BUBBLEWRAP,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run all programs, also those that were run before.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete the stored completions and start again.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write the report and the completions to.")
    ] = None,
    store_url: StoreOption = DEFAULT_STORE,
    form: Annotated[ReportFormat, typer.Option("--format", help="Format of the report.")] = ReportFormat.TABLE,
) -> None:
    """Evaluate a model on tasks: sample completions, run their tests, and print pass@k with 95 % intervals.

    Completions are stored one by one: after an interruption the same command continues, and judges nothing twice.
    """
    others = compare or []
    if tasks is None or model is None:
        if tasks is not None or model is not None or len(others) != 2:
            raise ConfigurationError(
                "eval: TASKS and --model are needed, or two --compare without them; "
                "such as `qecforge tasks eval shipped --model http://127.0.0.1:8000/v1#NAME`"
            )
        _compare_filed(others, store_url, form)
        return
    from qecforge.store import Store
    from qecforge_qiskit_tasks.evaluation.models import Sampling, parse_model
    from qecforge_qiskit_tasks.judging import JudgeConfig

    named = parse_model(model)
    sampling = Sampling(temperature, max_tokens, api.value, concurrency, timeout, requests)
    config = JudgeConfig(prompt=prompt.value, cells=cells, profile=profile.value, compare=False)
    with Store(store_url) as store:
        against = [(each, _found_report(each, store)) for each in others]
        plan, given = _plan(tasks, named, samples, _numbers(ks), prompt.value, attempts, seed)
        run, report = _evaluated(store, plan, named, given, sampling, config, force=force, cached=not no_cache)
        if out is not None:
            _write_files(store, run, out)
    comparisons = [_comparison((f"run {run.id}", report), other) for other in against]
    _show(report, comparisons, form)
    say(f"filed as run {run.id}")


def _evaluated(
    store: Store,
    plan: Plan,
    named: ModelName,
    given: dict[str, list[str]] | None,
    sampling: Sampling,
    config: JudgeConfig,
    *,
    force: bool,
    cached: bool,
) -> tuple[Run, Report]:
    from qecforge_qiskit_tasks.evaluation.carrying_out import carry_out

    try:
        return carry_out(store, plan, named, given, sampling, config, anew=force, cached=cached, progress=_progress())
    except (InfrastructureError, KeyboardInterrupt) as error:
        command = shlex.join(["qecforge", *(each for each in sys.argv[1:] if each != "--force")])
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"interrupted; what was drawn is kept, and `{command}` goes on") from None
        raise type(error)(f"{error}; what was drawn is kept, and `{command}` goes on") from None


def _plan(
    tasks: str,
    named: ModelName,
    samples: int | None,
    ks: tuple[int, ...] | None,
    kind: str,
    attempts: int,
    seed: int,
) -> tuple[Plan, dict[str, list[str]] | None]:
    """What is evaluated, and the completions of a file."""
    from qecforge_qiskit_tasks.evaluation.evaluating import Plan
    from qecforge_qiskit_tasks.evaluation.models import read_samples
    from qecforge_qiskit_tasks.tasks import load_tasks

    loaded = load_tasks(tasks)
    given = None
    if named.kind == "file":
        given = read_samples(Path(named.place), [task.id for task in loaded], samples)
        samples = len(next(iter(given.values())))
        if attempts > 1:
            raise ConfigurationError("--attempts: a file of completions has no second attempts; give another --model")
    count = SAMPLES if samples is None else samples
    chosen = ks if ks is not None else tuple(k for k in KS if k <= max(1, count))
    name = Path(tasks).name.partition(".")[0] or tasks
    return Plan(name, loaded, count, chosen, "hard" if kind == "hard" else "standard", attempts, seed), given


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\s*\d{1,6}\s*(,\s*\d{1,6}\s*)*", text, re.ASCII):
        raise ConfigurationError(f"-k: got {text[:60]!r}, expected numbers such as 1,10")
    return tuple(sorted({int(each) for each in text.split(",")}))


def _progress() -> Callable[[str, int, int], None]:
    """Says how far it is, every ten seconds."""
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"{what}: {done:,} of {total:,}")

    return tell


def _found_report(reference: str, store: Store) -> Report:
    from qecforge_qiskit_tasks.evaluation.filing import report_of_run
    from qecforge_qiskit_tasks.evaluation.report import read_report

    return report_of_run(store, reference) if _is_id(reference) else read_report(Path(reference))


def _is_id(reference: str) -> bool:
    """Whether it is to be looked up in the store; a file of that name comes first."""
    return bool(re.fullmatch(r"[0-9a-f]{1,64}", reference)) and not Path(reference).exists()


def _compare_filed(references: Sequence[str], store_url: str, form: ReportFormat) -> None:
    if not any(map(_is_id, references)):
        from qecforge_qiskit_tasks.evaluation.report import read_report

        first, second = ((each, read_report(Path(each))) for each in references)
    else:
        with open_store(store_url) as store:
            first, second = ((each, _found_report(each, store)) for each in references)
    _show_tables([_comparison(first, second)], form)


def _comparison(first: tuple[str, Report], second: tuple[str, Report]) -> Table:
    from qecforge_qiskit_tasks.evaluation.compare import comparison_table

    return comparison_table(first[1], second[1], (first[0], second[0]))


def _show(report: Report, comparisons: Sequence[Table], form: ReportFormat) -> None:
    from qecforge_qiskit_tasks.evaluation.tables import headline, report_tables, to_markdown_report

    if form is ReportFormat.JSON:
        if not comparisons:
            put(report.to_json(), nl=False)
            return
        from qecforge.reporting.tables import to_json

        told = [{"title": each.title, "rows": json.loads(to_json(each))} for each in comparisons]
        emit_json(json.dumps({"report": report.model_dump(mode="json"), "comparisons": told}, indent=1))
    elif form is ReportFormat.MARKDOWN:
        write(to_markdown_report(report))
        _show_tables(comparisons, form)
    else:
        for line in headline(report):
            write(line)
        write("")
        _show_tables([*report_tables(report), *comparisons], form)


def _show_tables(tables: Sequence[Table], form: ReportFormat) -> None:
    from qecforge.cli._output import terminal_width
    from qecforge.reporting import tables as writing

    for table in tables:
        if form is ReportFormat.JSON:
            emit_json(writing.to_json(table))
        elif form is ReportFormat.MARKDOWN:
            write(f"## {table.title}\n\n{writing.to_markdown(table)}\n")
        else:
            write(writing.to_text(table, terminal_width() if on_terminal() else None) + "\n")


def _write_files(store: Store, run: Run, out: Path) -> None:
    from qecforge.machine.files import why_not, write_whole
    from qecforge_qiskit_tasks.evaluation.filing import KIND

    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in store.artifacts(run.id, kind=KIND):
            write_whole(out / each.name, store.read_artifact(each))
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({why_not(error)}); give another folder") from None
