"""Tables of rows that only grow: what replay buffers are made of, and what checkpoints append to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from qecforge.errors import CheckpointError, ConfigurationError, did_you_mean, one_line

__all__ = ["Filed", "RowTable", "Segment"]


@dataclass(frozen=True)
class Segment:
    """Rows in a file of their own, beside a checkpoint.

    Attributes:
        name: Of the file, in the folder of the checkpoint. Names are never used twice.
        first, count: It holds the rows `first .. first + count - 1`, numbered from the table's beginning.
        sha256: Of the file's content, in hexadecimal digits.
    """

    name: str
    first: int
    count: int
    sha256: str

    @property
    def end(self) -> int:
        """Number of the first row after it."""
        return self.first + self.count


@dataclass(frozen=True)
class Filed:
    """Where the rows of a table lie on disk: in segments beside the checkpoint `path`, in the order of the rows."""

    path: Path
    segments: tuple[Segment, ...]


class RowTable:
    """Named columns of numbers; rows are appended and never changed; once it is full, the oldest are overwritten.

    A state for a checkpoint may hold the table itself, not a copy: only the rows that are new since the last
    checkpoint are then written. Row t, numbered from the table's beginning, lies in slot `t % capacity`. Memory is
    taken as rows come.

    Args:
        columns: Name -> dtype of its entry in one row, such as `np.float32` or `(np.float32, (376,))`.
        capacity: Rows that are kept.
        appended: Rows so far, for who restores a table and then fills in those that are kept.

    Attributes:
        columns: Name -> dtype, with the shape of an entry as numpy's subarray dtypes have it. Not to be changed.
        capacity: As given.
        filed: Where its rows lie on disk; kept by `qecforge.runs.checkpoints` alone.

    Raises:
        ConfigurationError: No column or no capacity, or a column of something else than booleans and numbers.
    """

    def __init__(self, columns: Mapping[str, DTypeLike], capacity: int, *, appended: int = 0) -> None:
        if capacity < 1:
            raise ConfigurationError(f"table of rows: capacity is {capacity}: give 1 or more")
        if not columns:
            raise ConfigurationError("table of rows: it has no columns: name at least one")
        self.columns = {name: _column_dtype(name, dtype) for name, dtype in columns.items()}
        self.capacity = capacity
        self.filed: Filed | None = None
        self._appended = appended
        self._columns = {name: np.empty((capacity, *d.shape), d.base) for name, d in self.columns.items()}

    def __len__(self) -> int:
        """Rows that are kept."""
        return min(self._appended, self.capacity)

    def __deepcopy__(self, memo: dict[int, Any]) -> RowTable:
        """A table of its own, with the rows that are kept."""
        copied = RowTable(self.columns, self.capacity, appended=self._appended)
        copied.filed = self.filed
        for name, column in copied._columns.items():
            column[: len(self)] = self.column(name)
        return copied

    @property
    def appended(self) -> int:
        """Rows since the beginning: the number of the next one."""
        return self._appended

    @property
    def oldest(self) -> int:
        """Number of the oldest row that is kept."""
        return self._appended - len(self)

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return sum(dtype.itemsize for dtype in self.columns.values())

    def column(self, name: str) -> NDArray[Any]:
        """A view of a column, (len, *shape), in the order of slots. Read-only, and of the table's memory: it shows rows
        that come later in the slots that it has."""
        view: NDArray[Any] = self._columns[name][: len(self)]
        view.flags.writeable = False
        return view

    def append(self, rows: Mapping[str, ArrayLike]) -> None:
        """Add B rows, the last of them the newest.

        Args:
            rows: For each column, (B, *shape), of a dtype that the column's can hold (float64 as float32; no floats as
                integers). Copied.

        Raises:
            ConfigurationError: A column is missing or unknown, or does not fit; nothing is added then.
        """
        arrays = self._checked(rows)
        count = len(next(iter(arrays.values())))
        skipped = max(0, count - self.capacity)
        first, end = self._appended + skipped, self._appended + count
        for name, array in arrays.items():
            at = skipped
            for part in self.parts(name, first, end - first):
                part[...] = array[at : at + len(part)]
                at += len(part)
        self._appended = end

    def parts(self, name: str, first: int, count: int) -> Iterator[NDArray[Any]]:
        """The memory of rows `first .. first + count - 1` in a column: one view, or two where the ring wraps around.

        Args:
            first, count: At most `capacity` rows; they need not be there yet.
        """
        column, slot = self._columns[name], first % self.capacity
        before_the_end = min(count, self.capacity - slot)
        if before_the_end:
            yield column[slot : slot + before_the_end]
        if count > before_the_end:
            yield column[: count - before_the_end]

    def check(self, columns: Mapping[str, DTypeLike], capacity: int) -> None:
        """Raise `CheckpointError` where the table, which comes from a checkpoint, has other columns or another capacity
        than the code that restores it expects."""
        expected = {name: _column_dtype(name, dtype) for name, dtype in columns.items()}
        advice = "restore it with the settings that wrote it, or start the run anew with `force`"
        if set(expected) != set(self.columns):
            raise CheckpointError(
                f"the checkpoint's table of rows has columns {', '.join(self.columns)}, "
                f"expected {', '.join(expected)}: {advice}"
            )
        for name, dtype in expected.items():
            if dtype != self.columns[name]:
                raise CheckpointError(
                    f"the checkpoint's table of rows has a column {name} of {_shown(self.columns[name])}, "
                    f"expected {_shown(dtype)}: {advice}"
                )
        if capacity != self.capacity:
            raise CheckpointError(
                f"the checkpoint's table of rows has capacity {self.capacity}, expected {capacity}: {advice}"
            )

    def _checked(self, rows: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        if rows.keys() != self.columns.keys():
            for name in rows:
                if name not in self.columns:
                    known = ", ".join(self.columns)
                    raise ConfigurationError(
                        f"table of rows: there is no column {name!r}.{did_you_mean(name, self.columns)} Known: {known}"
                    )
            missing = next(name for name in self.columns if name not in rows)
            raise ConfigurationError(f"table of rows: column {missing!r} is missing: give all of them")
        arrays = {name: np.asarray(rows[name]) for name in self.columns}
        count = None
        for name, array in arrays.items():
            dtype = self.columns[name]
            count = len(array) if count is None and array.ndim else count
            if array.ndim == 0 or array.shape != (count, *dtype.shape):
                raise ConfigurationError(
                    f"table of rows: column {name!r} has shape {array.shape}: give {(count or 'B', *dtype.shape)}"
                )
            if not np.can_cast(array.dtype, dtype.base, "same_kind"):
                raise ConfigurationError(
                    f"table of rows: column {name!r} is {array.dtype}, which is no {dtype.base}: give {dtype.base}"
                )
        return arrays


def _column_dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        column: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"table of rows: column {name!r} is {dtype!r} ({one_line(error)}): give a dtype such as (np.float32, (3,))"
        ) from error
    if column.base.kind not in "biufc":
        raise ConfigurationError(f"table of rows: column {name!r} is {column.base}: give booleans or numbers")
    return column


def _shown(dtype: np.dtype[Any]) -> str:
    return f"{dtype.base} {dtype.shape}" if dtype.shape else str(dtype.base)
