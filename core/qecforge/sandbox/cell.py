"""A cell, from outside: a process in namespaces of its own with a fork server, and the socket to it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from qecforge.errors import SandboxUnavailable, one_line
from qecforge.sandbox.bubblewrap import (
    PACKAGES,
    WORK,
    bwrap_command,
    readable_system,
    refuse_other_systems,
    surroundings,
)
from qecforge.sandbox.cgroups import ControlGroup, make_group
from qecforge.sandbox.config import Profile, SandboxConfig, Tier
from qecforge.sandbox.inside.codec import Codec, CodecError
from qecforge.sandbox.inside.frames import HEADER, FrameError, receive_bytes, receive_frame, send_frame
from qecforge.sandbox.program import parse_size

__all__ = ["Cell", "CellFailed"]

START_SECONDS = 300.0
FIRST_UID, UIDS_PER_PROCESS = 1_000_000, 256
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "USER": "program",
    "LOGNAME": "program",
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
}
ENTER_GROUPS = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 9; shift; done; shift; exec "$@"'
_numbers = itertools.count()


class CellFailed(Exception):
    """The cell is out of order: nothing is known of the program that it had."""


class Cell:
    """One fork server in its isolation. Not thread-safe: one program at a time.

    Raises `SandboxUnavailable` where it cannot be made, with what the system says.

    Attributes:
        facts: What the fork server says of itself: pid, uid, Landlock's ABI, memory in bytes.
        group: Its control group; None where there is none.
    """

    def __init__(self, config: SandboxConfig, tier: Tier) -> None:
        refuse_other_systems()
        self.config, self.tier = config, tier
        self._codec = Codec()
        self._owner = os.getpid()
        self._folder: str | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.group: ControlGroup | None = make_group(parse_size("memory", config.memory))
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            told = self._told()
            self._process = subprocess.Popen(  # noqa: S603
                self._command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=self._environment(),
                cwd="/",
            )
            theirs.close()
            self.facts = self._begin(told)
        except BaseException:
            theirs.close()
            self.close()
            raise

    def _modules(self) -> list[str]:
        return [*self.config.types, *self.tier.modules]

    def _command(self, control: int) -> list[str]:
        around = surroundings([*self._modules(), *self.tier.warm])
        if self.config.profile is Profile.LANDLOCK:
            command = around.python_command(control, inside=False)
        else:
            disk = parse_size("disk", self.config.disk)
            as_root = os.geteuid() == 0
            command = bwrap_command(
                around,
                control=control,
                environment=self._environment(),
                disk=disk,
                as_root=as_root,
                hidden=self.config.hidden,
            )
        if self.group is None:
            return command
        return ["/bin/sh", "-c", ENTER_GROUPS, "sh", *map(str, self.group.folders), "--", *command]

    def _environment(self) -> dict[str, str]:
        work = f"{self._folder or WORK}/run"
        return {**ENVIRONMENT, "HOME": work, "TMPDIR": work, **self.config.environment}

    def _told(self) -> dict[str, Any]:
        around = surroundings([*self._modules(), *self.tier.warm])
        isolated = self.config.profile is Profile.BUBBLEWRAP
        uid = _free_uid() if os.geteuid() == 0 else None
        readable = [*readable_system(around), *([PACKAGES] if isolated else around.packages.values())]
        if not isolated:
            self._folder = tempfile.mkdtemp(prefix="qecforge-cell-")
            if uid is not None:
                os.chown(self._folder, uid, uid)
        return {
            "uid": uid,
            "host_pid_space": str(Path("/proc/self/ns/pid").readlink()),
            "isolated": isolated,
            "modules": self._modules(),
            "warm": list(self.tier.warm),
            "types": list(self.config.types),
            "readable": readable,
            "root": self._folder or WORK,
            "counted": isolated,
            "layers": self.config.layers,
        }

    def _begin(self, told: Mapping[str, Any]) -> dict[str, Any]:
        try:
            send_frame(self._control, self._codec.encode(told))
            facts = self._receive(START_SECONDS)
        except (CellFailed, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            raise SandboxUnavailable(
                f"no sandbox cell can be started: {self._said() or 'it ended without a word'}; "
                "`qecforge sandbox check` says what to install or to set"
            ) from None
        if "failed" in facts:
            lines = str(facts["failed"]).strip().splitlines()
            raise SandboxUnavailable(
                f"no sandbox cell can be started: the fork server {self.tier.name} ended with "
                f"{one_line(lines[-1], 300)}; "
                "`qecforge sandbox check` says what to install or to set"
            )
        return facts

    def _said(self) -> str:
        self._errors.seek(0)
        return one_line(self._errors.read(4000).decode("utf-8", "replace"), 400)

    def send(self, request: Mapping[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Begin with a program. Raises `CellFailed`."""
        head = {name: request[name] for name in ("role", "limits") if name in request}
        rest = {name: value for name, value in request.items() if name not in head}
        try:
            told = self._codec.encode(head)
            send_frame(self._control, HEADER.pack(len(told)) + told + self._codec.encode(rest), descriptors)
        except (OSError, CodecError) as error:
            raise CellFailed(f"the fork server takes no program ({error}) {self._said()}".rstrip()) from error

    def stop(self) -> None:
        """End the program that runs, if one does; its result follows all the same."""
        with contextlib.suppress(OSError):
            self._control.sendall(HEADER.pack(1) + b"s")

    def abandon(self) -> None:
        """End the conversation: the fork server leaves, and with it all that runs. May be called from any thread."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    @property
    def process_id(self) -> int:
        """Of the outermost process of the cell."""
        return self._process.pid

    def fileno(self) -> int:
        """What becomes readable with the result."""
        return self._control.fileno()

    def result(self, seconds: float) -> dict[str, Any]:
        """Wait for the result: a dict, `output` and `report` in it bytes. Raises `CellFailed`."""
        found = self._receive(seconds)
        try:
            for name in ("output", "report"):
                if name in found:
                    found[name] = bytes(receive_bytes(self._control, found[name]))
        except (FrameError, OSError) as error:
            raise CellFailed(f"the fork server gave no answer ({error}) {self._said()}".rstrip()) from error
        return found

    def _receive(self, seconds: float) -> dict[str, Any]:
        self._control.settimeout(seconds)
        try:
            content, _ = receive_frame(self._control)
            found = self._codec.decode(bytes(content))
        except (FrameError, CodecError, OSError) as error:
            raise CellFailed(f"the fork server gave no answer ({error}) {self._said()}".rstrip()) from error
        finally:
            self._control.settimeout(None)
        if not isinstance(found, dict):
            raise CellFailed("the fork server gave what is no answer")
        return found

    def close(self) -> None:
        """End the cell with all that runs in it. May be called twice, and in a forked process, where it does nothing
        but close the socket."""
        self._control.close()
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if self._owner != os.getpid():
            return
        if process is not None and process.poll() is None:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                _kill_below(process.pid)
                process.kill()
                process.wait()
        self._errors.close()
        if self.group is not None:
            self.group.remove()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _kill_below(pid: int) -> None:
    """Process 1 of a cell is a child of bubblewrap; with it all others of its space end."""
    with contextlib.suppress(OSError, ValueError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            os.kill(int(child), 9)


def _free_uid() -> int:
    """A user that no other cell has, as limits on processes and threads are counted by user."""
    wanted = FIRST_UID + os.getpid() % 4_194_304 * UIDS_PER_PROCESS + next(_numbers) % UIDS_PER_PROCESS
    with contextlib.suppress(OSError, ValueError, IndexError):
        first, _, count = map(int, Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()[0].split())
        if wanted >= first + count:
            wanted = first + 1 + wanted % max(1, count - 1)
    return wanted
