"""Checkpoints: one file a run, replaced atomically, read back without unpickling anything but plain data.

The file is `MAGIC`, the SHA-256 of the payload, then the payload: `torch.save` of nested dicts and lists of numbers,
strings and tensors, read with `weights_only=True`. A file that was cut short or altered is refused, never half-read.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qecforge.errors import CheckpointError, StoreError

__all__ = ["MAGIC", "load_checkpoint", "save_checkpoint", "write_atomically"]

MAGIC = b"QECFCKP1"
_ARRAY = "__ndarray__"


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`: after a crash at any instant the old file or the new one is there, whole.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}): free space or choose another store (`store_url`)",
            parameter="store_url",
        ) from error


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path`.

    Args:
        path: Its folder is made where it is missing.
        state: Nested mappings, lists and tuples of numbers, strings, None, numpy arrays and torch tensors.

    Raises:
        StoreError: the file cannot be written; the earlier checkpoint is still there.
        TypeError: the state holds an object of another type; names its place.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(_encode(state, "state"), buffer)
    payload = buffer.getvalue()
    write_atomically(path, MAGIC + hashlib.sha256(payload).digest() + payload)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` was given; tuples come back as lists.

    Raises:
        CheckpointError: the file cannot be read, is cut short, altered, or no checkpoint.
    """
    import torch

    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}): make it readable, or start anew with `force`"
        ) from error
    digest, payload = content[len(MAGIC) : len(MAGIC) + 32], content[len(MAGIC) + 32 :]
    if not content.startswith(MAGIC):
        raise CheckpointError(f"{path}: not a qecforge checkpoint: restore the file, or start anew with `force`")
    if hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(
            f"{path}: damaged checkpoint ({len(content)} bytes, checksum differs): "
            "restore the file, or start anew with `force`"
        )
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: unreadable checkpoint ({error}): start anew with `force`") from error
    decoded: dict[str, Any] = _decode(state)
    return decoded


def _encode(value: Any, place: str) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray):
        raw = torch.frombuffer(bytearray(np.ascontiguousarray(value).tobytes()) or bytearray(1), dtype=torch.uint8)
        return {_ARRAY: raw, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {key: _encode(item, f"{place}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{place}: {type(value).__name__} cannot be kept in a checkpoint; use numbers, strings or arrays")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            dtype, shape = np.dtype(value["dtype"]), tuple(value["shape"])
            size = dtype.itemsize * int(np.prod(shape))
            return np.frombuffer(value[_ARRAY].numpy().tobytes()[:size], dtype=dtype).reshape(shape).copy()
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value
