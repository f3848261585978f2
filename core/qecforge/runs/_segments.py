"""Tables of rows on disk: segment files beside a checkpoint, which names them.

A segment is the rows of a range, column after column, and nothing else. It is written once, under a name of its own,
and never changed: whatever happens to a save, the files that the present checkpoint names stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from qecforge.errors import CheckpointError
from qecforge.learning.rows import Filed, RowTable, Segment
from qecforge.runs._disk import CHUNK, Sink, Source, bytes_of

__all__ = ["describe_table", "file_rows", "read_table", "sweep"]

SEGMENT_BYTES = 64 << 20
"""Largest size of a file. Less than one file is kept of rows that the ring has overwritten."""

MERGE_BYTES = 4 << 20
"""A smaller file at the end is written again with the rows that follow, so that there are never many."""


def file_rows(path: Path, table: RowTable, write: Callable[[Path], None]) -> tuple[Segment, ...]:
    """The segments that hold the rows of a table: those beside the checkpoint `path` already, and new ones, synced.

    Args:
        write: Told each new file before it is made.

    Raises:
        OSError: A file cannot be written.
    """
    segments = _kept(path, table)
    first = segments[-1].end if segments else table.oldest
    if first == table.appended:
        return tuple(segments)
    if segments and segments[-1].count * table.row_bytes < MERGE_BYTES:
        first = max(segments.pop().first, table.oldest)
    rows = max(1, SEGMENT_BYTES // max(1, table.row_bytes))
    while first < table.appended:
        count = min(rows, table.appended - first)
        name = f"{path.name}.{os.urandom(8).hex()}.rows"
        write(path.with_name(name))
        with Sink(path.with_name(name)) as sink:
            digest = sink.write(_content(table, first, count))
            sink.sync()
        segments.append(Segment(name, first, count, digest))
        first += count
    return tuple(segments)


def describe_table(table: RowTable, segments: Sequence[Segment]) -> dict[str, Any]:
    """What a checkpoint says of a table, in numbers, strings, lists and dicts: `read_table` takes it."""
    return {
        "columns": {name: [dtype.base.str, list(dtype.shape)] for name, dtype in table.columns.items()},
        "capacity": table.capacity,
        "appended": table.appended,
        "segments": [vars(segment) for segment in segments],
    }


def read_table(path: Path, description: Mapping[str, Any], advice: str) -> RowTable:
    """The table that the checkpoint `path` describes.

    Args:
        advice: What to do about a file that is damaged; the end of messages.

    Raises:
        CheckpointError: A segment is missing, damaged or of another length.
        LookupError, TypeError, ValueError, MemoryError: The description makes no sense.
    """
    appended, segments = int(description["appended"]), [Segment(**each) for each in description["segments"]]
    columns = {name: (np.dtype(base), tuple(shape)) for name, (base, shape) in description["columns"].items()}
    table = RowTable(columns, int(description["capacity"]), appended=appended)
    _check_ranges(table, segments)
    for segment in segments:
        file = path.with_name(segment.name)
        try:
            with Source(file) as source:
                _read_segment(source, table, segment)
        except FileNotFoundError as error:
            raise CheckpointError(f"{file}: rows of the checkpoint {path.name} are missing: {advice}") from error
        except OSError as error:
            raise CheckpointError(
                f"{file}: cannot be read ({error.strerror}): make it readable, or {advice}"
            ) from error
        except (EOFError, ValueError) as error:
            raise CheckpointError(f"{file}: damaged rows of a checkpoint ({error}): {advice}") from error
    table.filed = Filed(path, tuple(segments))
    return table


def sweep(path: Path, named: Iterable[str] = ()) -> None:
    """Remove what saves of the checkpoint `path` have left beside it, but for the segments that are named."""
    leftover = re.compile(re.escape(path.name) + r"\.([0-9a-f]{16}\.rows|[0-9]+\.tmp)")
    named = set(named)
    for file in path.parent.iterdir():
        if leftover.fullmatch(file.name) and file.name not in named:
            with suppress(OSError):  # it harms nothing, and the next sweep tries again
                file.unlink()


def _kept(path: Path, table: RowTable) -> list[Segment]:
    """Segments beside the checkpoint that hold rows which are still in the table: all or none."""
    if table.filed is None or table.filed.path != path:
        return []
    segments = [segment for segment in table.filed.segments if segment.end > table.oldest]
    for segment in segments:
        try:
            length = path.with_name(segment.name).stat().st_size
        except OSError:
            return []
        if length != segment.count * table.row_bytes:
            return []
    return segments


def _content(table: RowTable, first: int, count: int) -> Iterator[memoryview]:
    for name in table.columns:
        for part in table.parts(name, first, count):
            yield bytes_of(part)


def _check_ranges(table: RowTable, segments: Sequence[Segment]) -> None:
    """The segments are those of the table's rows, one after the other."""
    if table.appended < 0:
        raise ValueError(f"a table of {table.appended} rows")
    expected = segments[0].first if segments else table.oldest
    if expected > table.oldest:
        raise ValueError(f"rows begin at {expected}, the table at {table.oldest}")
    for segment in segments:
        if segment.first != expected or segment.count < 1 or segment.end <= table.oldest:
            raise ValueError(f"rows {segment.first}..{segment.end - 1} where {expected} follows")
        if Path(segment.name).name != segment.name:
            raise ValueError(f"a segment is named {segment.name!r}")
        expected = segment.end
    if expected != table.appended:
        raise ValueError(f"rows end at {expected}, the table at {table.appended}")


def _read_segment(source: Source, table: RowTable, segment: Segment) -> None:
    expected = segment.count * table.row_bytes
    if source.length != expected:
        raise ValueError(f"{source.length} bytes, expected {expected}")
    if source.fill(_places(table, segment)) != segment.sha256:
        raise ValueError("checksum differs")


def _places(table: RowTable, segment: Segment) -> Iterator[memoryview]:
    """Where the bytes of a segment go; those of rows that are no longer kept are read past."""
    gone = max(0, table.oldest - segment.first)
    past = bytearray(min(CHUNK, gone * table.row_bytes))
    for name, dtype in table.columns.items():
        rest = gone * dtype.itemsize
        while rest:
            yield memoryview(past)[: min(rest, len(past))]
            rest -= min(rest, len(past))
        for part in table.parts(name, segment.first + gone, segment.count - gone):
            yield bytes_of(part)
