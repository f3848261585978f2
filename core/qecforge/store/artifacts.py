"""Content-addressed files: each lies under the SHA-256 of what it holds, and is checked when it is read."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from qecforge.errors import StoreError, one_line
from qecforge.machine.files import is_inside, new_file

__all__ = ["ArtifactFolder"]

_BLOCK = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
_STAGED = ".staged-"
_ABANDONED_SECONDS = 86_400.0


class ArtifactFolder:
    """Files named by their hash, two hexadecimal digits a subfolder. Made when the first file comes.

    A file is written beside its place, brought to the disk, then renamed: after a crash at any instant it is there
    whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the file with this hash lies, or would. Raises `StoreError` where that is not in the folder."""
        path = self.folder / sha256[:2] / sha256
        if not (_HASH.fullmatch(sha256) and is_inside(self.folder, path.parent)):
            raise StoreError(
                f"{self.folder}: {one_line(sha256, 100)!r} leads out of the folder: restore a copy of the store"
            )
        return path

    def stage(self, content: bytes | Path) -> StagedFile:
        """Copy `content` (bytes, or the file at a path) to the disk under a temporary name.

        Raises:
            StoreError: the disk is full, the folder is read-only, or there is no such file.
        """
        if isinstance(content, Path) and not content.is_file():
            raise StoreError(f"{content}: no such file: an artifact is made of bytes or of a file that is there")
        digest, size = hashlib.sha256(), 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, staged = new_file(self.folder, _STAGED)
        except OSError as error:
            raise self.unwritable(error) from error
        try:
            with os.fdopen(handle, "wb") as target:
                for block in _blocks(content):
                    digest.update(block)
                    size += len(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise self.unwritable(error) from error
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        return StagedFile(self, staged, digest.hexdigest(), size)

    def read(self, sha256: str) -> bytes:
        """The file's content. Raises `StoreError` where it is missing or altered."""
        path = self.path(sha256)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise StoreError(f"{path}: is no regular file: restore a copy of the store")
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be read ({error.strerror}): keep this folder beside its database, or restore it"
            ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StoreError(f"{path}: is damaged (its content is not what its name says): restore a copy")
        return content

    def remove(self, sha256: str) -> None:
        """Delete the file, if it is there."""
        try:
            self.path(sha256).unlink(missing_ok=True)
        except OSError as error:
            raise self.unwritable(error) from error

    def remove_abandoned(self) -> None:
        """Delete what writers that were killed left behind: temporary files that nobody has touched for a day."""
        for staged in self.folder.glob(f"{_STAGED}*"):
            with suppress(FileNotFoundError):
                if time.time() - staged.stat().st_mtime > _ABANDONED_SECONDS:
                    staged.unlink()

    def unwritable(self, error: OSError) -> StoreError:
        """The error to raise for `error`."""
        return StoreError(
            f"{self.folder}: cannot be written ({error.strerror}): free space, make it writable, or give another store"
        )


class StagedFile:
    """A file that is on the disk but not yet in its place; as a context manager it leaves nothing behind."""

    def __init__(self, home: ArtifactFolder, path: Path, sha256: str, size: int) -> None:
        self._home, self._path, self.sha256, self.size = home, path, sha256, size

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def publish(self) -> None:
        """Put it in its place, replacing an equal file (and mending a damaged one)."""
        target = self._home.path(self.sha256)
        try:
            target.parent.mkdir(exist_ok=True)
            self._path.replace(target)
            for folder in (target.parent, self._home.folder):
                _sync_folder(folder)
        except OSError as error:
            raise self._home.unwritable(error) from error


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as source:
        while block := source.read(_BLOCK):
            yield block


def _sync_folder(folder: Path) -> None:
    """Bring a rename in `folder` to the disk."""
    if os.name == "nt":  # Windows cannot open folders, and orders renames itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
