"""What is run: a source, what tests it, and what it may use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property
from typing import Any

from qecforge.errors import ConfigurationError

__all__ = ["Call", "Limits", "Program", "parse_size"]

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)")
FACTORS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
WALL_PER_CPU = 4
"""A program may take so many times its CPU time, and as many seconds more, before it counts as one that waits."""


def parse_size(name: str, given: str | int) -> int:
    """Bytes of `512`, `"64 KiB"`, `"1.5 GiB"`. Raises `ConfigurationError`."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    match = SIZE.fullmatch(str(given).strip())
    if match is None:
        raise ConfigurationError(f"{name}: got {given!r}, expected bytes or a size such as '2 GiB' (B, KiB, MiB, GiB)")
    return int(float(match[1]) * FACTORS[match[2]])


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use. Sizes are bytes or texts such as "2 GiB".

    Attributes:
        cpu_seconds: CPU time of all its threads and processes; what decides `timeout`.
        wall_seconds: Time in which it was not waiting for a core; who takes that long without using its CPU time
            sleeps. None for four times `cpu_seconds` and four seconds more.
        memory: Address space beyond that of the fork server; with processes, the memory of all together as well.
        disk: Of all its files together; they lie in memory.
        files: How many files, folders and links.
        threads: How many at once.
        processes: How many at once, beside itself; 0, the default, forbids `fork` and `exec`.
        output: What it may print before it is ended; the first 64 KiB are kept.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float | None = None
    memory: str | int = "2 GiB"
    disk: str | int = "64 MiB"
    files: int = 10_000
    threads: int = 32
    processes: int = 0
    output: str | int = "1 MiB"

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in ("memory", "disk", "output"):
                value = parse_size(each.name, value)
            if value is None and each.name == "wall_seconds":
                continue
            may_be_zero = each.name == "processes"
            expected = "0 or more" if may_be_zero else "more than 0"
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not value >= 0
                or value == float("inf")
            ):
                raise ConfigurationError(f"{each.name}: got {value!r}, expected a number, {expected}")
            if value == 0 and not may_be_zero:
                raise ConfigurationError(f"{each.name}: got 0, expected more than 0")

    @property
    def wall(self) -> float:
        """`wall_seconds`, or what stands for None."""
        return WALL_PER_CPU * (self.cpu_seconds + 1) if self.wall_seconds is None else self.wall_seconds

    @property
    def bytes_of_memory(self) -> int:
        """`memory` as bytes."""
        return parse_size("memory", self.memory)

    @property
    def bytes_of_disk(self) -> int:
        """`disk` as bytes."""
        return parse_size("disk", self.disk)

    def as_told(self, report: int) -> dict[str, Any]:
        """For a cell: numbers alone. `report` is how many bytes of report it takes."""
        return {
            "cpu_seconds": float(self.cpu_seconds),
            "wall_seconds": float(self.wall),
            "memory": self.bytes_of_memory,
            "disk": self.bytes_of_disk,
            "files": int(self.files),
            "threads": int(self.threads),
            "processes": int(self.processes),
            "output": parse_size("output", self.output),
            "report": report,
        }


@dataclass(frozen=True)
class Call:
    """A function of the program and its arguments, which the codec takes."""

    function: str
    arguments: Sequence[Any] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A source, run as `__main__`, and what is asked of it.

    Attributes:
        source: Python.
        tests: A module of functions `test_...(program)`, see `qecforge.sandbox.inside.judge`; run by the judge. None
            where nothing is tested: then `passed` says no more than that the program claims to have come to its end.
        calls: Made after the tests; their values are in the outcome.
        limits: Of the program, for its source and everything it is called for.
        judge_limits: Of the tests.
        tier: Name of the fork server; None for the first that has what the program imports.
        seed: With the source, the seed of Python's and numpy's generators.
        in_process: Run the tests in the program's own process, with live objects. What they find can be forged, and
            the outcome says so.
    """

    source: str
    _: KW_ONLY
    tests: str | None = None
    calls: Sequence[Call] = ()
    limits: Limits = Limits()
    judge_limits: Limits = Limits()
    tier: str | None = None
    seed: int = 0
    in_process: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.source, str):
            raise ConfigurationError(f"source: got {type(self.source).__name__}, expected text")
        if self.in_process and self.tests is None:
            raise ConfigurationError("in_process: there are no `tests` that could run in the program's process")

    @property
    def judged(self) -> bool:
        """Whether a judge in another cell is asked."""
        return (self.tests is not None or bool(self.calls)) and not self.in_process

    @cached_property
    def imports(self) -> frozenset[str]:
        """What the source imports, as its text says: `a.b` of `import a.b`, and `a.b` and `a.b.c` of `from a.b import
        c`."""
        return imported(self.source)

    @cached_property
    def draw(self) -> int:
        """The seed, from the source and `seed`."""
        return int.from_bytes(
            hashlib.sha256(f"{self.seed}\n{self.source}".encode(errors="replace")).digest()[:8], "big"
        )


def imported(source: str) -> frozenset[str]:
    """What a text imports, with its dots, by its lines alone: Python's parser can be crashed by a text, and the
    caller's process must not be."""
    names: set[str] = set()
    for module, line in re.findall(r"^[ \t]*from[ \t]+(\w[\w.]*)[ \t]+import[ \t]+([^\n#]*)", source, re.MULTILINE):
        names |= {module, *(f"{module}.{each}" for each in re.findall(r"\w+", line))}
    for line in re.findall(r"^[ \t]*import[ \t]+([\w., \t]+)", source, re.MULTILINE):
        names |= {each.split()[0] for each in line.split(",") if each.strip(" \t.")}
    return frozenset(names)
