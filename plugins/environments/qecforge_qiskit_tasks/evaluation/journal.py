"""Completions as they come: a file of JSON lines that a kill leaves readable."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

from qecforge.errors import StoreError

__all__ = ["Drawn", "Journal", "Key", "as_samples"]

Key: TypeAlias = tuple[str, int, int]
"""Task, sample from 0 on, attempt from 1 on."""


@dataclass(frozen=True)
class Drawn:
    """One completion; `cut` as in `models.Answer`."""

    text: str
    cut: bool = False


class Journal:
    """Completions by key, kept in a file: each is on the disk when `add` returns.

    What a kill left of a last line is taken away when it is opened again.

    Args:
        path: Made with its folder where it is missing.
        before: Completions that are known already, of a file that is filed.

    Raises:
        StoreError: it cannot be written, or a line before the last is no completion.
    """

    def __init__(self, path: Path, before: bytes = b"") -> None:
        self._path = path
        self.completions: dict[Key, Drawn] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab+")
            self._file.seek(0)
            content = self._file.read()
            whole = content.rfind(b"\n") + 1
            self._file.truncate(whole)
            if not whole and before:
                content, whole = before, len(before)
                self._file.write(before)
                self._flush()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._read(content[:whole])
        except StoreError:
            self._file.close()
            raise

    def add(self, key: Key, drawn: Drawn) -> None:
        """Keep a completion."""
        task_id, sample, attempt = key
        line = {"task_id": task_id, "sample": sample, "attempt": attempt, "completion": drawn.text, "cut": drawn.cut}
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self.completions[key] = drawn

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, content: bytes) -> None:
        for number, line in enumerate(content.splitlines(), 1):
            try:
                read = json.loads(line)
                key = (str(read["task_id"]), int(read["sample"]), int(read["attempt"]))
                self.completions[key] = Drawn(str(read["completion"]), bool(read["cut"]))
            except (ValueError, TypeError, KeyError):
                raise StoreError(
                    f"{self._path}:{number}: is no completion: the file was altered; delete it to begin anew"
                ) from None

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(f"{self._path}: cannot be written ({error.strerror}): free space, or give another --store")


def as_samples(completions: dict[Key, Drawn]) -> bytes:
    """Lines of HumanEval's format, with sample and attempt beside; by task, sample and attempt."""
    lines = (
        {"task_id": task_id, "completion": drawn.text, "sample": sample, "attempt": attempt, "cut": drawn.cut}
        for (task_id, sample, attempt), drawn in sorted(completions.items())
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
