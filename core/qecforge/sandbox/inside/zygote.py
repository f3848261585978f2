"""The fork server of a cell: process 1 of its own process space, with everything imported that programs begin with.

It is told what to do on one socket by its owner outside. One program at a time: it forks, imposes the layers, waits,
kills everything that is left, empties the folder and answers. It never runs a program's code itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from qecforge.sandbox.inside import calls, child, judge, landlock, seccomp, system
from qecforge.sandbox.inside.codec import Bounds, Codec, codec_of
from qecforge.sandbox.inside.frames import HEADER, FrameError, erase, receive_frame, send_frame, write_frame
from qecforge.sandbox.inside.watching import OwnerGone, Watched, read_into, watch
from qecforge.sandbox.inside.wiping import Workplace

__all__ = ["serve"]

REPORT, REQUESTS, REPLIES, AFTER = 3, 4, 5, 6
"""Descriptors of a child beside 0, 1 and 2, and the first that it has not."""
PROC_FILES = ("meminfo", "cpuinfo", "stat")
DEVICES = ("null", "zero", "random", "urandom")


def serve(descriptor: int) -> NoReturn:
    """Serve the owner at the other end of a socket until it goes. Anything unforeseen ends the cell."""
    control = socket.socket(fileno=_out_of_the_way(descriptor))
    codec = Codec()
    try:
        content, _ = receive_frame(control)
        server = Zygote(control, codec.decode(bytes(content)))
        send_frame(control, codec.encode(server.facts))
    except BaseException as error:
        send_frame(control, codec.encode({"failed": "".join(traceback.format_exception(error))[-4000:]}))
        os._exit(1)
    try:
        while True:
            server.next()
    except (FrameError, OwnerGone):
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


class Zygote:
    """The fork server, ready.

    Args:
        told: `uid` to become or None, `host_pid_space`, `isolated` (a process space of its own), `modules` to import,
            `warm` (functions to call once, as `module:function`), `types` (modules with codec types), `readable`,
            `root` (of the folder to write in), `counted`, `layers` (False for measurements alone).
    """

    def __init__(self, control: socket.socket, told: dict[str, Any]) -> None:
        self.control, self.told, self.codec = control, told, Codec()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        if told["uid"] is not None:
            system.drop_privileges(told["uid"])
        system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
        _offer_itself()
        system.set_dumpable(False)
        self.isolated = told["isolated"]
        if self.isolated and (os.getpid() != 1 or os.readlink("/proc/self/ns/pid") == told["host_pid_space"]):
            raise RuntimeError("the process space is not the cell's own")
        self.place = Workplace(told["root"], told["counted"])
        for name in told["modules"]:
            importlib.import_module(name)
        for name in told["warm"]:
            module, _, function = name.partition(":")
            getattr(importlib.import_module(module), function)()
        self._use_once()
        threads = len(os.listdir("/proc/self/task"))
        if threads > 1:
            raise RuntimeError(f"its modules leave {threads - 1} threads behind, so it cannot fork safely")
        # Asked before the filter is there, which forbids both.
        interfaces, abi = [name for _, name in socket.if_nameindex()], landlock.abi()
        self.layers = self._layers()
        self.devnull = _out_of_the_way(os.open("/dev/null", os.O_RDWR))
        if told["layers"]:
            self._try_layers()
        gc.collect()
        gc.freeze()
        self.resident = int(_statm()[1]) * resource.getpagesize()
        self.facts = {
            "pid": os.getpid(),
            "uid": os.getuid(),
            "landlock": abi,
            "memory": self.resident,
            "python": sys.version.split()[0],
            "interfaces": interfaces,
            "capabilities": _capabilities(),
            "schedstat": os.path.exists("/proc/self/schedstat"),
        }

    def _layers(self) -> child.Layers:
        readable = [*self.told["readable"], *(f"/dev/{name}" for name in DEVICES)]
        readable += [f"/proc/{name}" for name in PROC_FILES]
        machine = os.uname().machine
        rulesets = (
            tuple(
                _out_of_the_way(landlock.make_ruleset(readable, [self.place.run, os.devnull], executable))
                for executable in (False, True)
            )
            if landlock.abi()
            else ()
        )
        server, alone, several = seccomp.make_filters(machine, modes=self.isolated)
        if self.told["layers"]:
            seccomp.restrict(server)
        return child.Layers(rulesets, (alone, several), int(_statm()[0]) * resource.getpagesize())

    def _use_once(self) -> None:
        """What every child uses is loaded here, once: numpy loads its generators only when they are first used."""
        child.seed(0)
        known = codec_of(tuple(self.told["types"]), Bounds())
        known.decode(known.encode([0, "value", {"x": [1.5, None]}]))
        child.problem(ValueError("used once"))

    def _try_layers(self) -> None:
        """Impose all layers on a child that does nothing. Raises `RuntimeError` where one cannot be."""
        if not self.isolated and not self.layers.rulesets:
            raise RuntimeError("the kernel has no Landlock, and without it this profile isolates nothing")
        limits = {"processes": 0, "cpu_seconds": 10.0, "memory": 1 << 30, "disk": 1 << 20, "threads": 1}
        said, end = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                self.layers.impose(limits)
            except BaseException as error:
                os.write(end, child.described(error).encode(errors="replace")[:4000])
            finally:
                os._exit(0)
        os.close(end)
        why = os.read(said, 4000).decode(errors="replace")
        os.close(said)
        os.waitpid(pid, 0)
        if why:
            raise RuntimeError(f"a layer cannot be imposed: {why}")

    def next(self) -> None:
        """Wait for a request and carry it out. Raises `FrameError` or `OwnerGone` where the owner has gone.

        What a program is, and what it says, is decoded in the child alone, and erased here: a later program is forked
        with this memory, and may search it.
        """
        content, descriptors = receive_frame(self.control)
        if content == b"s":  # a stop that came after the program's end
            return
        end = HEADER.size + HEADER.unpack_from(content)[0]
        request = self.codec.decode(bytes(content[HEADER.size : end]))
        own = resource.getrusage(resource.RUSAGE_SELF)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if request["role"] == "bare":
            self._bare(own, before)
            return
        output, output_end = os.pipe2(os.O_CLOEXEC)
        report, report_end = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                request |= self.codec.decode(bytes(content[end:]))
                self._child(request, descriptors, output_end, report_end)
            finally:
                os._exit(70)
        erase(content)
        for each in (output_end, report_end, *descriptors):
            os.close(each)
        limits = request["limits"]
        seen = watch(pid, output, report, self.control, limits, self.place)
        status, usage = self._end(pid)
        for each in (output, report):
            os.set_blocking(each, False)
            while read_into(seen, each, output, limits):
                pass
            os.close(each)
        cpu = _cpu_since(before, resource.RUSAGE_CHILDREN)
        self.place.wipe()
        result = self._result(seen, status, cpu, usage.ru_maxrss << 10)
        send_frame(self.control, self.codec.encode({**result, "server_cpu": _cpu_since(own)}))
        for part in (*seen.output, *seen.report):
            self.control.sendall(part)
            erase(part)

    def _bare(self, own: resource.struct_rusage, before: resource.struct_rusage) -> None:
        """What cannot be cheaper: a child that ends at once, without layers; for measurements."""
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        cpu = _cpu_since(before, resource.RUSAGE_CHILDREN)
        send_frame(self.control, self.codec.encode({"cpu": cpu, "server_cpu": _cpu_since(own)}))

    def _result(self, seen: Watched, status: int, cpu: float, memory: int) -> dict[str, Any]:
        return {
            "reason": seen.reason,
            "status": status,
            "cpu": cpu,
            "memory": max(0, memory - self.resident),
            "output": seen.kept,
            "printed": seen.printed,
            "report": seen.reported,
        }

    def _end(self, pid: int) -> tuple[int, resource.struct_rusage]:
        """Kill all that is left, the child first of all, and reap it."""
        self._kill(pid)
        _, status, usage = os.wait4(pid, 0)
        while self.isolated:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
            self._kill(pid)
        return status, usage

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            # To -1 reaches all of the process space but process 1 at once: nothing can fork away from it.
            os.kill(-1 if self.isolated else pid, signal.SIGKILL)

    def _child(self, request: dict[str, Any], descriptors: list[int], output: int, report: int) -> None:
        given = (self.devnull, output, output, report, *descriptors)
        moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, AFTER) if each < AFTER else each for each in given]
        for number, each in enumerate(moved):
            os.dup2(each, number)
        os.chdir(self.place.run)
        child.seed(request["seed"])
        if self.told["layers"]:
            self.layers.impose(request["limits"])
        os.closerange(len(moved), child.OPEN_FILES + AFTER)
        codec = codec_of(tuple(self.told["types"]), Bounds(**request["bounds"]))
        if request["role"] == "judge":
            found = judge.judge(calls.There(codec, REQUESTS, REPLIES), request, codec)
        else:
            module, found = child.load(request["source"])
            if request["in_process"] and found["verdict"] == "passed":
                found = judge.judge(calls.Here(module), request, codec)
            elif descriptors:
                child.leave(lambda: calls.serve(module, found, codec, REQUESTS, REPLIES))
        child.leave(lambda: write_frame(REPORT, codec.encode(found)))


def _out_of_the_way(descriptor: int) -> int:
    """The same file under a number that no child has, not inherited; the old number is closed."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, AFTER)
    if descriptor > 2:
        os.close(descriptor)
    return moved


def _offer_itself() -> None:
    """Where the machine runs out of memory a cell goes first; in it the child, which is the largest."""
    system.set_dumpable(True)  # else the file belongs to root
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")


def _capabilities() -> int:
    """All that the process has or could get, as a bit mask."""
    found = 0
    with open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
                found |= int(line.split()[1], 16)
    return found


def _cpu_since(before: resource.struct_rusage, whose: int = resource.RUSAGE_SELF) -> float:
    now = resource.getrusage(whose)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime


def _statm() -> list[str]:
    with open("/proc/self/statm", encoding="ascii") as file:
        return file.read().split()
