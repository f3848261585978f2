"""The live view: for each run whose plugins have something watched a panel with its readings, their course, and its
bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from qecforge.cli._readings import Readings, sparkline
from qecforge.errors import printable

__all__ = ["LiveProgress"]

_LONGEST_LINE, _BESIDE_THE_LINE = 60, 58
"""Columns of a sparkline at most, and columns that the rest of a panel takes."""


class LiveProgress(Progress):
    """A bar for each task; one whose field `readings` holds some has a panel around it, as long as the screen has room.

    Args:
        console: Where it is shown.
        auto_refresh: Draw ten times a second; else at `refresh()` alone.
    """

    def __init__(self, console: Console, *, auto_refresh: bool = True) -> None:
        self._screen = console
        self._in_panels: tuple[ProgressColumn, ...] = (
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[readings].unit}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
        )
        super().__init__(
            TextColumn("{task.description}", markup=False),
            *self._in_panels[1:],
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            auto_refresh=auto_refresh,
            transient=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Panels from the top, then the bars of all other tasks."""
        room = self._screen.size.height - len(self.tasks)
        others: list[Task] = []
        for task in self.tasks:
            readings: Readings | None = task.fields.get("readings")
            lines = len(readings.rows()) + 2 if readings is not None and readings.drawn else 0
            if readings is not None and lines and task.total is not None and lines <= room:
                room -= lines
                yield self._panel(task, readings)
            else:
                others.append(task)
        if others:
            yield self.make_tasks_table(others)

    def _panel(self, task: Task, readings: Readings) -> Panel:
        content = Table.grid()
        content.add_row(self._table(readings))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(*(column(task) for column in self._in_panels))
        content.add_row(bar)
        return Panel(content, title=Text(task.description), title_align="left", expand=False)

    def _table(self, readings: Readings) -> Table:
        """A row for each reading: its name, its latest value, its course, its range."""
        width = max(8, min(_LONGEST_LINE, self._screen.size.width - _BESIDE_THE_LINE))
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(justify="right", min_width=9, style="bold")
        table.add_column(min_width=width, no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, style="dim")
        for cells in self._rows(readings, width):
            table.add_row(*(Text(printable(cell, keep="")) for cell in cells))
        return table

    def _rows(self, readings: Readings, width: int) -> Iterator[tuple[str, str, str, str]]:
        ascii_only = self._screen.options.ascii_only
        for watched in readings.rows():
            history = watched.history
            line = sparkline(history.values(), width, ascii_only=ascii_only)
            span = f"{watched.show(history.least)} to {watched.show(history.greatest)}"
            yield watched.reading.label, watched.show(history.last), line, span
