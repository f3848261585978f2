"""Seccomp: which system calls a program may make, as a BPF program of ours.

What is not named is answered with ENOSYS, so that a system call that a later kernel brings is refused too.
Source: Documentation/userspace-api/seccomp_filter.rst; the numbers of audit.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping

from qecforge.sandbox.inside import system
from qecforge.sandbox.inside.syscalls import ALLOWED, DEADLY, NUMBERS, REFUSED

__all__ = ["make_filters", "restrict"]

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
LOAD, JUMP, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
FARTHEST = 255
"""Instructions that a conditional jump can pass over."""
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
DENIED = ERRNO | errno.EPERM
NUMBER, ARCHITECTURE = 0, 4

CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME."""

FOR_PROCESSES = ("fork", "vfork", "execve", "execveat", "kill", "setpgid", "setsid")
"""Allowed where the limits allow processes."""

OF_THE_SERVER = (
    *("clone", "pidfd_open", "prctl", "landlock_restrict_self", "sendmsg", "recvmsg", "sendto", "recvfrom"),
    *("tgkill", "prlimit64"),
)
"""What the fork server needs itself, or what depends on the child: asked for in the children's own filters."""

CHANGING_MODES = ("chmod", "fchmodat", "fchmodat2", "utime", "utimes", "utimensat", "futimesat")

PRCTLS = (1, 2, 3, 15, 16, 23, 29, 30, 39, 0x53564D41)
"""Death signal, reading `dumpable`, names, reading the bounding set, timer slack, `no_new_privs`, names of memory."""
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
FCNTLS = (0, 1, 2, 3, 4, 5, 36, 1030, 1032, 1033, 1034)
"""Duplicating, flags, whether there are locks, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, seals; none that sends signals or grows a
pipe, and none that locks: files of the system can be locked by who may only read them, and others wait for that."""

RENAMES = (0, 1, 2)
"""Plain, RENAME_NOREPLACE and RENAME_EXCHANGE; none that leaves a device behind (RENAME_WHITEOUT)."""

Instruction = tuple[int, int, int, int]


def make_filters(machine: str, *, modes: bool = True) -> tuple[bytes, bytes, bytes]:
    """Three filters, as `struct sock_filter`s: one for the fork server, which its children inherit, and those that a
    child adds, without and with processes. The kernel takes the strictest answer of all that are imposed. Most of the
    work is thus done once: to impose the whole filter costs each program some tenths of a millisecond.

    Args:
        machine: As `os.uname().machine` names it. Raises `OSError` where it is not one of `ARCHITECTURES`.
        modes: Whether modes and times of files may be changed by name, which Landlock does not see.
    """
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter is written for machines of kind {machine}")
    numbers = NUMBERS[machine]
    needed = {numbers[name] for name in (*OF_THE_SERVER, *FOR_PROCESSES, *CHANGING_MODES) if name in numbers}
    whole = _answers(numbers, processes=False, modes=modes)
    server = {**whole, **{number: [_end(ALLOW)] for number in needed}}
    if machine == "x86_64":
        server[X32_BIT] = [_end(KILL)]
    code: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, ARCHITECTURES[machine]), _end(KILL)]
    code += [(LOAD, 0, 0, NUMBER), *_search(_ranges(server, [_end(ERRNO | errno.ENOSYS)]))]
    alone, several = (
        [
            (LOAD, 0, 0, NUMBER),
            *_search(_ranges({number: each[number] for number in sorted(needed)}, [_end(ALLOW)])),
        ]
        for each in (whole, _answers(numbers, processes=True, modes=modes))
    )
    return _packed(code), _packed(alone), _packed(several)


def _answers(numbers: Mapping[str, int], *, processes: bool, modes: bool) -> dict[int, list[Instruction]]:
    """What a program is answered, by the number of the system call; those that are not there are unknown."""
    blocks: dict[int, list[Instruction]] = {}
    allowed = [*ALLOWED, *(FOR_PROCESSES if processes else ())]
    changing = () if modes else CHANGING_MODES
    # Later ones replace earlier ones.
    for names, result in ((DEADLY, KILL), (REFUSED, DENIED), (allowed, ALLOW), (changing, DENIED)):
        blocks |= {numbers[name]: [_end(result)] for name in names if name in numbers}
    return blocks | {numbers[name]: block for name, block in _checked(processes).items()}


def _packed(code: list[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *each) for each in code)


def _ranges(blocks: Mapping[int, list[Instruction]], between: list[Instruction]) -> list[tuple[int, list[Instruction]]]:
    """From which number on which block holds: of equal neighbours one, and what is `between` for all other numbers.
    The block of `X32_BIT` holds for all from there on."""
    found: list[tuple[int, list[Instruction]]] = [(0, between)]
    for number in sorted(blocks):
        following = [(number, blocks[number])]
        if number != X32_BIT:
            following.append((number + 1, between))
        if found[-1][0] == number:
            found.pop()
        for start, block in following:
            if not found or found[-1][1] != block:
                found.append((start, block))
    return found


def _search(ranges: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """A binary search for the range of a number; the kernel runs a filter for every number when it is imposed."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    if len(below) <= FARTHEST:
        return [(AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]
    return [(AT_LEAST, 0, 1, ranges[middle][0]), (JUMP, 0, 0, len(below)), *below, *above]


OWN_PID = 0x0BADC0DE
"""Stands in the filter where the number of the process belongs."""


def restrict(filter_: bytes) -> None:
    """Impose a filter on the process, which has one thread and `no_new_privs`."""
    filter_ = filter_.replace(struct.pack("=I", OWN_PID), struct.pack("=I", os.getpid()))
    code = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("=H6xQ", len(filter_) // 8, ctypes.addressof(code))
    system.prctl(22, 2, ctypes.c_char_p(program))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _checked(processes: bool) -> dict[str, list[Instruction]]:
    """System calls that depend on an argument."""
    flags: list[Instruction] = [(LOAD, 0, 0, _argument(0))]
    if processes:
        clone = [*flags, (ANY_BIT, 0, 1, CLONE_NAMESPACES), _end(DENIED), _end(ALLOW)]
    else:
        clone = [*flags, (ANY_BIT, 1, 0, CLONE_NAMESPACES & ~0xFF), (ANY_BIT, 1, 0, CLONE_THREAD), _end(DENIED)]
        clone.append(_end(ALLOW))
    own = (OWN_PID,) if not processes else None
    return {
        "clone": clone,
        "clone3": [_end(ERRNO | errno.ENOSYS)],
        "prctl": _one_of(0, PRCTLS, errno.EPERM),
        "ioctl": _one_of(1, IOCTLS, errno.ENOTTY),
        "fcntl": _one_of(1, FCNTLS, errno.EPERM),
        "tgkill": _one_of(0, own, errno.EPERM) if own else [_end(ALLOW)],
        "prlimit64": _one_of(0, (0, OWN_PID), errno.EPERM),
        "sched_setaffinity": _one_of(0, (0,), errno.EPERM),
        "personality": _one_of(0, (0xFFFFFFFF,), errno.EPERM),
        "renameat2": _one_of(4, RENAMES, errno.EINVAL),
        "get_robust_list": _one_of(0, (0,), errno.EPERM),
    }


def _one_of(argument: int, values: Iterable[int], error: int) -> list[Instruction]:
    """The low word of an argument is one of these, else the error; a high word is not looked at by these calls."""
    block: list[Instruction] = [(LOAD, 0, 0, _argument(argument))]
    for value in values:
        block += [(EQUAL, 0, 1, value), _end(ALLOW)]
    return [*block, _end(ERRNO | error)]


def _argument(index: int) -> int:
    return 16 + 8 * index


def _end(result: int) -> Instruction:
    return (RETURN, 0, 0, result)
