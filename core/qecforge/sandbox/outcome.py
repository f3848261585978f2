"""What became of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qecforge.contracts.text import Verdict

__all__ = ["CallResult", "Outcome", "TestResult", "Verdict"]


@dataclass(frozen=True)
class TestResult:
    """One test.

    Attributes:
        status: passed; failed (what it asserts does not hold); error (the program raised an exception).
        cpu_seconds: Of the judge.
    """

    __test__ = False
    name: str
    status: Literal["passed", "failed", "error"]
    detail: str
    cpu_seconds: float


@dataclass(frozen=True)
class CallResult:
    """What a call gave: a value, or an error where `error` is not empty."""

    value: Any
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a program.

    Attributes:
        verdict: Where a judge tested it: passed, failed, or error (it raised one), which it cannot forge. Where none
            did, passed means that the program claims to have come to its end. In any case timeout, memory, forbidden,
            invalid, and never infrastructure: that is raised.
        detail: Why, for people; the program has a say in it.
        tests: One each, in order; empty where the program could not be loaded.
        calls: One for each of `Program.calls`, in order; empty where the program was not ready for them.
        judged: Whether the verdict is a judge's. A reward is made of nothing else.
        output: What the program printed, its first 64 KiB, as it wrote it.
        cpu_seconds, judge_cpu_seconds: Of the program, and of the tests.
        memory: Bytes that the program had at most beyond the fork server's.
        notes: Named numbers that the registered types know of the values which the judge was given (`notes` of a module
            of `SandboxConfig.types`).
        attempts: 1, or more where a cell was out of order before.
    """

    verdict: Verdict
    detail: str = ""
    tests: Sequence[TestResult] = ()
    calls: Sequence[CallResult] = ()
    judged: bool = False
    output: str = ""
    cpu_seconds: float = 0.0
    judge_cpu_seconds: float = 0.0
    memory: int = 0
    notes: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1

    @property
    def passed(self) -> bool:
        """Whether a judge says so."""
        return self.judged and self.verdict is Verdict.PASSED

    @property
    def fraction(self) -> float:
        """Which part of the tests passed; 0 where there are none."""
        return sum(each.status == "passed" for each in self.tests) / len(self.tests) if self.tests else 0.0
