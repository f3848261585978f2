"""`qecforge reproduce`: a command for each paper that a plugin reproduces: its runs, its tables, ours beside theirs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup
from typer.main import get_command

from qecforge.cli._output import (
    DEFAULT_STORE,
    Format,
    FormatOption,
    StoreOption,
    emit,
    open_store,
    raise_failed,
    say,
    shielded,
    store_option,
    terminal_width,
    working,
    write,
)
from qecforge.errors import ConfigurationError, UserError, one_line
from qecforge.reporting.tables import Column, Table, to_text

if TYPE_CHECKING:
    from qecforge.contracts.config import PluginConfig
    from qecforge.contracts.options import CommandOption
    from qecforge.contracts.reproduction import PlannedRun, ReproductionSpec
    from qecforge.registry import Registered, Registry
    from qecforge.runs.listener import RunOutcome

__all__ = ["app"]

COLUMNS = (Column("name"), Column("summary"), Column("source"), Column("distribution", detail=True))

RESUMES = "Finished runs in the store are not repeated: the same command resumes, and more seeds are added to them."


class Reproductions(TyperGroup):
    """The group whose commands are the reproductions that are installed."""

    @cached_property
    def registry(self) -> Registry:
        """The plugins, loaded when a command is asked for."""
        from qecforge.registry import Registry

        return Registry.load()

    def list_commands(self, ctx: Any) -> list[str]:
        """By name."""
        return list(self.registry.reproductions)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of one. Raises `PluginError` where there is none of this name, or two."""
        return _command_of(self.registry.reproduction(cmd_name).spec, self.registry)

    def built_in(self) -> dict[str, Any]:
        """The commands that come with qecforge."""
        own = {name: each for name, each in self.registry.reproductions.items() if each.distribution == "qecforge"}
        return {name: _command_of(each.spec, self.registry) for name, each in own.items()}


app = typer.Typer(cls=Reproductions, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _list(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Repeat the experiments of a paper and print its tables, our numbers beside the paper's.

    Without COMMAND: list the papers.
    """
    if context.invoked_subcommand is None:
        from qecforge.registry import Registry

        rows = [_listed(found) for found in Registry.load().reproductions.values()]
        emit(Table(COLUMNS, rows), form, empty="no reproduction is installed")


def _listed(found: Registered[ReproductionSpec]) -> dict[str, str]:
    spec = found.spec
    return {"name": spec.name, "summary": spec.summary, "source": spec.source, "distribution": found.distribution}


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The options that every reproduction has."""

    quick: bool
    store: str
    seeds: int | None
    out: Path | None
    workers: int | None
    overrides: list[str] | None
    dry_run: bool
    tables_only: bool
    records: Path | None = None

    def __post_init__(self) -> None:
        if self.dry_run and self.tables_only:
            raise ConfigurationError("--dry-run and --tables-only: choose one of them")
        if self.out is not None:
            from qecforge.reporting.figures import require_matplotlib

            require_matplotlib()


def _command_of(spec: ReproductionSpec, registry: Registry) -> Any:
    """The command of a reproduction: the options that all have, and its own between them."""
    from qecforge.contracts.options import command_options

    own = command_options(spec.options)

    def command(context: typer.Context, **given: Any) -> None:
        texts = {option.name: given.pop(_parameter_of(option)) for option in own}
        options, asked = _options(context, spec, own, texts), _Asked(**given)
        try:
            shielded(_reproduce)(spec, registry, options, asked)
        except UserError as error:
            if error.parameter != "force":
                raise
            raise UserError(_without_force(error, asked.store)) from error

    parameters = {"context": (typer.Context, inspect.Parameter.empty), **_parameters(spec, own)}
    signature = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in parameters.items()
    ]
    command.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__doc__ = f"{spec.summary.rstrip('.')}.\n\n{RESUMES}\n\nSource: {spec.source.rstrip('.')}."
    application = typer.Typer(add_completion=False, rich_markup_mode=None)
    application.command(spec.name)(command)
    return get_command(application)


def _without_force(error: UserError, store: str) -> str:
    """What a message advises by `force`, which this command does not have, by what it does have."""
    again = f"`qecforge runs delete RUN{store_option(store)}`, then this command again"
    return str(error).replace("start the run anew with `force`", f"start the run anew: {again}")


def _parameters(spec: ReproductionSpec, own: Sequence[CommandOption]) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of each, in the order of the help page."""
    from qecforge.contracts.reproduction import MAX_SEEDS

    seeds = f"Number of seeds, 0..N-1. Default: {spec.seeds}; with --quick: {spec.quick_seeds}."
    return {
        "quick": (Annotated[bool, typer.Option("--quick", help=f"{spec.quick.rstrip('.')}.")], False),
        "store": (StoreOption, DEFAULT_STORE),
        "seeds": (Annotated[int | None, typer.Option("--seeds", min=1, max=MAX_SEEDS, help=seeds)], None),
        **{_parameter_of(option): (_annotation(option), None) for option in own},
        "out": (
            Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for the tables and figures.")],
            None,
        ),
        "workers": (
            Annotated[
                int | None,
                typer.Option("--workers", min=1, help="Number of parallel runs; default: one for each core."),
            ],
            None,
        ),
        **(_records() if spec.recorded is not None else {}),
        "overrides": (
            Annotated[
                list[str] | None,
                typer.Option(
                    "--set",
                    metavar="PATH=VALUE",
                    help="Set a value in all manifests; can be repeated. Runs with other settings are kept.",
                ),
            ],
            None,
        ),
        "dry_run": (
            Annotated[bool, typer.Option("--dry-run", help="List the runs and stop.")],
            False,
        ),
        "tables_only": (
            Annotated[
                bool,
                typer.Option(
                    "--tables-only", help="Print the tables of the runs in the store, without running anything."
                ),
            ],
            False,
        ),
    }


def _records() -> dict[str, tuple[Any, Any]]:
    """The option of a reproduction whose runs can be kept in a file."""
    text = "File of finished runs: those in it are not repeated, and those that finish are added to it."
    return {"records": (Annotated[Path | None, typer.Option("--records", metavar="FILE", help=text)], None)}


def _parameter_of(option: CommandOption) -> str:
    """A name that none of the parameters which all reproductions have can take."""
    return f"option_{option.name}"


def _annotation(option: CommandOption) -> Any:
    if option.shape == "switch":
        return Annotated[bool | None, typer.Option("/".join(option.flags), help=option.help)]
    return Annotated[str | None, typer.Option(*option.flags, metavar=option.metavar, help=option.help)]


def _options(
    context: typer.Context,
    spec: ReproductionSpec,
    own: Sequence[CommandOption],
    texts: Mapping[str, str | bool | None],
) -> PluginConfig:
    """The reproduction's own options. What is wrong with one is said as of any option."""
    from qecforge.contracts.options import values_of

    values = values_of(spec.options, texts)
    flags = {option.name: option.flags[0] for option in own}
    for name, value in values.items():
        if value == []:
            raise typer.BadParameter(
                f"got {texts[name]!r}, expected one or more, with commas between them",
                context,
                param_hint=f"'{flags[name]}'",
            )
    try:
        options: PluginConfig = spec.options.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        flag = flags.get(str(first["loc"][0])) if first["loc"] else None
        hint = None if flag is None else f"'{flag}'"
        raise typer.BadParameter(one_line(first["msg"]), context, param_hint=hint) from error
    return options


def _reproduce(spec: ReproductionSpec, registry: Registry, options: PluginConfig, asked: _Asked) -> None:
    """Carry out what the store lacks, then print the tables and write the report."""
    from qecforge.contracts.reproduction import Order
    from qecforge.reproduction.planning import planned_runs, seeds_of

    order = Order(
        options=options,
        seeds=seeds_of(spec, quick=asked.quick, seeds=asked.seeds),
        quick=asked.quick,
        overrides=tuple(asked.overrides or ()),
    )
    planned = planned_runs(spec, order, registry)
    if asked.dry_run:
        _show_plans(planned, registry, asked)
        return
    with _recording(spec, planned, registry, asked):
        outcomes = _carried_out(spec, planned, registry, asked)
    _tell(spec, planned, asked)
    raise_failed(outcomes, asked.store)


@contextmanager
def _recording(
    spec: ReproductionSpec, planned: Sequence[PlannedRun], registry: Registry, asked: _Asked
) -> Iterator[None]:
    """Take what the file of records has into the store first, and what has finished, however the runs end, into it."""
    if asked.records is None:
        yield
        return
    from qecforge.reproduction.records import adopt_records, keep_records, read_records, records_of
    from qecforge.store import Store

    records = records_of(planned, read_records(asked.records), registry)
    with Store(asked.store) as store:
        adopted = adopt_records(store, planned, records)
    if adopted:
        say(f"{len(adopted)} of {len(planned)} runs are taken from {asked.records}")
    try:
        yield
    finally:
        with Store(asked.store) as store:
            added = keep_records(asked.records, spec, store, planned, registry)
        if added:
            say(f"{added} of {len(planned)} runs are added to {asked.records}")


def _carried_out(spec: ReproductionSpec, planned: Sequence[Any], registry: Registry, asked: _Asked) -> list[RunOutcome]:
    """Outcomes of the runs that the store lacks, which are carried out now."""
    from qecforge.reproduction.carry_out import carry_out

    if asked.tables_only:
        return []
    if asked.out is not None:  # now, not after hours of runs
        from qecforge.reporting.figures import make_folder

        make_folder(asked.out)
    from qecforge.cli._progress import RunCount, show_progress

    return carry_out(
        spec,
        planned,
        registry,
        store_url=asked.store,
        executor="local",
        workers=asked.workers,
        listening=partial(show_progress, RunCount(each.plan for each in planned)),
        measuring=lambda: working(f"measurements of {spec.name}"),
    )


def _tell(spec: ReproductionSpec, planned: Sequence[PlannedRun], asked: _Asked) -> None:
    """Print the tables of what is finished, and write the report where it is asked for."""
    from qecforge.reproduction.carry_out import figures_of, report_of
    from qecforge.reproduction.files import tables_of, write_files
    from qecforge.reproduction.planning import finished

    notes = [f"{spec.summary.rstrip('.')}.", f"Source: {spec.source.rstrip('.')}."]
    with open_store(asked.store) as opened:
        report = report_of(spec, opened, planned)
        tables = tables_of(report)
        there = len(finished(opened, planned))
        if there < len(planned):
            missing = f"{len(planned) - there} of {len(planned)} runs are not in the store, or not finished"
            say(f"{missing}: the tables are without them")
            notes.append(f"{missing}.")
    _show(tables)
    if asked.out is not None and there:
        title = f"Reproduction {spec.name}"
        written = write_files(tables, figures_of(spec, report), asked.out, title=title, notes=notes)
        say(f"{len(written)} files in {asked.out}")


def _show(tables: Mapping[str, Table]) -> None:
    for table in tables.values():
        write(f"{to_text(table, terminal_width())}\n")


def _show_plans(planned: Sequence[PlannedRun], registry: Registry, asked: _Asked) -> None:
    from qecforge.store.engine import parse_url

    url, known = parse_url(asked.store), dict[str, str]()
    if asked.records is not None:
        from qecforge.reproduction.records import read_records, records_of

        known = dict.fromkeys(records_of(planned, read_records(asked.records), registry), "recorded")
    if url.get_backend_name() != "sqlite" or (url.database and Path(url.database).exists()):
        with open_store(asked.store) as opened:
            known |= {run.identity: run.status for run in opened.runs()}
    rows: list[dict[str, Any]] = [
        {
            "run": each.plan.identity[:12],
            **each.labels,
            "seed": each.plan.seed,
            "in_store": known.get(each.plan.identity, "new"),
        }
        for each in planned
    ]
    columns = (Column("run"), *map(Column, planned[0].labels), Column("seed"), Column("in_store", "in the store"))
    emit(Table(columns, rows), Format.TABLE)
