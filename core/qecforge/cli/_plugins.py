"""`qecforge plugins`: what is installed, and what each plugin may be told."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._output import Format, FormatOption, emit, emit_json, say, write
from qecforge.reporting.fields import config_schema, fields_table, nested_tables
from qecforge.reporting.tables import Column, Table

if TYPE_CHECKING:
    from qecforge.registry import Registered, Registry

__all__ = ["app"]

app = typer.Typer(help="List the installed plugins and their settings.", no_args_is_help=True, rich_markup_mode=None)


class Kind(StrEnum):
    """The kinds of plugin."""

    ENVIRONMENT = "environment"
    REWARD = "reward"
    AGENT = "agent"
    QUANTIZER = "quantizer"
    LISTENER = "listener"
    REPRODUCTION = "reproduction"


COLUMNS = (
    Column("kind"),
    Column("name"),
    Column("version"),
    Column("distribution"),
    Column("status"),
    Column("summary"),
    Column("error", detail=True),
)


@app.command("list")
def list_plugins(
    form: FormatOption = Format.TABLE,
    full: Annotated[
        bool, typer.Option("--traceback", help="Print the traceback of each plugin that cannot be loaded.")
    ] = False,
) -> None:
    """List the installed plugins. For a plugin that cannot be loaded, the reason is given."""
    from qecforge.registry import Registry

    registry = Registry.load()
    rows = [*_working(registry), *_clashing(registry), *_broken(registry, full)]
    emit(Table(COLUMNS, rows), form, empty="no plugin is installed; install qecforge again, its own come with it")
    if form is Format.TABLE and registry.broken:
        if not full:
            say("`qecforge plugins list --traceback` shows where a broken plugin fails")
        for broken in registry.broken if full else ():
            say(f"\n{broken.name} ({broken.distribution} {broken.version})\n{broken.traceback.rstrip()}")


@app.command("show")
def show_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plugin, as after `plugin:` in a manifest.")],
    kind: Annotated[
        Kind | None,
        typer.Option("--kind", help="Kind of the plugin. Needed if plugins of two kinds have the same name."),
    ] = None,
    form: FormatOption = Format.TABLE,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of its settings instead.")] = False,
) -> None:
    """Show a plugin: its summary and its settings in a manifest, or the options of a reproduction."""
    import json

    from qecforge.registry import Registry

    of_kind, found = _find(Registry.load(), name, kind)
    described = config_schema(found.spec.options if of_kind == Kind.REPRODUCTION else found.spec.config)
    if schema:
        emit_json(json.dumps(described, indent=2, ensure_ascii=False))
        return
    if form is Format.TABLE:
        about = f"{of_kind} {found.spec.name}: {found.spec.summary}"
        write("\n".join([about, f"from {found.distribution} {found.version}", *_nature(found.spec), ""]))
    emit(fields_table(described), form, empty=f"{name} has no settings")
    for title, table in nested_tables(described).items() if form is Format.TABLE else ():
        write(f"\n{title}")
        emit(table, form)


def _find(registry: Registry, name: str, kind: Kind | None) -> tuple[str, Registered[Any]]:
    if kind is not None:
        return kind.value, registry.get(kind.value, name)
    return registry.find(name)


def _working(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "name": found.spec.name,
            "version": found.version,
            "distribution": found.distribution,
            "status": "ok",
            "summary": found.spec.summary,
        }
        for kind, found in registry
    ]


def _clashing(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            "kind": clash.kind,
            "name": clash.name,
            "version": found.version,
            "distribution": found.distribution,
            "status": "given twice",
            "summary": found.spec.summary,
            "error": str(clash),
        }
        for clash in registry.clashes
        for found in clash.registered
    ]


def _broken(registry: Registry, full: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": broken.name,
            "version": broken.version,
            "distribution": broken.distribution,
            "status": "broken",
            "summary": broken.error,
            "error": broken.traceback if full else broken.error,
        }
        for broken in registry.broken
    ]


def _nature(spec: Any) -> list[str]:
    """What a spec says beside its summary and settings, a line each."""
    from qecforge.hookspecs import ReproductionSpec

    lines = []
    for attribute, words in (
        ("actions", "takes actions that are {}"),
        ("shows", "shows rewards its {}"),
        ("scores", "scores a {}"),
        ("trains_on", "trains on actions that are {}"),
        ("quantizes", "quantizes policies whose actions are {}"),
        ("kind", "works {}"),
        ("resumes", "an interrupted run resumes {}"),
    ):
        value = getattr(spec, attribute, None)
        if value:
            value = " or ".join(sorted(value)) if isinstance(value, frozenset) else value
            lines.append(words.format(value.replace("_", " ")))
    if isinstance(spec, ReproductionSpec):
        lines += [f"reproduces {spec.source}", f"`qecforge reproduce {spec.name}` carries it out"]
        lines += [f"needs {', '.join(spec.needs)}"] if spec.needs else []
    if getattr(spec, "native_reward", False):
        lines.append("brings a reward of its own (`reward:` may be left out)")
    lines += [f"evaluation {each.name}: {each.summary}" for each in getattr(spec, "evaluations", ())]
    return lines
