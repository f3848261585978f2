"""What the reproductions of all papers share: runs that are planned, what a store knows of them, and the report.

A paper's module says which runs there are (`Planned`), what it makes of the finished ones (`Reproduction.collect`), and
which tables and figures show that. Tables are made from the store alone: runs that exist are not done again, and more
seeds join those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from qecforge.errors import ConfigurationError, did_you_mean
from qecforge.reporting.figures import require_matplotlib, save_figure
from qecforge.reporting.tables import Table, to_csv, to_json, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.manifest import RunPlan
    from qecforge.store import Run, Store

__all__ = ["Planned", "Reproduction", "check_names", "finished", "write_files"]


class Planned(Protocol):
    """One run of a reproduction."""

    @property
    def plan(self) -> RunPlan:
        """What is run."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells it from the others, by column of a listing; the same columns for every run of a paper."""


P = TypeVar("P", bound=Planned)
R = TypeVar("R")


@dataclass(frozen=True)
class Reproduction(Generic[P, R]):
    """A paper's runs and what is made of them.

    Attributes:
        stages: Runs, those of a stage needing only earlier ones.
        collect: What the store knows of those that are finished, in their order.
        tables: By file name, those that have rows.
        figures: By file name without its ending.
    """

    stages: Sequence[Sequence[P]]
    collect: Callable[[Store, Sequence[P]], list[R]]
    tables: Callable[[Sequence[R]], Mapping[str, Table]]
    figures: Callable[[Sequence[R]], Mapping[str, Figure]]

    @property
    def planned(self) -> list[P]:
        """The runs of all stages."""
        return [each for stage in self.stages for each in stage]


def check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises `ConfigurationError` where one of the names is unknown; the nearest are offered."""
    for name in names:
        if name not in known:
            raise ConfigurationError(f"unknown {what} {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")


def finished(store: Store, planned: Iterable[P]) -> list[tuple[P, Run]]:
    """Those whose run is in the store and finished, with it, in their order."""
    runs = {run.identity: run for run in store.runs(status="finished")}
    return [(each, runs[each.plan.identity]) for each in planned if each.plan.identity in runs]


def write_files(tables: Mapping[str, Table], figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write `tables.md` with all tables, each as CSV and JSON, and the figures as PNG.

    Args:
        tables: By file name.
        figures: By file name without its ending.
        folder: Made where it is missing.

    Raises:
        MissingDependency: matplotlib is not installed.
        ConfigurationError: The folder cannot be written.
    """
    require_matplotlib()
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join(f"## {table.title}\n\n{to_markdown(table)}" for table in tables.values())
        for name, content in [
            ("tables.md", f"{text}\n"),
            *((f"{name}.csv", f"{to_csv(table)}\n") for name, table in tables.items()),
            *((f"{name}.json", f"{to_json(table)}\n") for name, table in tables.items()),
        ]:
            (folder / name).write_text(content, encoding="utf-8")
            written.append(folder / name)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be written ({error.strerror}): choose another folder (`out`)", parameter="out"
        ) from error
    return written + [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]
