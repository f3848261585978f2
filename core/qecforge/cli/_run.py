"""`qecforge run`, `validate` and `schema`: from a manifest to codes in the store."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._evaluations.shots import enough_shots
from qecforge.cli._output import (
    DEFAULT_STORE,
    OPTIONS,
    Format,
    FormatOption,
    StoreOption,
    emit,
    emit_json,
    open_store,
    raise_failed,
    say,
    store_option,
    terminal_width,
    write,
)
from qecforge.errors import ConfigurationError
from qecforge.evaluation.built_in import SEARCH
from qecforge.executors import DEFAULT_EXECUTOR, EXECUTORS, make_executor
from qecforge.executors.listeners import SeveralListeners, opened_listeners
from qecforge.reporting.tables import Column, Table, plain, point

if TYPE_CHECKING:
    from qecforge.manifest import Manifest, RunPlan
    from qecforge.runs.listener import RunOutcome
    from qecforge.store import CodeRecord, Run

__all__ = ["SetOption", "register", "report"]

OTHER_CODES = 10

PLANS = (
    Column("run"),
    Column("name"),
    Column("seed", show=plain, justify="right"),
    Column("environment"),
    Column("reward"),
    Column("agent"),
    Column("quantizer"),
    Column("sweep", show=point),
    Column("evaluations", show=lambda names: ", ".join(names)),
    Column("in_store", "in the store"),
    Column("identity", detail=True),
)

ManifestArgument = Annotated[Path, typer.Argument(metavar="MANIFEST", help="The manifest, a YAML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a value of the manifest, such as agent.total_steps=1000; can be repeated.",
    ),
]


AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PATH",
        help="A file or folder outside the manifest's folder that the manifest may read; can be repeated.",
    ),
]


def _known(name: str) -> str:
    make_executor(name)
    return name


ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar=f"<{'|'.join(EXECUTORS)}>",
        callback=_known,
        help="; ".join(f"{name}: {kind.summary}" for name, kind in EXECUTORS.items()) + ".",
    ),
]


ExecutorOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--executor-option",
        metavar="NAME=VALUE",
        help="Set an option of the executor; can be repeated. "
        + ". ".join(
            f"{name}: {', '.join(kind.options.model_fields)}"
            for name, kind in EXECUTORS.items()
            if kind.options.model_fields
        )
        + ".",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("run")(run)
    app.command("validate")(validate)
    app.command("schema")(schema)


def run(
    manifest: ManifestArgument,
    store: StoreOption = DEFAULT_STORE,
    executor: ExecutorOption = DEFAULT_EXECUTOR,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Number of processes; default: one for each core.")
    ] = None,
    executor_options: ExecutorOptionsOption = None,
    overrides: SetOption = None,
    listeners: Annotated[
        list[str] | None,
        typer.Option(
            "--listener",
            metavar="NAME[:FIELD=VALUE,...]",
            help="Report the progress of the runs to a listener, such as a tracker of experiments; can be repeated.",
        ),
    ] = None,
    allow: AllowOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start every run again from the beginning, finished ones too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and stop.")] = False,
    show: Annotated[int, typer.Option("--show", min=0, help="Number of codes to print in full, best first.")] = 1,
    form: FormatOption = Format.TABLE,
) -> None:
    """Carry out the runs of a manifest.

    Finished runs are skipped; interrupted and failed runs are resumed.

    --format: of the table of the codes found or, with --dry-run, of the runs.
    """
    from qecforge.cli._progress import show_progress
    from qecforge.executors import run_manifest
    from qecforge.registry import Registry
    from qecforge.runs.listener import RunOptions

    if show != 1 and form is not Format.TABLE:
        raise ConfigurationError("--show and --format exclude each other: leave one of them out")
    from qecforge.manifest import load_manifest

    of_executor = _pairs(executor_options or ())
    make_executor(executor, workers, of_executor)
    registry = Registry.load()
    loaded = load_manifest(manifest, registry=registry, overrides=overrides or (), allow=allow or ())
    if dry_run:
        emit(_plans(loaded, _states(loaded.runs(), store, force)), form)
        return
    options = RunOptions(store_url=store, force=force, workers=None if EXECUTORS[executor].parallel else workers)
    if force:  # the same command would begin the runs at step 0 again
        again = _command(
            manifest,
            store_url=store,
            executor=executor,
            workers=workers,
            executor_options=executor_options,
            overrides=overrides,
            listeners=listeners,
            allow=allow,
        )
        options = replace(options, again=f"`{again}` (without --force)")
    with opened_listeners(listeners or (), registry, say) as others, show_progress(force=True) as listener:
        outcomes = run_manifest(
            loaded,
            options=options,
            executor=executor,
            workers=workers,
            executor_options=of_executor,
            listener=SeveralListeners([listener, *others]),
        )
    report(loaded.runs(), outcomes, store, show, form)
    raise_failed(outcomes, store)


def report(
    plans: Sequence[RunPlan], outcomes: Sequence[RunOutcome], store: str, show: int, form: Format = Format.TABLE
) -> None:
    """Print the codes that runs found and what was measured of them.

    Args:
        show: Codes to print in full.
    """
    codes = _codes_of(outcomes, store)
    if form is not Format.TABLE:
        from qecforge.cli._render import codes_table

        emit(codes_table(codes), form)
        return
    _report_policies(plans, outcomes, store)
    _report_views(plans, outcomes, store)
    _report(plans, outcomes, codes, store, show)


def validate(
    manifest: ManifestArgument,
    overrides: SetOption = None,
    allow: AllowOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check a manifest and list its runs. Nothing is run, and no store is opened."""
    from qecforge.manifest import load_manifest
    from qecforge.registry import Registry

    loaded = load_manifest(manifest, registry=Registry.load(), overrides=overrides or (), allow=allow or ())
    emit(_plans(loaded, {}), form)


def schema() -> None:
    """Print the JSON Schema of manifests.

    It covers the installed plugins. Editors use it to complete and check manifests.
    """
    import json

    from qecforge.manifest import manifest_schema
    from qecforge.registry import Registry

    emit_json(json.dumps(manifest_schema(Registry.load()), indent=2, ensure_ascii=False))


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """What `--executor-option` was given, by name."""
    pairs = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigurationError(f"--executor-option: got {each!r}, expected NAME=VALUE, such as num_cpus=2")
        pairs[name.strip()] = value.strip()
    return pairs


def _command(manifest: Path, **given: Any) -> str:
    """The command line that carries out the same runs without --force.

    Args:
        given: By the names of `OPTIONS`; what is as by default is left out.
    """
    defaults = {"store_url": DEFAULT_STORE, "executor": DEFAULT_EXECUTOR}
    words = ["qecforge", "run", str(manifest)]
    for name, value in given.items():
        if value is not None and value != defaults.get(name):
            for each in value if isinstance(value, list) else [value]:
                words += [OPTIONS[name], str(each)]
    return shlex.join(words)


def _plans(loaded: Manifest, states: dict[str, str]) -> Table:
    rows: list[dict[str, Any]] = []
    for plan in loaded.runs():
        rows.append(
            {
                "run": plan.identity[:12],
                "name": plan.name,
                "seed": plan.seed,
                "environment": plan.environment.spec.name,
                "reward": plan.reward.spec.name if plan.reward else "native",
                "agent": plan.agent.spec.name,
                "quantizer": plan.quantization.quantizer.spec.name if plan.quantization else None,
                "sweep": dict(plan.sweep_point),
                "evaluations": plan.evaluation.names,
                "in_store": states.get(plan.identity),
                "identity": plan.identity,
            }
        )
    columns = PLANS if states else tuple(column for column in PLANS if column.key != "in_store")
    return Table(columns, rows)


def _states(plans: Sequence[RunPlan], store_url: str, force: bool) -> dict[str, str]:
    """What would be done with each run, by identity. A store that is not there yet is not made."""
    from qecforge.store.engine import parse_url

    url = parse_url(store_url)
    known: dict[str, Run] = {}
    if url.get_backend_name() != "sqlite" or (url.database and Path(url.database).exists()):
        with open_store(store_url) as store:
            known = {run.identity: run for run in store.runs()}
    return {plan.identity: _state(plan, known.get(plan.identity), force) for plan in plans}


def _state(plan: RunPlan, run: Run | None, force: bool) -> str:
    from qecforge.runs.evaluating import missing_evaluations

    if run is None:
        return "new"
    if force or run.status != "finished":
        return f"{run.status}, will be {'run anew' if force else 'resumed'}"
    enough = enough_shots(plan, run)
    if missing := missing_evaluations(plan, run):
        return ", ".join(filter(None, ("finished", enough, f"will be evaluated: {', '.join(missing)}")))
    return f"finished, {enough or 'will be skipped'}"


def _codes_of(outcomes: Sequence[RunOutcome], store_url: str) -> list[CodeRecord]:
    """Codes that these runs found, each once, best first: greatest distance, then fewest gates."""
    found: dict[str, CodeRecord] = {}
    with open_store(store_url) as store:
        for outcome in outcomes:
            for record in store.codes(run=outcome.run_id):
                known = found.get(record.id)
                if known is None or _rank(record) < _rank(known):
                    found[record.id] = record
    return sorted(found.values(), key=_rank)


def _rank(record: CodeRecord) -> tuple[int, int, str]:
    return -record.distance, record.gate_count or 0, record.id


def _report_policies(runs: Sequence[RunPlan], outcomes: Sequence[RunOutcome], store_url: str) -> None:
    """What was measured of the runs' policies: a row for each run that has any of it."""
    from qecforge.cli._render import policies_table
    from qecforge.reporting.tables import to_text

    plans = {plan.identity: plan for plan in runs}
    with open_store(store_url) as store:
        found = [
            (outcome.run_id, plans[outcome.identity], store.policy_evaluations(outcome.run_id)) for outcome in outcomes
        ]
    measured = [each for each in found if each[2]]
    if measured:
        write(f"\npolicies\n{to_text(policies_table(measured), terminal_width())}")


def _report_views(runs: Sequence[RunPlan], outcomes: Sequence[RunOutcome], store_url: str) -> None:
    """The tables of the runs' views, and how to see more of the runs."""
    from qecforge.reporting.tables import to_text
    from qecforge.reporting.views import run_tables, views_of_specs

    plans = {plan.identity: plan for plan in runs}
    of_run = {each.run_id: plans[each.identity] for each in outcomes}
    views = {run_id: views_of_specs(plan.environment.spec, plan.agent.spec) for run_id, plan in of_run.items()}
    with open_store(store_url) as store:
        tables = run_tables(store, views)
    for line in tables.left_out:
        say(line)
    for name, table in tables.found.items():
        write("\n".join(["", *([] if table.title else [name]), to_text(table, terminal_width())]))
    if tables.found:
        run_id = outcomes[0].run_id
        show = f"    qecforge runs show {run_id}{store_option(store_url)}"
        write("\n".join(["", "in the shell", show, _figures_line(run_id, store_url)]))


def _figures_line(run_id: str, store_url: str) -> str:
    return f"    qecforge runs figures {run_id} --out figures{store_option(store_url)}"


def _looks_for_codes(plan: RunPlan) -> bool:
    """Whether the run plays at all where codes can be found: not every environment has any, quantizing a teacher finds
    none."""
    trains = plan.quantization is None or plan.quantization.fine_tuning is not None
    return plan.environment.spec.finds_codes and (trains or plan.evaluation.of(SEARCH) is not None)


def _report(
    runs: Sequence[RunPlan],
    outcomes: Sequence[RunOutcome],
    codes: Sequence[CodeRecord],
    store_url: str,
    show: int,
) -> None:
    """The codes found: the best in full, others in a table."""
    from qecforge.cli._render import code_lines, codes_table, query_lines
    from qecforge.reporting.tables import to_text

    if not codes:
        looked = {plan.identity for plan in runs if _looks_for_codes(plan)}
        if any(outcome.status != "failed" and outcome.identity in looked for outcome in outcomes):
            say("no code was found; try more steps (--set agent.total_steps=N), more gates or other seeds")
        return
    width = terminal_width()
    with open_store(store_url) as store:
        for record in codes[:show]:
            write("\n".join(["", *code_lines(record, store.error_rates(record.id), width=width)]))
    others = codes[show : show + OTHER_CODES]
    if others:
        write(f"\n{len(codes) - show} other codes\n{to_text(codes_table(others), width)}")
    rest = len(codes) - show - len(others)
    run_id = codes[0].run_ids[0]
    if rest > 0:
        write(f"and {rest} more: `qecforge codes list --run {run_id}{store_option(store_url)}`")
    write("\n".join(["", *query_lines(codes[0], store_url), _figures_line(run_id, store_url)]))
