"""Removing all that a program has left in its folder, whatever it made there."""

from __future__ import annotations

import os

__all__ = ["Workplace"]


class Workplace:
    """The folder in which programs may write: `run` in `root`, which stays, and is emptied after each.

    Args:
        root: A folder of the cell's own.
        counted: Whether `root` is a file system of its own, so that what is used can be counted.
    """

    def __init__(self, root: str, counted: bool) -> None:
        self.root, self.counted = root, counted
        self.run, self.trash = f"{root}/run", f"{root}/trash"
        os.makedirs(self.run, 0o700, exist_ok=True)
        os.makedirs(self.trash, 0o700, exist_ok=True)
        self._moved = 0
        self._at_first = self._files()
        self._reset()

    def used(self) -> tuple[int, int]:
        """Files and bytes that are there now; (0, 0) where that cannot be counted."""
        if not self.counted:
            return 0, 0
        found = os.statvfs(self.root)
        return self._files() - self._at_first, (found.f_blocks - found.f_bfree) * found.f_frsize

    def wipe(self) -> None:
        """Empty the folder. Raises `OSError` where something is left. No process of a program may be there any more."""
        self._reset()
        self._empty(self.run)
        while self._empty(self.trash):
            pass
        if self.counted and self._files() != self._at_first:
            raise OSError("files are left that no folder lists")
        self._reset()

    def _reset(self) -> None:
        """Modes and times of the folders: a program may set those of what its user owns, and a later one read them."""
        for folder in (self.root, self.run, self.trash):
            if os.stat(folder).st_uid == os.getuid():
                os.chmod(folder, 0o700)
                os.utime(folder, (0, 0))

    def _empty(self, folder: str) -> bool:
        """Remove what a folder holds; folders in its folders are moved to the trash, so that depth does not matter."""
        entries = list(os.scandir(folder))
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for below in list(os.scandir(entry.path)):
                if below.is_dir(follow_symlinks=False):
                    os.chmod(below.path, 0o700)
                    self._moved += 1
                    os.rename(below.path, f"{self.trash}/{self._moved}")
                else:
                    os.unlink(below.path)
            os.rmdir(entry.path)
        return bool(entries)

    def _files(self) -> int:
        if not self.counted:
            return 0
        found = os.statvfs(self.root)
        return found.f_files - found.f_ffree
