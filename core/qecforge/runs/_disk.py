"""Files that are written and read from start to end, hashed on the way, without a second copy in memory."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHUNK", "Sink", "Source", "bytes_of", "sync_folder"]

CHUNK = 1 << 23
"""Bytes that are hashed and written, or read and hashed, while they are in the processor's cache."""


class Sink:
    """A new file. What is written is safe from a crash once `sync` has returned."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self.length = 0

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, parts: Iterable[memoryview | bytes]) -> str:
        """Append the parts; the SHA-256 of them, in hexadecimal digits."""
        digest = hashlib.sha256()
        for part in parts:
            view = memoryview(part)
            for at in range(0, len(view), CHUNK):
                rest = view[at : at + CHUNK]
                digest.update(rest)
                self.length += len(rest)
                while len(rest):
                    rest = rest[os.write(self._descriptor, rest) :]
        return digest.hexdigest()

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self._descriptor)


class Source:
    """A file that is there.

    Attributes:
        length: Its size in bytes.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "no regular file")
        self._file = FileIO(path)
        self.length = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def seek(self, at: int) -> None:
        """Go on reading at this byte."""
        self._file.seek(at)

    def read(self, length: int) -> bytes:
        """The next bytes. Raises `EOFError` where the file ends before."""
        content = bytearray(length)
        self.fill([memoryview(content)])
        return bytes(content)

    def fill(self, parts: Iterable[memoryview]) -> str:
        """Read the next bytes into the parts, in order; the SHA-256 of them, in hexadecimal digits.

        Raises:
            EOFError: The file ends before.
        """
        digest = hashlib.sha256()
        for part in parts:
            for at in range(0, len(part), CHUNK):
                chunk = part[at : at + CHUNK]
                rest = chunk
                while len(rest):
                    count = self._file.readinto(rest)
                    if not count:
                        raise EOFError("the file ends early")
                    rest = rest[count:]
                digest.update(chunk)
        return digest.hexdigest()


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The memory of a C-contiguous array, as bytes."""
    return array.reshape(-1).view(np.uint8).data


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder, new, replaced or removed ones, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
