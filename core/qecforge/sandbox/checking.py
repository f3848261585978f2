"""Whether the layers hold on this machine: a probe for each, run in a cell."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from qecforge.errors import InfrastructureError, MissingDependency, SandboxUnavailable, one_line
from qecforge.sandbox.bubblewrap import bwrap_version, find_bwrap
from qecforge.sandbox.cell import ENVIRONMENT, Cell
from qecforge.sandbox.config import Profile, SandboxConfig, Tier
from qecforge.sandbox.outcome import Outcome, Verdict
from qecforge.sandbox.program import Limits, Program
from qecforge.sandbox.sandbox import Sandbox

__all__ = ["Layer", "State", "check_layers", "sandbox_works"]


class State(StrEnum):
    """How it stands with a layer."""

    HOLDS = "holds"
    WEAK = "weak"
    """It is there in part, or another one has to do its work."""
    ABSENT = "absent"


@dataclass(frozen=True)
class Layer:
    """One row of the report.

    Attributes:
        layer: What it is called.
        state: What the probe found.
        probe: What was done in the cell, and what was seen.
        remedy: What to install or to set; empty where it holds.
    """

    layer: str
    state: State
    probe: str
    remedy: str = ""


NEWER_KERNEL = "run a kernel of 6.12 or later with landlock in /sys/kernel/security/lsm"
CONTAINER = (
    "in Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
    "systempaths=unconfined, and as root --cap-add SYS_ADMIN too; or choose the profile landlock"
)
GROUP = (
    "run as root, or in a control group of your own with the memory controller (systemd-run --user --scope -p "
    "Delegate=yes ...)"
)

FORGER = """
import os
for number in range(64):
    try:
        os.write(number, b"passed")
    except OSError:
        pass
os._exit(0)
"""
TRIED = """
import os, socket
tried = []
for call in (socket.socket, os.fork, os.setsid, lambda: os.kill(os.getpid(), 0)):
    try:
        call()
        tried.append("works")
    except PermissionError:
        tried.append("denied")
print(*tried)
"""
THREADS = """
import threading, time
for _ in range(200):
    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
"""
BLOCK = "bytearray(1 << 32)"
FILL = """
with open("f", "wb") as file:
    for _ in range(64):
        file.write(bytes(1 << 20))
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
"""
HONEST = "def answer(x):\n    return x + 1\n"
TESTS = "def test_answer(program):\n    assert program.answer(20) == 21\n"


def sandbox_works(layers: list[Layer]) -> bool:
    """Whether programs may be run: no layer is absent."""
    return all(layer.state is not State.ABSENT for layer in layers)


def check_layers(profile: Profile = Profile.BUBBLEWRAP) -> list[Layer]:
    """Probe all layers of a profile. Where no cell can be made there is the row of what stands against it alone."""
    config = SandboxConfig(cells=1, tiers=(Tier("probe"),), profile=profile, attempts=1)
    rows = []
    if profile is Profile.BUBBLEWRAP:
        try:
            bwrap = find_bwrap()
            version = ".".join(map(str, bwrap_version(bwrap)))
        except SandboxUnavailable as error:
            return [Layer("bubblewrap", State.ABSENT, one_line(error), "install bubblewrap 0.8.0 or later")]
        rows.append(Layer("bubblewrap", State.HOLDS, f"{bwrap} is of version {version}"))
    try:
        with Sandbox(config) as sandbox, _canaries() as (file, port, abstract):
            sandbox.start()
            (cell,) = (cell for slot in sandbox._all for cell in slot._cells.values())
            probes = _Probes(sandbox, cell, file, port, abstract)
            return rows + [probe() for probe in probes.every()]
    except (InfrastructureError, MissingDependency) as error:
        return [*rows, Layer("cell", State.ABSENT, one_line(error, 400), _why_no_cell(profile))]


@contextlib.contextmanager
def _canaries() -> Iterator[tuple[str, int, str]]:
    """A file that all may read, a TCP port and an abstract socket: what no program may reach."""
    with (
        tempfile.NamedTemporaryFile("w", prefix="qecforge-canary-") as file,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        file.write("seen")
        file.flush()
        Path(file.name).chmod(0o644)
        abstract = f"qecforge-canary-{os.getpid()}"
        unix.bind(f"\0{abstract}")
        unix.listen()
        yield file.name, tcp.getsockname()[1], abstract


def _why_no_cell(profile: Profile) -> str:
    """What on this machine stands against a cell, as far as it says so."""
    python = os.path.realpath(sys.executable)
    if profile is Profile.LANDLOCK and os.geteuid() == 0:
        return f"be another user than root, or let all users read the interpreter {python} and its packages"
    if os.geteuid() != 0 and not os.access(python, os.X_OK):
        return f"let this user read the interpreter {python}"
    for name, forbids, remedy in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w {}=0, or an AppArmor profile for bwrap"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w {}=1"),
        ("user/max_user_namespaces", "0", "sysctl -w {}=10000"),
    ):
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text(encoding="ascii").strip() == forbids and os.geteuid() != 0:
                return remedy.format(name.replace("/", "."))
    return CONTAINER


@dataclass
class _Probes:
    sandbox: Sandbox
    cell: Cell
    file: str
    port: int
    abstract: str

    @property
    def isolated(self) -> bool:
        return self.sandbox.config.profile is Profile.BUBBLEWRAP

    def every(self) -> list[Callable[[], Layer]]:
        spaces = [self.processes, self.network, self.files] if self.isolated else [self.no_spaces]
        common = [self.user, self.capabilities, self.landlock, self.seccomp, self.limits, self.environment]
        after = [self.left_behind] if self.isolated else []
        return [*spaces, *common, self.disk, self.memory, *after, self.clock, self.judge]

    def run(self, source: str, **limits: int | float | str) -> Outcome:
        (outcome,) = self.sandbox.run([Program(source, limits=replace(Limits(cpu_seconds=5.0), **limits))])  # type: ignore[arg-type]
        return outcome

    def says(self, source: str) -> str:
        """What a probe printed, which is one line."""
        outcome = self.run(source)
        return outcome.output.strip() or outcome.detail

    def no_spaces(self) -> Layer:
        return Layer(
            "namespaces",
            State.WEAK,
            "the profile landlock has none: names and sizes of files can be seen, and UDP is denied by seccomp alone",
            "use the profile bubblewrap where it can be had",
        )

    def processes(self) -> Layer:
        own = self.cell.facts["pid"] == 1
        return Layer(
            "process space",
            State.HOLDS if own else State.ABSENT,
            f"the fork server is process {self.cell.facts['pid']} there",
            "" if own else CONTAINER,
        )

    def network(self) -> Layer:
        found = [name for name in self.cell.facts["interfaces"] if name != "lo"]
        return Layer(
            "network space",
            State.ABSENT if found else State.HOLDS,
            f"interfaces beside the loopback: {', '.join(found) or 'none'}",
            CONTAINER if found else "",
        )

    def files(self) -> Layer:
        said = self.says(
            f"import os\nprint(os.path.exists({self.file!r}), sorted(os.statvfs(p).f_flag & 1 for p in ('/', '/usr')))"
        )
        return Layer(
            "files",
            State.HOLDS if said == "False [1, 1]" else State.ABSENT,
            f"a file of the host is there, and the system is read-only: {said}",
            "" if said == "False [1, 1]" else CONTAINER,
        )

    def user(self) -> Layer:
        uid = self.cell.facts["uid"]
        return Layer(
            "user", State.HOLDS if uid else State.ABSENT, f"programs run as user {uid}", "" if uid else CONTAINER
        )

    def capabilities(self) -> Layer:
        found = self.cell.facts["capabilities"]
        if not found:
            return Layer("capabilities", State.HOLDS, "none are had, and none can be got")
        probe = f"the mask of what is had or could be got is {found:#x}"
        return Layer(
            "capabilities", State.WEAK, probe, "no_new_privs stands in front of them; use the profile bubblewrap"
        )

    def landlock(self) -> Layer:
        abi = self.cell.facts["landlock"]
        said = self.says("open('/proc/1/status')")
        if "PermissionError" not in said:
            return Layer("Landlock", State.WEAK if self.isolated else State.ABSENT, f"ABI {abi}; {said}", NEWER_KERNEL)
        if abi < 6:
            lacking = "signals and abstract sockets" if abi >= 4 else "TCP, signals and abstract sockets"
            return Layer("Landlock", State.WEAK, f"ABI {abi} denies files, and not {lacking}", NEWER_KERNEL)
        return Layer("Landlock", State.HOLDS, f"ABI {abi}; reading a file that all may read is denied")

    def seccomp(self) -> Layer:
        said = self.says(TRIED)
        fatal = self.run("import ctypes\nctypes.CDLL(None).unshare(0)").verdict is Verdict.FORBIDDEN
        holds = said == "denied denied denied denied" and fatal
        probe = f"socket, fork, setsid, kill: {said}; unshare: {'killed' if fatal else 'not killed'}"
        remedy = "" if holds else "run a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64"
        return Layer("seccomp", State.HOLDS if holds else State.ABSENT, probe, remedy)

    def limits(self) -> Layer:
        threads = self.run(THREADS, threads=8)
        memory = self.run(BLOCK, memory="64 MiB")
        loop = self.run("while True: pass", cpu_seconds=0.1)
        found = (threads.verdict, memory.verdict, loop.verdict)
        holds = found == (Verdict.ERROR, Verdict.MEMORY, Verdict.TIMEOUT)
        probe = f"200 threads: {found[0].value}; 4 GiB: {found[1].value}; a loop without end: {found[2].value}"
        return Layer("limits", State.HOLDS if holds else State.ABSENT, probe, "" if holds else "do not run as user 0")

    def environment(self) -> Layer:
        said = set(self.says("import os\nprint(*os.environ)").split())
        foreign = sorted(said - set(ENVIRONMENT) - {"HOME", "TMPDIR", "PWD", "LC_CTYPE"})
        return Layer(
            "environment",
            State.ABSENT if foreign else State.HOLDS,
            f"variables of the host: {', '.join(foreign) or 'none'}",
            "report it" if foreign else "",
        )

    def disk(self) -> Layer:
        outcome = self.run(FILL, disk="8 MiB")
        holds = outcome.verdict in (Verdict.ERROR, Verdict.MEMORY)
        probe = f"64 MiB where 8 are allowed: {outcome.verdict.value}"
        if holds and not self.isolated:
            return Layer("disk", State.WEAK, f"{probe}; only each file is bounded", "use the profile bubblewrap")
        return Layer("disk", State.HOLDS if holds else State.ABSENT, probe, "" if holds else CONTAINER)

    def memory(self) -> Layer:
        if self.cell.group is not None:
            return Layer("memory in total", State.HOLDS, f"a control group, {self.cell.group.memory}")
        probe = "no control group can be written: address space and files are bounded, and processes watched"
        return Layer("memory in total", State.WEAK, probe, GROUP)

    def left_behind(self) -> Layer:
        self.run(DAEMON, processes=4)
        left = _below(self.cell)
        return Layer(
            "nothing left behind",
            State.HOLDS if left <= 1 else State.ABSENT,
            f"after a program with a daemon of its own: {max(0, left - 1)} processes",
            "" if left <= 1 else "report it",
        )

    def clock(self) -> Layer:
        if self.cell.facts["schedstat"]:
            return Layer("starvation", State.HOLDS, "the kernel says how long a program waited for a core")
        probe = "the kernel does not say how long a program waited for a core: on a loaded machine, one may time out"
        return Layer("starvation", State.WEAK, probe, "run a kernel with CONFIG_SCHED_INFO, or with fewer cells")

    def judge(self) -> Layer:
        honest, forger = self.sandbox.run([Program(HONEST, tests=TESTS), Program(FORGER, tests=TESTS)])
        holds = honest.passed and not forger.passed and forger.verdict is not Verdict.PASSED
        probe = f"an honest program: {honest.verdict.value}; one that forges: {forger.verdict.value}"
        return Layer("judge", State.HOLDS if holds else State.ABSENT, probe, "" if holds else "report it")


def _below(cell: Cell) -> int:
    """How many processes the cell has below bubblewrap."""
    found, waiting = 0, [cell.process_id]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            found += len(children)
            waiting += map(int, children)
    return found
