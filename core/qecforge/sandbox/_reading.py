"""From what the cells say of a program and its judge to one outcome."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from qecforge.errors import ConfigurationError
from qecforge.sandbox.cell import CellFailed
from qecforge.sandbox.inside.codec import Bounds, Codec, CodecError
from qecforge.sandbox.outcome import CallResult, Outcome, TestResult, Verdict
from qecforge.sandbox.program import Limits, Program

__all__ = ["Killed", "Starved", "read_outcome"]

LOADED = {each.value: each for each in (Verdict.PASSED, Verdict.ERROR, Verdict.MEMORY, Verdict.FORBIDDEN)}
"""What a program may say of itself."""
LONGEST = 2000
"""Characters of a name or a detail."""


class Killed(Exception):
    """The program was killed, and the sandbox did not do it."""


class Starved(Exception):
    """The program got no core for a long time."""


def read_outcome(
    program: Program,
    result: Mapping[str, Any],
    judged: Mapping[str, Any] | None,
    codec: Codec,
    *,
    used_up: bool,
    last: bool,
) -> Outcome:
    """The outcome of a program.

    Args:
        result, judged: Of the program's cell and of the judge's.
        used_up: Whether the control group ran out of memory meanwhile.
        last: No further attempt follows: who is killed again and again is killed by himself.

    Raises:
        CellFailed, Killed, Starved: nothing is known of it.
        ConfigurationError: the tests are no tests.
    """
    common: dict[str, Any] = {
        "output": result["output"].decode("utf-8", "replace"),
        "cpu_seconds": result["cpu"],
        "memory": result["memory"],
    }
    ended = _ended(result, program.limits, used_up, last)
    if judged is None:
        return _alone(program, result, ended, codec, common)
    common["judge_cpu_seconds"] = judged["cpu"]
    common["judged"] = program.tests is not None
    judge_ended = _ended(judged, program.judge_limits, used_up=False, last=True)
    if judge_ended is not None:
        verdict, detail = ended or judge_ended
        return Outcome(verdict=verdict, detail=detail if ended else f"the tests: {detail}", **common)
    report = _report(judged["report"], codec.bounds)
    if report is None:
        raise CellFailed("the judge gave no verdict")
    return _tested(program, report, ended, codec, common)


def _ended(result: Mapping[str, Any], limits: Limits, used_up: bool, last: bool) -> tuple[Verdict, str] | None:
    """What the way in which a process ended means, if that decides; None where it ended by itself or was stopped."""
    reason, status = result["reason"], result["status"]
    seconds = f"it used {result['cpu']:.1f} s of CPU time of {limits.cpu_seconds:g}"
    if reason == "starved":
        raise Starved("it got no core")
    if result["cpu"] > limits.cpu_seconds:
        return Verdict.TIMEOUT, seconds
    if reason == "timeout":
        return Verdict.TIMEOUT, f"it waited longer than {limits.wall:g} s; {seconds}"
    if reason == "memory" or used_up:
        return Verdict.MEMORY, f"its memory exceeds {limits.memory}"
    if reason == "disk":
        return Verdict.MEMORY, f"its files exceed {limits.disk}"
    if reason == "files":
        return Verdict.MEMORY, f"it made more than {limits.files:,} files"
    if reason == "output":
        return Verdict.ERROR, f"it wrote more than {limits.output}"
    if not os.WIFSIGNALED(status):
        return None
    number = os.WTERMSIG(status)
    if reason == "stopped" and number == signal.SIGKILL:
        return None
    if number == signal.SIGSYS:
        return Verdict.FORBIDDEN, "it made a system call that no program may make"
    if number == signal.SIGXCPU:
        return Verdict.TIMEOUT, seconds
    if number == signal.SIGKILL and not last:
        raise Killed("it was killed from outside")
    return Verdict.ERROR, f"it was ended by {signal.Signals(number).name}"


def _report(content: bytes, bounds: Bounds) -> dict[str, Any] | None:
    """What a process reported in a frame; None where that is none. Of built-in types alone: a program that is not
    judged wrote it itself, and none of the registered types is rebuilt of that here."""
    try:
        if int.from_bytes(content[:4], "little") != len(content) - 4:
            return None
        report = Codec(bounds=bounds).decode(content[4:])
    except CodecError:
        return None
    return report if isinstance(report, dict) else None


def _alone(
    program: Program, result: Mapping[str, Any], ended: tuple[Verdict, str] | None, codec: Codec, common: dict[str, Any]
) -> Outcome:
    """Of a program without a judge: what it claims, where nothing else speaks against it."""
    if ended is not None:
        return Outcome(verdict=ended[0], detail=ended[1], **common)
    report = _report(result["report"], codec.bounds)
    if report is not None and program.in_process and "tests" in report:
        if _is_well_formed(report, program):
            return _tested(program, report, None, codec, common)
        report = None
    verdict, detail = (report or {}).get("verdict"), (report or {}).get("detail")
    if isinstance(verdict, str) and verdict in LOADED and isinstance(detail, str) and not program.in_process:
        return Outcome(verdict=LOADED[verdict], detail=detail, **common)
    if isinstance(verdict, str) and verdict in LOADED and verdict != Verdict.PASSED and isinstance(detail, str):
        return Outcome(verdict=LOADED[verdict], detail=detail, **common)
    status = os.waitstatus_to_exitcode(result["status"])
    return Outcome(verdict=Verdict.ERROR, detail=f"it left before its end, with status {status}", **common)


def _is_well_formed(report: Mapping[str, Any], program: Program) -> bool:
    """Whether what a program says of tests in its own process is at least of the form of such a report."""
    if set(report) - {"notes"} != {"load", "tests", "calls", "broken"} or report["load"] is not None:
        return False
    tests, calls = report["tests"], report["calls"]
    return (
        type(report["broken"]) is str
        and type(tests) is type(calls) is list
        and len(calls) == (0 if report["broken"] else len(program.calls))
        and all(map(_is_row_of_a_test, tests))
        and all(type(each) is list and len(each) == 2 and each[0] in ("value", "error") for each in calls)
        and all(type(each[1]) is (bytes if each[0] == "value" else str) for each in calls)
    )


def _is_row_of_a_test(row: Any) -> bool:
    fields = {"name": str, "status": str, "detail": str, "cpu": float}
    return (
        type(row) is dict
        and set(row) == set(fields)
        and all(type(row[name]) is kind for name, kind in fields.items())
        and row["status"] in ("passed", "failed", "error")
        and len(row["name"]) <= LONGEST
        and len(row["detail"]) <= LONGEST
    )


def _tested(
    program: Program,
    report: Mapping[str, Any],
    ended: tuple[Verdict, str] | None,
    codec: Codec,
    common: dict[str, Any],
) -> Outcome:
    if report["broken"]:
        if not program.judged:  # the program may have said so, and must not end the work of others
            return Outcome(verdict=Verdict.ERROR, detail=f"tests: {report['broken'][:LONGEST]}", **common)
        raise ConfigurationError(f"tests: {report['broken']}")
    tests = tuple(TestResult(each["name"], each["status"], each["detail"], each["cpu"]) for each in report["tests"])
    calls = tuple(_call(each, codec) for each in report["calls"])
    load = report["load"]
    common |= {"tests": tests, "calls": calls}
    if common.get("judged"):
        common["notes"] = report.get("notes", {})
    if ended is not None and (ended[0] is Verdict.TIMEOUT or not _all_well(program, load, tests, calls)):
        return Outcome(verdict=ended[0], detail=ended[1], **common)
    if load is not None and load["verdict"] != Verdict.PASSED:
        return Outcome(verdict=LOADED.get(load["verdict"], Verdict.ERROR), detail=load["detail"], **common)
    wrong = [each for each in tests if each.status != "passed"]
    if wrong:
        failed = [each for each in wrong if each.status == "failed"]
        first = (failed or wrong)[0]
        return Outcome(
            verdict=Verdict.FAILED if failed else Verdict.ERROR, detail=f"{first.name}: {first.detail}", **common
        )
    broken = [each.error for each in calls if each.error]
    if broken and program.tests is None:
        return Outcome(verdict=Verdict.ERROR, detail=broken[0], **common)
    return Outcome(verdict=Verdict.PASSED, **common)


def _all_well(program: Program, load: Any, tests: Sequence[TestResult], calls: Sequence[CallResult]) -> bool:
    loaded = load is None or load["verdict"] == Verdict.PASSED
    return loaded and all(each.status == "passed" for each in tests) and not any(each.error for each in calls)


def _call(row: Any, codec: Codec) -> CallResult:
    kind, content = row
    if kind != "value":
        return CallResult(None, str(content))
    try:
        return CallResult(codec.decode(content))
    except CodecError as error:
        return CallResult(None, str(error))
