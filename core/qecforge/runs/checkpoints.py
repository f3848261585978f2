"""Checkpoints: one small file a run, replaced atomically, and beside it segments of rows that are written once.

The file is `MAGIC`, the bytes of the state's arrays one after the other, the rest of the state as JSON with where each
array lies, and an end that finds the JSON: its length, its SHA-256 and `END`. Every array and every segment has a
SHA-256 of its own. What was cut short or altered is refused, never half-read, and nothing that is read is executed.

A save does these steps, and after a kill at any instant the earlier checkpoint is there or the new one, whole:

1. rows that no segment holds yet are written to new segments, which the present file does not name, and synced;
2. a new file is written beside the present one, synced, and takes its place;
3. segments that it does not name, and what earlier saves have left half-written, are removed.

Two processes must not save to one path at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from qecforge.errors import CheckpointError, StoreError, one_line
from qecforge.learning.rows import Filed, Segment
from qecforge.runs._disk import Sink, Source, sync_folder
from qecforge.runs._encoding import Array, EncodedState, bytes_in_order, decode, describe_array, empty_array
from qecforge.runs._segments import describe_table, file_rows, read_table, sweep
from qecforge.runs._version_1 import MAGIC_1, load_version_1

__all__ = ["END", "MAGIC", "checkpoint_step", "load_checkpoint", "remove_checkpoint", "save_checkpoint"]

MAGIC, END = b"QECFCKP2", b"QECFCEND"
_END = struct.Struct("<Q32s8s")
_ADVICE = "restore the file, or start the run anew with `force`"


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path`. Takes memory for the numbers and strings, not for arrays and rows.

    Args:
        path: Its folder is made where it is missing.
        state: Nested mappings, lists and tuples of numbers, strings, None, numpy arrays, torch tensors and tables of
            rows. Of a table only the rows are written that are new since it was saved to this path or loaded from it.

    Raises:
        StoreError: A file cannot be written, or the disk is full; the earlier checkpoint is still there.
        TypeError: The state holds an object of another type; names its place.
    """
    path = path.absolute()
    encoded = EncodedState()
    tree = encoded.encode(state, "state")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    made = [temporary]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        segments = [file_rows(path, table, made.append) for table in encoded.tables]
        _write(temporary, tree, encoded, segments)
        if len(made) > 1:
            sync_folder(path.parent)
        temporary.replace(path)
    except OSError as error:
        for file in made:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    try:
        sync_folder(path.parent)
        for table, filed in zip(encoded.tables, segments, strict=True):
            table.filed = Filed(path, filed)
        sweep(path, (segment.name for filed in segments for segment in filed))
    except OSError as error:
        raise _unwritable(path, error) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` was given; tuples come back as lists, tensors on the CPU.

    Takes memory for what it returns and nothing beside.

    Raises:
        CheckpointError: A file cannot be read, is missing, cut short, altered, or no checkpoint.
    """
    path = path.absolute()
    try:
        with Source(path) as source:
            magic = source.read(min(len(MAGIC), source.length))
            if magic == MAGIC_1:
                return load_version_1(path, _ADVICE)
            if magic[:-1] == MAGIC[:-1] and magic != MAGIC:
                raise CheckpointError(f"{path}: of another version of qecforge: resume it with that, or {_ADVICE}")
            if magic != MAGIC:
                raise CheckpointError(f"{path}: not a qecforge checkpoint: {_ADVICE}")
            return _read(path, source)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}): make it readable, or start the run anew with `force`"
        ) from error


def checkpoint_step(path: Path) -> int:
    """The step at which the run's checkpoint at `path` was saved; 0 where there is none that can be read."""
    try:
        with Source(path.absolute()) as source:
            return int(json.loads(_index(path, source))["state"]["map"]["step"])
    except (OSError, CheckpointError, LookupError, TypeError, ValueError):
        return 0


def remove_checkpoint(path: Path) -> None:
    """Remove the checkpoint at `path`, if there is one, then its segments: a kill in between leaves no broken one."""
    path = path.absolute()
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)
        sweep(path)


def _write(path: Path, tree: Any, encoded: EncodedState, segments: Sequence[Sequence[Segment]]) -> None:
    with Sink(path) as sink:
        sink.write([MAGIC])
        arrays = []
        for array in encoded.arrays:
            at = sink.length
            digest = sink.write(bytes_in_order(array))
            arrays.append({**describe_array(array), "at": at, "length": sink.length - at, "sha256": digest})
        tables = [describe_table(table, filed) for table, filed in zip(encoded.tables, segments, strict=True)]
        content = {"state": tree, "arrays": arrays, "tables": tables}
        index = json.dumps(content, separators=(",", ":")).encode()
        sink.write([index, _END.pack(len(index), hashlib.sha256(index).digest(), END)])
        sink.sync()


def _read(path: Path, source: Source) -> dict[str, Any]:
    index = _index(path, source)
    try:
        content = json.loads(index)
        arrays = [_read_array(path, source, each) for each in content["arrays"]]
        tables = [read_table(path, each, _ADVICE) for each in content["tables"]]
        state: dict[str, Any] = decode(content["state"], arrays, tables)
    except MemoryError as error:
        raise CheckpointError(f"{path}: takes more memory than there is ({one_line(error)}): free some") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: unreadable checkpoint ({one_line(error) or type(error).__name__}): start the run anew "
            "with `force`"
        ) from error
    return state


def _index(path: Path, source: Source) -> bytes:
    """The JSON at the end of the file."""
    try:
        source.seek(max(0, source.length - _END.size))
        length, digest, end = _END.unpack(source.read(_END.size))
    except EOFError:
        end = b""
    if end != END:
        raise _damaged(path, source, "its end is missing")
    start = source.length - _END.size - length
    if start < len(MAGIC):
        raise _damaged(path, source, "its end is altered")
    source.seek(start)
    index = source.read(length)
    if hashlib.sha256(index).digest() != digest:
        raise _damaged(path, source, "checksum differs")
    return index


def _read_array(path: Path, source: Source, description: Mapping[str, Any]) -> Array:
    at, length = int(description["at"]), int(description["length"])
    if not (at >= len(MAGIC) and at + length <= source.length):
        raise ValueError(f"an array of {length} bytes at {at}")
    array, memory = empty_array(description, length)
    source.seek(at)
    if source.fill([memory]) != description["sha256"]:
        raise _damaged(path, source, "checksum differs")
    return array


def _damaged(path: Path, source: Source, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: damaged checkpoint ({source.length} bytes, {why}): {_ADVICE}")


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path}: cannot be written ({error.strerror}): free space, or put the store elsewhere (`store_url`)",
        parameter="store_url",
    )
