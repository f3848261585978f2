"""The system calls that Python has no function for, by libc, looked up once before any child is forked."""

from __future__ import annotations

import ctypes
import os
import struct

from qecforge.sandbox.inside.syscalls import NUMBERS

__all__ = ["call", "drop_privileges", "prctl", "set_dumpable"]

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
LAST_CAPABILITY = 63
CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_prctl = _libc.prctl


def call(number: int, *arguments: object) -> int:
    """A system call by number. Raises `OSError`."""
    result = int(_syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, *arguments: object) -> int:
    """`prctl`; missing arguments are 0. Raises `OSError`."""
    padded = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    padded += [ctypes.c_ulong(0)] * (4 - len(padded))
    result = int(_prctl(ctypes.c_int(option), *padded))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def set_dumpable(dumpable: bool) -> None:
    """Whether the process may be traced, dumps core, and owns its files in /proc."""
    prctl(PR_SET_DUMPABLE, int(dumpable))


def drop_privileges(uid: int) -> None:
    """From root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP to an unprivileged user, for good."""
    for capability in range(LAST_CAPABILITY):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    call(NUMBERS[os.uname().machine]["capset"], ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))
