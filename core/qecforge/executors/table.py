"""The executors there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qecforge.errors import ConfigurationError, did_you_mean
from qecforge.executors._base import Executor
from qecforge.executors._local import LocalExecutor
from qecforge.executors._process import ProcessExecutor

__all__ = ["DEFAULT_EXECUTOR", "EXECUTORS", "ExecutorKind", "make_executor"]


@dataclass(frozen=True)
class ExecutorKind:
    """An executor to be had by name.

    Attributes:
        summary: What it does, in a few words.
        make: `make(workers)`; None for one a core.
        parallel: Whether workers are runs at a time; else runs follow one another, and workers measure error rates.
    """

    summary: str
    make: Callable[[int | None], Executor]
    parallel: bool


EXECUTORS: Mapping[str, ExecutorKind] = {
    "process": ExecutorKind("one run after the other", lambda _workers: ProcessExecutor(), parallel=False),
    "local": ExecutorKind("a process for each run", LocalExecutor, parallel=True),
}
DEFAULT_EXECUTOR = "process"


def make_executor(name: str, workers: int | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: One of `EXECUTORS`.
        workers: Runs at a time, where several are carried out at once; None for one a core.

    Raises:
        ConfigurationError: unknown name, or workers below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"`workers`: got {workers}, expected 1 or more", parameter="workers")
    if name not in EXECUTORS:
        known = " or ".join(map(repr, EXECUTORS))
        raise ConfigurationError(
            f"`executor`: got {name!r}, expected {known}.{did_you_mean(name, EXECUTORS)}", parameter="executor"
        )
    return EXECUTORS[name].make(workers)
