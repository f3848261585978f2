"""One table, three ways to write it.

A `Table` holds plain values under the names that programs read; each `Column` says how people see them. JSON and CSV
carry every column and the values as they are; the text table leaves out columns marked `detail` and rounds.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from qecforge.errors import printable
from qecforge.reporting.layout import TextColumn, lay_out, wrapped

__all__ = [
    "Column",
    "Table",
    "alignment",
    "bound",
    "duration",
    "interval",
    "moment",
    "number",
    "percent",
    "plain",
    "point",
    "speed",
    "to_csv",
    "to_json",
    "to_json_object",
    "to_markdown",
    "to_text",
]


def plain(value: Any) -> str:
    """The value as text; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    return str(value.value if isinstance(value, Enum) else value)


def number(value: float | None) -> str:
    """Four significant digits; thousands separated; powers of ten beyond 1e-4..1e6; a dash for what is no number."""
    if value is None:
        return ""
    if isinstance(value, int) or (math.isfinite(value) and float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if math.isnan(value):
        return "-"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3e}"


def speed(value: float) -> str:
    """A number per second; whole from 100 on."""
    return number(round(value) if value >= 100 else value)


def percent(value: float | None) -> str:
    """A fraction in percent, one decimal; a dash for what is no number."""
    if value is None:
        return ""
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def interval(value: Sequence[float] | None) -> str:
    """A confidence interval as `[low, high]`; a dash where there is none."""
    if value is None:
        return ""
    return "-" if any(map(math.isnan, value)) else f"[{number(value[0])}, {number(value[1])}]"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `0.42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds is None:
        return ""
    if math.isnan(seconds):
        return "-"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(value: datetime | None) -> str:
    """A time in UTC, to the second."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def bound(kind: str) -> str:
    """The sign before a distance that is `exact`, an `upper_bound` or a `lower_bound`."""
    return {"exact": "", "upper_bound": "<=", "lower_bound": ">="}.get(kind, f"{kind} ")


def point(values: Mapping[str, Any] | None) -> str:
    """A point of a sweep: `agent.learning_rate=0.001, seed=1`; texts without quotes, the rest as JSON."""
    words = ((path, value if isinstance(value, str) else _json_text(value)) for path, value in (values or {}).items())
    return ", ".join(f"{path}={word}" for path, word in words)


def _json_text(value: Any) -> str:
    return json.dumps(_jsonable(value), ensure_ascii=False)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Its name in each row, in JSON and in CSV.
        heading: What people read above it; the key where empty.
        show: How people see a value. Default: `number` for numbers, `moment` for times, `plain` otherwise.
        detail: Left out of the text table.
        minor: May be left out of the text table where a terminal has no room for it.
        justify: Side on which the text table aligns it; None aligns numbers right and the rest left.
    """

    key: str
    heading: str = ""
    show: Callable[[Any], str] | None = None
    detail: bool = False
    minor: bool = False
    justify: Literal["left", "right"] | None = None

    @property
    def head(self) -> str:
        """What people read above it, on one line."""
        return printable(self.heading or self.key, keep="")

    def text(self, value: Any) -> str:
        """The value as people see it, on one line, with nothing that steers a terminal."""
        return printable(self._shown(value), keep="")

    def _shown(self, value: Any) -> str:
        if self.show is not None:
            return self.show(value)
        if isinstance(value, datetime):
            return moment(value)
        return number(value) if _is_number(value) else plain(value)


@dataclass(frozen=True)
class Table:
    """Rows of plain values under named columns. Values a row lacks are None."""

    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""


def alignment(table: Table, column: Column) -> Literal["left", "right"]:
    """The side on which a column is aligned: its own choice, else right where all its values are numbers."""
    if column.justify is not None:
        return column.justify
    values = [row.get(column.key) for row in table.rows if row.get(column.key) is not None]
    return "right" if values and all(_is_number(value) for value in values) else "left"


def to_json(table: Table) -> str:
    """A JSON array with an object for each row, keys in column order; NaN and infinities as null."""
    rows = [{column.key: _jsonable(row.get(column.key)) for column in table.columns} for row in table.rows]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False)


def to_json_object(values: Mapping[str, Any]) -> str:
    """One JSON object, its values by the rules of `to_json`."""
    return json.dumps(_jsonable(values), indent=2, ensure_ascii=False, allow_nan=False)


def to_csv(table: Table) -> str:
    """Comma-separated values with a header row (RFC 4180, LF line ends); what is nested is written as JSON.

    Text is as `printable` has it, and each row one line: a name cannot steer the terminal of whoever looks at the
    file. JSON has it unaltered.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(column.key) for column in table.columns])
    for row in table.rows:
        writer.writerow([_cell(row.get(column.key)) for column in table.columns])
    return text.getvalue().removesuffix("\n")


def to_markdown(table: Table) -> str:
    """A Markdown table of what the text table shows."""
    columns = [column for column in table.columns if not column.detail]
    lines = [[column.head for column in columns]]
    lines.append(["---:" if alignment(table, column) == "right" else "---" for column in columns])
    lines += [[column.text(row.get(column.key)).replace("|", "\\|") for column in columns] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def to_text(table: Table, width: int | None = None) -> str:
    """The text table, without columns that are `detail`. No value is ever cut.

    Args:
        width: Columns of the terminal: a wider table is laid out anew, as `qecforge.reporting.layout` says. None: each
            row is one line, however long.
    """
    columns = [
        TextColumn(
            column.head,
            [column.text(row.get(column.key)) for row in table.rows],
            alignment(table, column) == "right",
            column.minor,
        )
        for column in table.columns
        if not column.detail
    ]
    title = printable(table.title, keep="")
    return "\n".join([*(wrapped(title, width) if title else []), *lay_out(columns, width)])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _jsonable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _jsonable(value.tolist())
    raise TypeError(f"a table cell of type {type(value).__name__} cannot be written as JSON")


def _cell(value: Any) -> Any:
    value = _jsonable(value)
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return printable(value, keep="")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
