"""Checkpoints as they were at first, for runs that were interrupted then.

The file is `MAGIC_1`, the SHA-256 of the payload, then the payload: `torch.save` of nested dicts and lists of numbers,
strings and tensors, read with `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from qecforge.errors import CheckpointError, one_line

__all__ = ["MAGIC_1", "load_version_1"]

MAGIC_1 = b"QECFCKP1"
_ARRAY = "__ndarray__"


def load_version_1(path: Path, advice: str) -> dict[str, Any]:
    """The state that was saved. Raises `CheckpointError`, which ends with the advice, where the file is damaged."""
    import torch

    content = path.read_bytes()
    digest, payload = content[len(MAGIC_1) : len(MAGIC_1) + 32], content[len(MAGIC_1) + 32 :]
    if hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{path}: damaged checkpoint ({len(content)} bytes, checksum differs): {advice}")
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: unreadable checkpoint ({one_line(error)}): start the run anew") from error
    decoded: dict[str, Any] = _decode(state)
    return decoded


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
