"""Files that a manifest names: which of them are read, and how.

A manifest may come from somebody else. So a path in it is seen from the manifest's folder and must stay below it, or
below a path that the user allows; what is read is a regular file of limited size, as it stands: no URL, no device,
nothing unpacked. Messages name the file and say nothing of what is in it. A run that is rebuilt from its canonical
text, which may come from somebody else's store, reads only files whose hash is in that text. A file that a run writes
lies below the current folder, the manifest's, or what the user allows.

A plugin whose configuration names a file reads it here, in a validator or in its `pin`:

    @field_validator("circuit", mode="before")
    @classmethod
    def _read(cls, value):
        return read_named_file(value).text if isinstance(value, str) and value.endswith(".stim") else value
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.files import too_large, why_not

__all__ = [
    "MAX_FILE_BYTES",
    "NamedFile",
    "check_written_file",
    "files_as_checked",
    "files_of_manifest",
    "files_of_stored_run",
    "is_named_folder",
    "read_named_file",
    "require_allowed_name",
]

MAX_FILE_BYTES = 64_000_000


@dataclass(frozen=True)
class NamedFile:
    """A file that a manifest names, read.

    Attributes:
        name: As it was given.
        path: As seen from the current folder: for a configuration that keeps the name, to read the file again later.
    """

    name: str
    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def text(self) -> str:
        """The content, which is UTF-8 text. Raises `ConfigurationError` where it is not."""
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{_shown(self.name)} is not UTF-8 text: save it as UTF-8") from None


@dataclass(frozen=True)
class _Access:
    """What may be read.

    Attributes:
        folder: From which names are seen.
        below: Files, and folders whose files may be read; None for all.
        stored: Only files whose hash is known.
        checked: Whatever is named was checked before.
    """

    folder: Path
    below: tuple[Path, ...] | None = None
    stored: bool = False
    checked: bool = False


_access: ContextVar[_Access | None] = ContextVar("access to named files", default=None)


@contextmanager
def files_of_manifest(folder: Path, allowed: Sequence[str | os.PathLike[str]] = ()) -> Iterator[None]:
    """In the block, names are seen from `folder`, and files are read below it and below what is `allowed`.

    Args:
        allowed: Files and folders, seen from the current folder.
    """
    below = (_resolved(folder), *(_resolved(Path(each).expanduser()) for each in allowed))
    token = _access.set(_Access(folder, below))
    try:
        yield
    finally:
        _access.reset(token)


@contextmanager
def files_of_stored_run() -> Iterator[None]:
    """In the block, files are read only where their hash is given: for runs that are rebuilt from a canonical text."""
    access = _access.get()
    token = _access.set(access if access is not None and access.checked else _Access(Path(), stored=True))
    try:
        yield
    finally:
        _access.reset(token)


@contextmanager
def files_as_checked() -> Iterator[None]:
    """In the block, `files_of_stored_run` changes nothing: for a run that this command has planned from its manifest,
    and that is rebuilt in another process."""
    token = _access.set(_Access(Path(), checked=True))
    try:
        yield
    finally:
        _access.reset(token)


def read_named_file(
    name: str, *, limit: int = MAX_FILE_BYTES, sha256: str | None = None, pinned: bool = False
) -> NamedFile:
    """Read a file whose path stands in a configuration.

    While a manifest is read, under the rules of this module. A configuration that is made in Python may name any
    regular file, seen from the current folder.

    Args:
        name: A path. Seen from the manifest's folder where it is relative.
        limit: Bytes that the file may have.
        sha256: Of what the content must be, in hexadecimal digits; None where that is not known.
        pinned: The caller has another hash, of what is in the file, and compares that.

    Raises:
        ConfigurationError: It may not be read, is no regular file, is larger, or has another content.
    """
    access = _access.get() or _Access(Path())
    shown = _shown(name)
    path = _located(name, access, pinned=pinned or sha256 is not None)
    content = _read(path, shown, limit)
    file = NamedFile(name, access.folder / name, content)
    if sha256 is not None and sha256 != file.sha256:
        raise ConfigurationError(
            f"{shown} has the hash {file.sha256[:12]}, expected {sha256[:12]}: restore the file, or run with the new "
            "one"
        )
    return file


def is_named_folder(name: str, *, pinned: bool = False) -> Path | None:
    """The folder that a configuration names, as seen from the current one, for a plugin that reads the files in it;
    None where it is no folder. Each of its files is then read by `read_named_file`.

    Args:
        pinned: As in `read_named_file`.

    Raises:
        ConfigurationError: It may not be read.
    """
    access = _access.get() or _Access(Path())
    try:
        is_folder = _located(name, access, pinned=pinned).is_dir()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{_shown(name)} cannot be read ({why_not(error)}): give the path of a file") from None
    return access.folder / name if is_folder else None


def require_allowed_name(name: str, what: str) -> None:
    """Refuse what a manifest names that is no file and would be fetched, unless the user allows it by that name.

    Args:
        what: In words, such as "a data set of a hub".

    Raises:
        ConfigurationError: A manifest names it without leave, or a stored run.
    """
    access = _access.get() or _Access(Path())
    if access.stored or (access.below is not None and _resolved(Path(name)) not in access.below):
        raise ConfigurationError(
            f"{_shown(name)} is {what}, which is not fetched for a manifest: save it as a file and give its path, or "
            "name it in `allow`",
            parameter="allow",
        )


def check_written_file(name: str) -> str:
    """Refuse a file that a run writes outside of the current folder, the manifest's, and what the user allows.

    Args:
        name: A path, seen from the current folder.

    Returns:
        The name.

    Raises:
        ConfigurationError: A manifest or a stored run names such a file.
    """
    access = _access.get()
    if access is None or access.checked:
        return name
    path = _resolved(Path(name))
    if not any(path.is_relative_to(each) for each in (_resolved(Path()), *(access.below or ()))):
        raise ConfigurationError(
            f"{_shown(name)} is not below the current folder: give a file below it, or name it in `allow`",
            parameter="allow",
        )
    return name


def _located(name: str, access: _Access, *, pinned: bool) -> Path:
    """Where a file or folder lies. Raises `ConfigurationError` where it may not be read."""
    shown = _shown(name)
    if "://" in name:
        raise ConfigurationError(f"{shown} is a URL: save the file, and give its path")
    if access.stored and not pinned:
        raise ConfigurationError(f"{shown} is a file, which a stored run does not name: run its manifest anew")
    path = _resolved(access.folder / name)
    if access.below is not None and not any(path.is_relative_to(each) for each in access.below):
        raise ConfigurationError(
            f"{shown} is not below the manifest's folder: copy it there, or name it in `allow`", parameter="allow"
        )
    return path


def _read(path: Path, shown: str, limit: int) -> bytes:
    try:
        # A device is not even opened: that alone can block, or do something. What takes the file's place between the
        # two is found by `fstat`, and cannot block.
        regular = stat.S_ISREG(path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)) if regular else -1
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{shown} cannot be read ({reason}): give the path of a file") from None
    if descriptor < 0:
        raise ConfigurationError(f"{shown} is no regular file: give the path of one")
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"{shown} is no regular file: give the path of one")
        try:
            content = file.read(limit + 1)
            large = too_large(file, limit) if len(content) > limit else ""
        except OSError as error:
            raise ConfigurationError(f"{shown} cannot be read ({error.strerror}): give another file") from None
    if large:
        raise ConfigurationError(f"{shown} {large}: give a smaller file")
    return content


def _resolved(path: Path) -> Path:
    """Absolute and without symbolic links; as it stands where the system cannot follow it."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path.absolute()


def _shown(name: str) -> str:
    return repr(one_line(name, 200))
