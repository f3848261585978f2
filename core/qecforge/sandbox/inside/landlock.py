"""Landlock: which files a process may open, no TCP, no signals and abstract sockets beyond it.

Source: Documentation/userspace-api/landlock.rst of Linux 6.15 (ABI 7).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from qecforge.sandbox.inside import system

__all__ = ["abi", "make_ruleset", "restrict"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights on files that an ABI knows; those after the last have as many."""
TCP, SCOPES = 0b11, 0b11
"""Bind and connect (from ABI 4); abstract unix sockets and signals (from ABI 6)."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The version of the kernel's Landlock; 0 where it has none, or it is switched off."""
    try:
        return system.call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))
    except OSError:
        return 0


def make_ruleset(readable: Iterable[str], writable: Iterable[str], executable: bool) -> int:
    """A ruleset that `restrict` imposes: all else, TCP, signals to and abstract sockets of others are refused.

    Args:
        readable: Files and folders; those that are not there are left out.
        writable: Folders in which files, folders and links may be made, changed and removed, but no devices, sockets
            and named pipes.
        executable: Whether what is readable may be executed.

    Returns:
        Its descriptor. Raises `OSError` where the kernel has no Landlock.
    """
    version = abi()
    rights = FILE_RIGHTS[min(max(version, 1), 5)]
    attributes = _Ruleset(rights, TCP if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = system.call(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    reading = READ_FILE | READ_DIR | (EXECUTE if executable else 0)
    special = EXECUTE | MAKE_CHAR | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | IOCTL_DEV
    for paths, allowed in ((readable, reading), (writable, rights & ~special)):
        for path in paths:
            _add(ruleset, path, allowed & rights)
    return ruleset


def _add(ruleset: int, path: str, allowed: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            allowed &= OF_FILES
        rule = _PathBeneath(allowed, opened)
        system.call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(opened)


def restrict(ruleset: int) -> None:
    """Impose a ruleset on the calling thread and all that come from it; it needs `no_new_privs`."""
    system.call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
