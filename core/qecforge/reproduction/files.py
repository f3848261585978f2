"""A report as tables, and these with its figures as files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qecforge.contracts.reproduction import Claim, Report
from qecforge.errors import ConfigurationError, PluginError, one_line
from qecforge.machine.files import write_whole
from qecforge.reporting.figures import make_folder, require_matplotlib, save_figure
from qecforge.reporting.html import html_page
from qecforge.reporting.tables import Table, to_csv, to_json, to_markdown
from qecforge.reproduction.claims import claims_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CLAIMS", "tables_of", "write_files"]

CLAIMS = "claims"
"""The file name of the claims table."""

_NAME = re.compile(r"\w[\w.-]*")


def tables_of(report: Report) -> dict[str, Table]:
    """The report's tables that have rows and the one of its claims, by file name, in the order in which they are shown.

    Raises:
        PluginError: The report is none, or names a table as no file can be named.
    """
    if not (isinstance(report, Report) and all(isinstance(each, Claim) for each in report.claims)):
        raise PluginError(f"a report is {one_line(repr(report), 80)}, expected a Report of Claims: correct its plugin")
    if CLAIMS in report.tables:
        raise PluginError(f"a report has a table {CLAIMS!r} of its own: give the claims, and the core makes it")
    if report.claims_after and report.claims_after not in report.tables:
        raise PluginError(
            f"a report's claims_after is {report.claims_after!r}, expected one of its tables: correct its plugin"
        )
    found = dict(report.tables)
    names = list(found)
    claims = claims_table(report.claims)
    place = names.index(report.claims_after) + 1 if report.claims_after else 0
    names.insert(place, CLAIMS)
    tables = {name: claims if name == CLAIMS else found[name] for name in names}
    _check_names(tables)
    return {name: table for name, table in tables.items() if table.rows}


def write_files(
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    folder: Path,
    *,
    title: str = "Reproduction",
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write `tables.md` with all tables, each as CSV and JSON, the figures as PNG, and `report.html` with all of it.

    Args:
        tables: By file name.
        figures: By file name without its ending.
        folder: Made where it is missing.
        title: Heading of the page.
        notes: Paragraphs below it.

    Returns:
        What was written, in this order.

    Raises:
        MissingDependency: matplotlib is not installed.
        ConfigurationError: The folder cannot be written.
        PluginError: A figure is named as no file can be named.
    """
    require_matplotlib()
    _check_names(figures)
    text = "\n\n".join(f"## {table.title}\n\n{to_markdown(table)}" for table in tables.values())
    written = _write(
        folder,
        {
            "tables.md": f"{text}\n",
            **{f"{name}.csv": f"{to_csv(table)}\n" for name, table in tables.items()},
            **{f"{name}.json": f"{to_json(table)}\n" for name, table in tables.items()},
        },
    )
    written += [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]
    return written + _write(folder, {"report.html": html_page(title, tables, figures, notes=notes)})


def _write(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    make_folder(folder)
    try:
        for name, content in contents.items():
            write_whole(folder / name, content.encode())
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be written ({error.strerror}): choose another `folder`", parameter="folder"
        ) from error
    return [folder / name for name in contents]


def _check_names(named: Mapping[str, object]) -> None:
    for name in named:
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"a report names a file {name!r}, expected letters, digits, _, - and dots: correct its plugin"
            )
