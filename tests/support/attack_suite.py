"""The attacks on the sandbox, run one after the other in one cell, and what became of the host meanwhile.

python attack_suite.py         # all of them as the user who runs it; rows as JSON
"""

import contextlib
import json
import os
import re
import shlex
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ATTACKS = Path(__file__).resolve().parents[1] / "core" / "sandbox" / "attacks"

PRELUDE = """
import os, sys
from qecforge.sandbox.inside.syscalls import NUMBERS
SYSCALL = NUMBERS[os.uname().machine]
def libc_call(number, *arguments):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def libc_prctl(option, value):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(option, ctypes.c_ulong(value & 2**64 - 1), 0, 0, 0)
def must(call, *arguments):
    result = call(*arguments)
    if result < 0:
        raise OSError("refused")
    return result
def must_fail(what, call, *arguments):
    try:
        result = call(*arguments)
    except Exception as error:
        print("refused", what, type(error).__name__)
        return
    print("BREACH", what, repr(result)[:100])
def answer(x):
    return 0
"""

TESTS = """
import random
SECRET = "SECRET-MULTIPLIER"
drawn = random.SystemRandom()
def test_value(program):
    for _ in range(3):
        x = drawn.getrandbits(40)
        assert program.answer(x) == (x * 2654435761) ^ 0x5DEECE66D
def test_type(program):
    assert type(program.answer(1)) is int
    assert program.answer(2) == (2 * 2654435761) ^ 0x5DEECE66D
"""

NEXT = """
import builtins, gc, os, resource, random, signal, sys, threading
import numpy
print(sorted(os.listdir(".")), os.getcwd()[-4:], oct(os.stat(".").st_mode), os.stat(".").st_nlink)
around = [os.stat(each) for each in (".", "../trash", "..")]
print([(each.st_mtime, oct(each.st_mode)) for each in around if each.st_uid == os.getuid()])
print(sys.argv, sorted(os.environ))
print(threading.active_count(), [signal.getsignal(each) for each in (2, 15, 24, 14)], signal.pthread_sigmask(0, ()))
print([resource.getrlimit(each) for each in range(16)])
print(random.random(), numpy.random.rand(), isinstance(1, str), type(1), len(sys.meta_path), builtins.any([0]))
print([each for each in ("left", ".hidden", "/tmp/left") if os.path.exists(each)])
if os.path.exists("/cell"):
    free = os.statvfs("/cell")
    print(free.f_bfree, free.f_ffree)
answer = lambda x: (x * 2654435761) ^ 0x5DEECE66D
"""

OPTIONS = {
    "cpu": ("cpu_seconds", float),
    "wall": ("wall_seconds", float),
    "memory": ("memory", lambda text: text.replace("MiB", " MiB")),
    "disk": ("disk", lambda text: text.replace("MiB", " MiB")),
    "output": ("output", lambda text: text.replace("KiB", " KiB")),
    "files": ("files", int),
    "processes": ("processes", int),
}


CPU_SECONDS = 30.0
"""Of an attack that ends by itself: many times what it takes anywhere, so that no verdict depends on the machine. Only
those that compute until they are ended have less."""


@dataclass(frozen=True)
class Attack:
    kind: str
    name: str
    source: str
    limits: dict
    expected: tuple


def load():
    """All attacks, in a fixed order."""
    found = []
    for file in sorted(ATTACKS.glob("*.txt")):
        for block in re.split(r"^### ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            head, _, source = block.partition("\n")
            name, *options = shlex.split(head)
            given = dict(each.split("=") for each in options)
            expected = tuple(given.pop("expect", "failed").split("|"))
            limits = {OPTIONS[key][0]: OPTIONS[key][1](value) for key, value in given.items()}
            found.append(Attack(file.stem, name, source, limits, expected))
    return found


@contextlib.contextmanager
def host(folder):
    """Canaries: a file, and listeners that nobody may reach. Gives names to put into the attacks, and a function that
    says what has happened to them."""
    canary = folder / "canary"
    canary.write_text("do not touch")
    canary.chmod(0o666)
    abstract = f"qecforge-canary-{os.getpid()}"
    listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)]
    listeners[1].bind(("127.0.0.1", 0))
    for name in (str(folder / "listener"), f"\0{abstract}"):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(name)
        listeners[-1].listen()
    (folder / "listener").chmod(0o777)
    for each in listeners:
        each.setblocking(False)
    names = {
        "CANARY": str(canary),
        "TCP_PORT": str(listeners[0].getsockname()[1]),
        "UDP_PORT": str(listeners[1].getsockname()[1]),
        "UNIX": str(folder / "listener"),
        "ABSTRACT": abstract,
        "HOST_PID": str(os.getpid()),
    }

    def harmed():
        found = []
        if canary.read_text() != "do not touch" or {each.name for each in folder.iterdir()} != {"canary", "listener"}:
            found.append("files")
        for each in listeners:
            with contextlib.suppress(BlockingIOError):
                each.recv(1) if each.type == socket.SOCK_DGRAM else each.accept()
                found.append(f"{each.family.name} {each.type.name}")
        return found

    try:
        yield names, harmed
    finally:
        for each in listeners:
            each.close()


def processes_of(pid):
    """All processes below one, by what the kernel says."""
    found, waiting = [], [pid]
    while waiting:
        with contextlib.suppress(OSError):
            at = waiting.pop()
            for thread in Path(f"/proc/{at}/task").iterdir():
                children = (thread / "children").read_text().split()
                found += children
                waiting += map(int, children)
    return len(found)


def run(folder, profile="bubblewrap", wanted=None):
    """A row for each attack: what was asked, and what happened."""
    from qecforge.sandbox import Limits, Program, Sandbox, SandboxConfig

    rows = []
    config = SandboxConfig(cells=1, profile=profile, attempts=2)
    following = Program(NEXT, tests=TESTS, limits=Limits(cpu_seconds=CPU_SECONDS))
    with host(folder) as (names, harmed), Sandbox(config) as sandbox:
        (first,) = sandbox.run([following])
        assert first.passed, first
        for attack in load():
            if wanted is not None and attack.name not in wanted:
                continue
            if profile == "landlock" and attack.limits.get("processes"):
                continue
            source = PRELUDE + attack.source
            for name, value in names.items():
                source = source.replace("{" + name + "}", value)
            limits = Limits(**{"cpu_seconds": CPU_SECONDS, **attack.limits})
            (outcome,) = sandbox.run([Program(source, tests=TESTS, limits=limits)])
            (after,) = sandbox.run([following])
            cells = [cell for slot in sandbox._all for cell in slot._cells.values()]
            rows.append(
                {
                    "attack": attack.name,
                    "verdict": outcome.verdict.value,
                    "expected": attack.expected,
                    "passed": outcome.passed or outcome.verdict.value == "passed" or outcome.fraction == 1,
                    "detail": outcome.detail,
                    "breaches": re.findall("BREACH.*", outcome.output + outcome.detail),
                    "next": "" if after.passed and after.output == first.output else f"{after}\n{first}",
                    "left": [processes_of(cell._process.pid) for cell in cells],
                    "harmed": harmed(),
                    "cpu": outcome.cpu_seconds,
                    "cpu_limit": limits.cpu_seconds,
                    "memory": outcome.memory,
                    "memory_limit": limits.bytes_of_memory,
                    "output": len(outcome.output),
                }
            )
    return rows


def main():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        print(json.dumps(run(Path(name), *sys.argv[1:2], wanted=sys.argv[2:] or None)))


if __name__ == "__main__":
    main()
