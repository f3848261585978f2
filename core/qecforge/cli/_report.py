"""`qecforge report`: what runs were, found and measured, as one HTML page that needs no other file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._output import DEFAULT_STORE, StoreOption, open_store, say, write
from qecforge.errors import ConfigurationError, StoreError
from qecforge.machine.files import write_whole
from qecforge.reporting.tables import Column, Table, number, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["register"]

MOST_CODES = 50
LONGEST_SETTING = 200

SETTINGS = (Column("setting"), Column("value"), Column("runs"))
EVALUATIONS = (Column("run"), Column("number"), Column("value", show=number, justify="right"))
MADE_WITH = ("qecforge", "python", "git", "platform", "cpu", "gpu")
"""What the page says of where a run was made. Its command line is not there: it may name accounts and passwords."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("report")(report)


def report(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="HTML file to write, such as report.html.")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Ids of the runs, or their first characters. Default: all finished runs."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write one HTML page about runs: settings, codes, error rates, and tables and figures of their plugins."""
    from qecforge.reporting.figures import require_matplotlib
    from qecforge.reporting.html import html_page

    require_matplotlib()
    with open_store(store) as opened:
        chosen = {each.id: each for each in map(opened.run, runs or ())} or _finished(opened)
        records = list(chosen.values())
        of_views, figures, left_out = _of_views(opened, records)
        tables = {**_results(opened, records), **of_views, **_circumstances(records)}
    for line in left_out:
        say(line)
    title = ", ".join(dict.fromkeys(each.name for each in records))
    page = html_page(f"Report of {title}", tables, figures, notes=left_out)
    try:
        write_whole(out, page.encode())
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({error.strerror}); name another file") from error
    write(str(out))


def _finished(store: Store) -> dict[str, Run]:
    """Oldest first."""
    found = {run.id: run for run in reversed(store.runs(status="finished"))}
    if not found:
        raise StoreError("no run in this store is finished: name the runs to report")
    return found


def _results(store: Store, runs: Sequence[Run]) -> dict[str, Table]:
    """Those that every run can have, without empty ones."""
    from qecforge.cli._render import codes_table, rates_table
    from qecforge.cli._runs import COLUMNS

    codes = {record.id: record for run in runs for record in store.codes(run=run.id)}
    best = sorted(codes.values(), key=lambda record: (-record.distance, record.gate_count or 0, record.id))[:MOST_CODES]
    rates = rates_table([rate for record in best for rate in store.error_rates(record.id)])
    columns = (Column("code_id", "code"), *(column for column in rates.columns if column.key != "code_id"))
    shown = f"Codes, best {len(best)} of {len(codes)}" if len(best) < len(codes) else "Codes"
    tables = {
        "runs": Table(COLUMNS, [run.row() for run in runs], "Runs"),
        "codes": Table(codes_table(best).columns, codes_table(best).rows, shown),
        "error_rates": Table(columns, rates.rows, "Logical error rates"),
        "evaluations": Table(EVALUATIONS, list(_evaluations(store, runs)), "Evaluations of the policies"),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _circumstances(runs: Sequence[Run]) -> dict[str, Table]:
    made_with = Table((Column("run"), *map(Column, MADE_WITH)), [_made_with(run) for run in runs], "Made with")
    return {"settings": Table(SETTINGS, list(_settings(runs)), "Settings"), "made_with": made_with}


def _settings(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """A row for each setting, or for each of its values where runs differ in it."""
    of_setting: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for path, value in _flat(json.loads(run.manifest)):
            of_setting.setdefault(path, {}).setdefault(value, []).append(run.id)
    for path, by_value in of_setting.items():
        for value, ids in by_value.items():
            yield {"setting": path, "value": value, "runs": "all" if len(ids) == len(runs) else ", ".join(ids)}


def _flat(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield path, text if len(text) <= LONGEST_SETTING else f"{text[: LONGEST_SETTING - 3]}..."


def _made_with(run: Run) -> dict[str, Any]:
    git = run.provenance.get("git")
    git = git if isinstance(git, dict) else {}
    revision = f"{str(git.get('revision', ''))[:12]}{' and changes' if git.get('modified') else ''}"
    known = {name: plain(run.provenance.get(name)) for name in MADE_WITH if name != "git"}
    return {"run": run.id, **known, "git": revision}


def _evaluations(store: Store, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for each in store.policy_evaluations(run.id):
            yield from ({"run": run.id, "number": name, "value": value} for name, value in each.values.items())


def _of_views(store: Store, runs: Sequence[Run]) -> tuple[dict[str, Table], dict[str, Figure], list[str]]:
    """Tables and figures of the runs' plugins, and lines for what is left out."""
    from qecforge.registry import Registry
    from qecforge.reporting.views import drawable, run_figures, run_tables, views_of

    registry, views, left_out = Registry.load(), {}, list[str]()
    figures: dict[str, Figure] = {}
    for run in runs:
        views[run.id], missing = views_of(run, registry)
        drawn = drawable(run_figures(store, run, views[run.id]))
        left_out += [*missing, *drawn.left_out]
        figures |= {f"{name.replace('_', ' ')} of run {run.id}": figure for name, figure in drawn.found.items()}
    tables = run_tables(store, views)
    titled = {
        name: Table(table.columns, table.rows, table.title or name.replace("_", " ").capitalize())
        for name, table in tables.found.items()
    }
    return titled, figures, list(dict.fromkeys([*left_out, *tables.left_out]))
