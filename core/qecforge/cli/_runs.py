"""`qecforge runs`: what was run, how it went, how runs compare, what policy each left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._evaluations.evaluate import evaluate_runs
from qecforge.cli._output import (
    DEFAULT_STORE,
    Format,
    FormatOption,
    StoreOption,
    emit,
    emit_json,
    on_terminal,
    open_store,
    put,
    say,
    terminal_width,
    write,
)
from qecforge.errors import ConfigurationError, StoreError
from qecforge.machine.files import size_words, why_not, write_whole
from qecforge.reporting.tables import (
    Column,
    Table,
    duration,
    interval,
    number,
    percent,
    plain,
    point,
    to_json_object,
    to_text,
)

if TYPE_CHECKING:
    from torch import nn

    from qecforge.store import Artifact, Run, Store

__all__ = ["app"]

app = typer.Typer(
    help="List, show, compare and delete runs; export their policies.", no_args_is_help=True, rich_markup_mode=None
)

COLUMNS = (
    Column("id", "run"),
    Column("name"),
    Column("seed", show=plain, justify="right"),
    Column("status"),
    Column("environment", minor=True),
    Column("reward", show=lambda value: value or "native", minor=True),
    Column("agent", minor=True),
    Column("quantizer", minor=True),
    Column("sweep_point", "sweep", show=point),
    Column("started_at", "started (UTC)", show=lambda value: (value or "")[:19].replace("T", " "), minor=True),
    Column("seconds", "took", show=duration, justify="right"),
    Column("phase", detail=True),
    Column("created_at", detail=True),
    Column("ended_at", detail=True),
    Column("error", detail=True),
)

METRICS = (
    Column("metric"),
    Column("first"),
    Column("last"),
    Column("least"),
    Column("greatest"),
    Column("steps", "last step"),
)

COMPARISONS = (
    Column("group"),
    Column("metric"),
    Column("runs"),
    Column("mean"),
    Column("std"),
    Column("interval", show=interval),
    Column("confidence", detail=True),
    Column("low", detail=True),
    Column("high", detail=True),
    Column("missing"),
    Column("unfinished"),
    Column("repeated_seeds", "repeated seeds"),
    Column("values", detail=True),
)


class Status(StrEnum):
    """How far a run is."""

    PENDING = "pending"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


class PolicyFormat(StrEnum):
    """How a policy is written."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    FILES = "files"


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or its first characters.")]


@app.command("list")
def list_runs(
    store: StoreOption = DEFAULT_STORE,
    name: Annotated[str | None, typer.Option("--name", help="Only runs whose manifest has this name.")] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only runs with this status.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", help="Only runs in this environment.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only runs of this agent.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Only runs with this seed.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Maximum number of rows.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the runs in the store, newest first."""
    with open_store(store) as opened:
        runs = opened.runs(
            name=name,
            status=status.value if status else None,
            environment=environment,
            agent=agent,
            seed=seed,
            limit=limit,
        )
    emit(Table(COLUMNS, [run.row() for run in runs]), form, empty="no run matches")


@app.command("show")
def show_run(run: RunArgument, store: StoreOption = DEFAULT_STORE, form: FormatOption = Format.TABLE) -> None:
    """Show one run: status, metrics, codes, artifacts, versions and machine, manifest."""
    with open_store(store) as opened:
        record = opened.run(run)
        if form is Format.CSV:
            emit(Table(COLUMNS, [record.row()]), form)
        elif form is Format.JSON:
            emit_json(to_json_object(_everything(opened, record)))
        else:
            write("\n".join(_lines(opened, record)))


@app.command("compare")
def compare_runs(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Ids of two or more runs, or their first characters.")
    ],
    metric: Annotated[
        str, typer.Option("--metric", help="Name of a metric, or of a number that an evaluation of the policy gave.")
    ],
    confidence: Annotated[
        float, typer.Option("--confidence", help="Confidence level of the Student's t interval of the mean.")
    ] = 0.95,
    store: StoreOption = DEFAULT_STORE,
    form: FormatOption = Format.TABLE,
) -> None:
    """Compare the last value of a metric between groups of runs.

    Runs of one group differ by the seed alone. Runs that are not finished and repeated seeds are included in the mean,
    and named.
    """
    with open_store(store) as opened:
        if len({opened.run(each).id for each in runs}) < 2:
            raise ConfigurationError("compare: got one run, expected two or more; `qecforge runs show` shows one")
        groups = opened.compare(runs, metric, confidence=confidence)
    rows = [
        {
            **group.row(),
            "interval": [group.low, group.high],
            "confidence": group.confidence,
            "values": dict(group.values),
        }
        for group in groups
    ]
    emit(Table(COMPARISONS, rows, title=f"interval: Student's t, {percent(confidence)}"), form)
    for line in (note for group in groups for note in group.notes()):
        say(line)


app.command("evaluate")(evaluate_runs)


@app.command("delete")
def delete_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids of the runs, or their first characters.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Delete runs, their metrics and artifacts, and the codes that no other run found."""
    from qecforge.runs.execute import delete_run

    with open_store(store, write=True) as opened:
        chosen = {record.id: record for record in map(opened.run, runs)}
        if not yes:
            write(to_text(Table(COLUMNS, [record.row() for record in chosen.values()]), terminal_width()))
            typer.confirm(f"Delete {len(chosen)} run(s)?", abort=True)
        for run_id in chosen:
            delete_run(opened, run_id)
    write(f"deleted: {', '.join(chosen)}")


@app.command("export-policy")
def export_policy(
    run: RunArgument,
    form: Annotated[
        PolicyFormat,
        typer.Option(
            "--format",
            help="onnx: for ONNX runtimes; safetensors: for qecforge; files: all files of the policy, in a folder.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PATH", help="File to write, or folder with --format files. Default: standard output."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Export the policy of a run: the integer policy if the run has a quantizer, otherwise the float policy."""
    if form is PolicyFormat.FILES and out is None:
        raise ConfigurationError("--out: is missing; --format files writes a folder: give its name")
    if out is None and on_terminal():
        raise ConfigurationError(
            "--out: a policy is binary and is not written to a terminal: give a file, or redirect the output"
        )
    from qecforge.runs.policies import left_no_policy

    with open_store(store) as opened:
        record = opened.run(run)
        found = opened.artifacts(record.id, kind="quantized") or opened.artifacts(record.id, kind="policy")
        if not found:
            raise StoreError(left_no_policy(record))
        if form is PolicyFormat.FILES:
            contents = {each.name: opened.read_artifact(each) for each in found}
        else:
            content = _policy_content(opened, record, found, form)
    if out is None:
        put(content, nl=False)
        return
    if form is PolicyFormat.FILES:
        _write_folder(out, contents, force)
        size = sum(map(len, contents.values()))
        say(f"{out}: {', '.join(contents)} of the policy of run {record.id}, {size_words(size)}")
        return
    _write(out, content, force)
    say(f"{out}: {form.value} of the policy of run {record.id}, {size_words(len(content))}")


def _write_folder(folder: Path, contents: Mapping[str, bytes], force: bool) -> None:
    """All of the files, or none where one of them is there already."""
    try:
        taken = [folder / name for name in contents if (folder / name).exists()]
        if not taken or force:
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--out: {folder} cannot be used as a folder ({why_not(error)}); name another one"
        ) from error
    if taken and not force:
        raise ConfigurationError(f"--out: {taken[0]} exists; replace it with --force, or name another folder")
    for name, content in contents.items():
        _write(folder / name, content, force)


def _write(path: Path, content: bytes, force: bool) -> None:
    try:
        write_whole(path, content, replace=force)
    except FileExistsError:
        raise ConfigurationError(f"--out: {path} exists; replace it with --force, or name another file") from None
    except OSError as error:
        raise ConfigurationError(f"--out: {path} cannot be written ({error.strerror}); name another file") from error


def _policy_content(store: Store, run: Run, found: Sequence[Artifact], form: PolicyFormat) -> bytes:
    """The integer policy's file or, where the run has none, the float one's."""
    if len(found) > 1 or not found[0].name.endswith(".safetensors"):
        names = ", ".join(each.name for each in found)
        raise ConfigurationError(
            f"run {run.id}: its policy is several files ({names}), and {form.value} is one: use --format files"
        )
    content = store.read_artifact(found[-1])
    if form is PolicyFormat.SAFETENSORS:
        return content

    from qecforge.inference.policy import load_quantized
    from qecforge.inference.runtimes.onnx_model import float_model, qdq_model

    quantized = found[-1].kind == "quantized"
    if quantized:
        policy = load_quantized(content)
        if policy.head is not None:
            raise ConfigurationError(
                f"run {run.id}: its integers give continuous actions, whose range and normalisation an ONNX model here "
                "does not hold: use --format safetensors"
            )
        model = qdq_model(policy.mlp)
    else:
        model = float_model(_float_network(store, run))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _float_network(store: Store, run: Run) -> nn.Module:
    from qecforge.contracts.policy import Policy
    from qecforge.registry import Registry
    from qecforge.runs.policies import kept_files, policy_of_run

    policy = policy_of_run(run, kept_files(store, run.id), Registry.load())
    if not isinstance(policy, Policy):
        raise ConfigurationError(
            f"run {run.id}: its policy generates text and cannot be written as ONNX: use --format files"
        )
    try:
        return policy.module
    except ConfigurationError as error:
        raise ConfigurationError(f"run {run.id}: {error}, or use --format safetensors") from error


def _everything(store: Store, run: Run) -> dict[str, Any]:
    """All that the store knows of a run, for programs."""
    return {
        **run.row(),
        "identity": run.identity,
        "manifest": json.loads(run.manifest),
        "manifest_source": run.manifest_source,
        "provenance": dict(run.provenance),
        "metrics": {row["metric"]: row for row in _metric_rows(store, run.id)},
        "codes": [record.row() for record in store.codes(run=run.id, order_by=("-distance", "gate_count"))],
        "policy_evaluations": {each.name: dict(each.values) for each in store.policy_evaluations(run.id)},
        "artifacts": [artifact.row() for artifact in store.artifacts(run.id)],
        "events": [event.row() for event in store.events(run.id)],
    }


def _lines(store: Store, run: Run) -> list[str]:
    from qecforge.cli._render import codes_table

    reward, width = run.reward or "native", terminal_width()
    lines = [
        f"run {run.id}: {run.name}, seed {run.seed}",
        f"{run.status}{f' in phase {run.phase}' if run.phase and run.status != 'finished' else ''}"
        f"{f', after {duration(run.seconds)}' if run.seconds is not None else ''}"
        f"{f': {run.error}' if run.error else ''}",
        f"environment {run.environment}, reward {reward}, agent {run.agent}"
        f"{f', quantizer {run.quantizer}' if run.quantizer else ''}",
    ]
    lines += [f"{path} = {value}" for path, value in sorted(run.sweep_point.items())]
    lines += _provenance_lines(run)
    if metrics := _metric_rows(store, run.id):
        lines += ["", "metrics", to_text(Table(METRICS, _folded(metrics)), width)]
    if evaluations := store.policy_evaluations(run.id):
        lines += ["", "evaluations of the policy"]
        lines += [f"    {name} = {number(value)}" for each in evaluations for name, value in each.values.items()]
    if codes := store.codes(run=run.id, order_by=("-distance", "gate_count"), limit=10):
        lines += ["", "codes, best first", to_text(codes_table(codes), width)]
    if artifacts := store.artifacts(run.id):
        lines += ["", "artifacts", *(f"    {each.kind} {each.name}, {size_words(each.size)}" for each in artifacts)]
    for event in store.events(run.id):
        lines += ["", f"{event.kind} at {event.created_at:%Y-%m-%d %H:%M:%S} UTC", *_event_lines(event.payload)]
    return [
        *lines,
        "",
        "manifest, as in its file (--format json shows it with the values of --set)",
        run.manifest_source.rstrip(),
    ]


FAMILY = 8
"""Series of one family, alike but for the last part of their names, from which on they share a line."""


def _folded(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Large families of metrics as one row each: their number, and the least and greatest of all."""
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["metric"].rpartition("/")[0], []).append(row)
    found = []
    for family, members in families.items():
        if not family or len(members) < FAMILY:
            found += members
            continue
        found.append(
            {
                "metric": f"{family}/… ({len(members)} of these: --format json)",
                "least": min(row["least"] for row in members),
                "greatest": max(row["greatest"] for row in members),
                "steps": max(row["steps"] for row in members),
            }
        )
    return found


def _metric_rows(store: Store, run_id: str) -> list[dict[str, Any]]:
    import numpy as np

    rows = []
    for name in store.metric_names(run_id):
        series = store.metrics(run_id, name)
        known = series.value[~np.isnan(series.value)]
        if len(known):
            rows.append(
                {
                    "metric": name,
                    "first": float(known[0]),
                    "last": float(known[-1]),
                    "least": float(known.min()),
                    "greatest": float(known.max()),
                    "steps": int(series.step[-1]),
                }
            )
    return rows


def _provenance_lines(run: Run) -> list[str]:
    known = ((name, value) for name, value in run.provenance.items() if value is not None)
    return [f"{name} {plain(value)}" for name, value in known if not isinstance(value, (dict, list))]


def _event_lines(payload: Any) -> list[str]:
    lines: list[str] = []
    for name, value in payload.items():
        text = str(value).rstrip()
        lines += text.split("\n") if "\n" in text else [f"    {name}: {text}"]
    return lines
