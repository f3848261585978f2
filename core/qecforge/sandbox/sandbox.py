"""The sandbox: programs in, outcomes out, in order."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import Any

from qecforge.errors import ConfigurationError, InfrastructureError
from qecforge.sandbox._reading import Killed, Starved, read_outcome
from qecforge.sandbox.cell import Cell, CellFailed
from qecforge.sandbox.config import Profile, SandboxConfig, Tier
from qecforge.sandbox.inside import STARVED_AFTER
from qecforge.sandbox.inside.codec import Codec, CodecError, codec_of
from qecforge.sandbox.outcome import Outcome, Verdict
from qecforge.sandbox.program import Limits, Program, imported, parse_size

__all__ = ["Sandbox"]

REPORT = 1 << 16
"""Bytes that a program may report to its fork server; that of a judge is bounded by the codec."""
MARGIN = 60.0
"""Seconds beyond a program's longest time after which its fork server is taken for dead."""
PROGRAM, JUDGE = "program", "judge"


class Sandbox:
    """Runs programs in cells and has them judged. Cells start when first needed; `close`, or `with`, ends them.

    Thread-safe. Raises `SandboxUnavailable` from `start` and `run` where programs cannot be isolated.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._all = [_Slot(self.config) for _ in range(self.config.number_of_cells)]
        for slot in self._all:
            self._slots.put(slot)
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._codec: Codec | None = None
        self._closed = False
        self._known = {name for tier in self.config.tiers for name in _with_parents(tuple(tier.modules))}

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, tier: str | None = None) -> None:
        """Start the cells of a tier, the first by default, that `run` would start when it needs them."""
        chosen = self.config.tiers[0] if tier is None else self.config.tier(tier)
        for slot in self._all:
            slot.cell(PROGRAM, chosen)

    def run(self, programs: Sequence[Program]) -> list[Outcome]:
        """Run a batch, as many at once as there are cells.

        Raises:
            ConfigurationError: a limit is above what the sandbox has, a tier is unknown, or tests are no tests.
            SandboxUnavailable: programs cannot be isolated here.
            InfrastructureError: a cell was out of order at every attempt, or a program got no core.
        """
        for program in programs:
            self._check(program)
        with self._lock:
            if self._closed:
                raise ConfigurationError("the sandbox is closed; make another one")
            if self._threads is None:
                self._threads = ThreadPoolExecutor(len(self._all), thread_name_prefix="sandbox")
            waiting = [self._threads.submit(self._one, program) for program in programs]
        try:
            return [each.result() for each in waiting]
        except CancelledError:
            raise InfrastructureError("the sandbox was closed while programs ran") from None
        finally:
            for each in waiting:
                each.cancel()

    def close(self) -> None:
        """End all cells with what runs in them; a `run` that waits for it raises `InfrastructureError`. May be called
        twice."""
        with self._lock:
            self._closed, threads, self._threads = True, self._threads, None
        for slot in self._all:
            slot.abandon()
        if threads is not None:
            threads.shutdown(cancel_futures=True)
        for slot in self._all:
            slot.close()

    def tier_of(self, program: Program) -> Tier:
        """The fork server that a program gets: the one it asks for, else the first that has what it imports."""
        return self._tier(program.tier, program.imports)

    def _tier(self, name: str | None, imports: frozenset[str]) -> Tier:
        if name is not None:
            return self.config.tier(name)
        needed = imports & self._known | {each.partition(".")[0] for each in imports} & self._known
        for tier in self.config.tiers:
            if needed <= _with_parents(tuple(tier.modules)):
                return tier
        return self.config.tiers[-1]

    def _check(self, program: Program) -> None:
        if not isinstance(program, Program):
            raise ConfigurationError(f"sandbox: got {type(program).__name__}, expected a Program")
        self.tier_of(program)
        for limits in (program.limits, program.judge_limits):
            for name, most in (("disk", self.config.disk), ("memory", self.config.memory)):
                if parse_size(name, getattr(limits, name)) > parse_size(name, most):
                    raise ConfigurationError(
                        f"limits: {name} is {getattr(limits, name)}, and the cells have {most}; lower it, or raise "
                        f"SandboxConfig({name}=...)"
                    )
            if limits.processes and self.config.profile is Profile.LANDLOCK:
                raise ConfigurationError(
                    "limits: processes need a process space of their own, which the profile landlock does not "
                    "have; set 0"
                )

    def _one(self, program: Program) -> Outcome:
        refused = self._refused(program.source)
        if refused:
            return Outcome(verdict=Verdict.INVALID, detail=refused)
        why = ""
        for attempt in range(1, self.config.attempts + 1):
            slot = self._slots.get()
            try:
                outcome = slot.run(program, self, last=attempt == self.config.attempts)
            except (CellFailed, Killed, Starved) as error:
                if self._closed:
                    raise InfrastructureError("the sandbox was closed while programs ran") from None
                why = str(error)
                continue
            except BaseException:
                slot.close()
                raise
            finally:
                self._slots.put(slot)
            return outcome if attempt == 1 else _with_attempts(outcome, attempt)
        raise InfrastructureError(
            f"the sandbox is out of order: {self.config.attempts} attempts at a program, and each time {why}; "
            "see `qecforge sandbox check` and the load of the machine"
        )

    def _refused(self, source: str) -> str:
        """Why a source is not run at all; empty where it is."""
        if not source.strip():
            return "there is no program"
        try:
            size = len(source.encode())
        except UnicodeEncodeError:
            return "the program holds what is no character"
        if "\x00" in source:
            return "the program holds a NUL character"
        most = parse_size("largest_source", self.config.largest_source)
        return f"the program has {size:,} bytes, and at most {most:,} are run" if size > most else ""

    def codec(self) -> Codec:
        """The codec of this process, with the registered types."""
        if self._codec is None:
            self._codec = codec_of(tuple(self.config.types), self.config.bounds)
        return self._codec


class _Slot:
    """Cells for one program at a time: a fork server for each tier and role that was needed so far."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self._cells: dict[tuple[str, str], Cell] = {}

    def cell(self, role: str, tier: Tier) -> Cell:
        key = role, tier.name
        if key not in self._cells:
            self._cells[key] = Cell(self.config, tier)
        return self._cells[key]

    def abandon(self) -> None:
        """Let the fork servers end, whatever they are doing; from any thread."""
        for cell in list(self._cells.values()):
            cell.abandon()

    def close(self) -> None:
        while self._cells:
            _, cell = self._cells.popitem()
            cell.close()

    def run(self, program: Program, owner: Sandbox, *, last: bool) -> Outcome:
        """Raises `Killed`, or `CellFailed` or `Starved` after the cells have been given up."""
        with self._given_up_on_failure():
            cell = self.cell(PROGRAM, owner.tier_of(program))
            kills = cell.group.kills() if cell.group is not None else 0
            request = self._request(program, owner)
            if program.judged:
                tests = frozenset() if program.tests is None else imported(program.tests)
                judge = self.cell(JUDGE, owner._tier(None, tests))
                result, verdict = self._judged(cell, judge, request, program)
            else:
                cell.send(request)
                result, verdict = cell.result(_longest(program.limits)), None
            used_up = cell.group is not None and cell.group.kills() > kills
            return read_outcome(program, result, verdict, owner.codec(), used_up=used_up, last=last)

    @contextlib.contextmanager
    def _given_up_on_failure(self) -> Iterator[None]:
        try:
            yield
        except (CellFailed, Starved):  # after a program that was killed they are in order
            self.close()
            raise

    def _request(self, program: Program, owner: Sandbox) -> dict[str, Any]:
        bounds = self.config.bounds
        report = bounds.size if program.in_process else REPORT
        return {
            "role": PROGRAM,
            "source": program.source,
            "tests": program.tests if program.in_process else None,
            "calls": _calls(program, owner.codec()) if program.in_process else [],
            "in_process": program.in_process,
            "limits": program.limits.as_told(report),
            "seed": program.draw,
            "bounds": vars(bounds),
        }

    def _judged(
        self, cell: Cell, judge: Cell, request: Mapping[str, Any], program: Program
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both ends of two pipes to two cells; the judge's result, and then that of the program, which it ends."""
        asking, answering = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        try:
            cell.send(request, (asking[0], answering[1]))
            judge.send(
                {
                    **request,
                    "role": JUDGE,
                    "source": "",
                    "tests": program.tests,
                    "calls": _calls(program, Codec(bounds=self.config.bounds)),
                    "limits": self._limits_of_judge(program),
                },
                (asking[1], answering[0]),
            )
        finally:
            for each in (*asking, *answering):
                os.close(each)
        longest = 2 * self._limits_of_judge(program)["wall_seconds"] + MARGIN
        ready, _, _ = select.select([cell, judge], [], [], longest)
        first = None
        if judge not in ready and ready:
            first = cell.result(MARGIN)
        verdict = judge.result(longest)
        if first is None:
            cell.stop()
            first = cell.result(_longest(program.limits))
        return first, verdict

    def _limits_of_judge(self, program: Program) -> dict[str, Any]:
        """A judge also waits for the program, which waits for a core."""
        told = program.judge_limits.as_told(self.config.bounds.size)
        return {**told, "wall_seconds": told["wall_seconds"] + STARVED_AFTER * program.limits.wall}


@cache
def _with_parents(modules: Sequence[str]) -> frozenset[str]:
    """The modules, and the packages that they are in."""
    parts = [each.split(".") for each in modules]
    return frozenset(".".join(each[:length]) for each in parts for length in range(1, len(each) + 1))


def _calls(program: Program, codec: Codec) -> list[list[Any]]:
    """Raises `ConfigurationError` where an argument has no form in the codec."""
    found = [[each.function, list(each.arguments), dict(each.named)] for each in program.calls]
    try:
        codec.encode(found)
    except CodecError as error:
        raise ConfigurationError(f"calls: {error}") from None
    return found


def _longest(limits: Limits) -> float:
    """Seconds after which a cell must have answered."""
    return STARVED_AFTER * limits.wall + MARGIN


def _with_attempts(outcome: Outcome, attempts: int) -> Outcome:
    from dataclasses import replace

    return replace(outcome, attempts=attempts)
