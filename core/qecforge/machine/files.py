"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "is_inside",
    "new_file",
    "read_limited",
    "require_regular",
    "size_words",
    "too_large",
    "why_not",
    "write_whole",
]


def new_file(folder: Path, prefix: str) -> tuple[int, Path]:
    """A file of a new name in the folder, opened for writing, with the permissions that the umask leaves.

    Returns:
        Its descriptor, which the caller closes, and its path.

    Raises:
        OSError: It cannot be made.
    """
    path = folder / f"{prefix}{os.urandom(8).hex()}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), path


def write_whole(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file: where that fails, on a full disk say, what was at the path before is still there.

    A device or a pipe is written to as it is.

    Args:
        replace: Replace a file that exists; else it is refused.

    Raises:
        FileExistsError: It exists, and is not to be replaced.
        OSError: It cannot be written.
    """
    try:
        path = path.resolve()
    except (ValueError, RuntimeError) as error:  # an embedded null, a loop of links
        raise OSError(errno.EINVAL, str(error)) from error
    if path.exists():
        if not replace:
            raise FileExistsError(path)
        if not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(content)
            return
    descriptor, temporary = new_file(path.parent, ".written-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_limited(path: Path, limit: int) -> bytes:
    """All of a file that a user names, a pipe say, unless it has more than `limit` bytes.

    Raises:
        OSError: It cannot be read, or has more (EFBIG).
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, too_large(file, limit))
    return content


def require_regular(path: Path) -> None:
    """Refuse what has no end or can be read only once: a device, a pipe, a folder.

    Raises:
        OSError: The path is none of a regular file (EINVAL), or cannot be looked at.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def why_not(error: OSError | ValueError) -> str:
    """In words, why a file cannot be read or written: the system's reason, or what is wrong with its path."""
    return str((isinstance(error, OSError) and error.strerror) or error)


def size_words(size: int) -> str:
    """A number of bytes for people, in powers of ten: `1 byte`, `12.3 kB`, `1 MB`."""
    if size < 1000:
        return f"{size} byte{'s' * (size != 1)}"
    value, unit = size / 1e3, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1e3, larger
    return f"{value:.3g} {unit}"


def too_large(file: BinaryIO, limit: int) -> str:
    """Of an open file that has more than `limit` bytes: how large it is, and what is allowed."""
    information = os.fstat(file.fileno())
    known = stat.S_ISREG(information.st_mode) and information.st_size > limit
    exact = size_words(information.st_size)
    if not known:
        return f"has more than {size_words(limit)}"
    if exact == size_words(limit):  # which rounding makes equal
        exact = f"{information.st_size:,} bytes"
    return f"has {exact}, expected at most {size_words(limit)}"


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path lies below a folder, symbolic links followed."""
    return path.resolve().is_relative_to(folder.resolve())
