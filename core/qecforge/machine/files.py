"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["is_inside", "new_file", "write_whole"]


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
    path = path.resolve()
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


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path lies below a folder, symbolic links followed."""
    return path.resolve().is_relative_to(folder.resolve())
