"""The executors there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.refusals import refusal
from qecforge.errors import ConfigurationError, did_you_mean, one_line
from qecforge.executors._base import Executor
from qecforge.executors._local import LocalExecutor
from qecforge.executors._process import ProcessExecutor
from qecforge.executors._ray.options import RayOptions

__all__ = ["DEFAULT_EXECUTOR", "EXECUTORS", "ExecutorKind", "make_executor"]


class NoOptions(PluginConfig):
    """Of an executor that has none."""


@dataclass(frozen=True)
class ExecutorKind:
    """An executor to be had by name.

    Attributes:
        summary: What it does, in a few words.
        make: `make(workers, options)`; workers None for one for each core.
        parallel: Whether workers are runs at a time; else runs follow one another, and workers measure error rates.
        options: What else can be chosen of it.
    """

    summary: str
    make: Callable[[int | None, Any], Executor]
    parallel: bool
    options: type[PluginConfig] = NoOptions


def _ray(workers: int | None, options: RayOptions) -> Executor:
    from qecforge.executors._ray.driver import RayExecutor

    return RayExecutor(workers, options)


EXECUTORS: Mapping[str, ExecutorKind] = {
    "process": ExecutorKind("one run after the other", lambda _workers, _options: ProcessExecutor(), parallel=False),
    "local": ExecutorKind("a process for each run", lambda workers, _options: LocalExecutor(workers), parallel=True),
    "ray": ExecutorKind("a task of a Ray cluster for each run", _ray, parallel=True, options=RayOptions),
}
DEFAULT_EXECUTOR = "process"


def make_executor(name: str, workers: int | None = None, options: Mapping[str, Any] | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: One of `EXECUTORS`.
        workers: Runs at a time, where several are carried out at once; None for one for each core, or for what a
            cluster has room for.
        options: Fields of the executor's `ExecutorKind.options`, such as `{"num_gpus": 1}` of `ray`.

    Raises:
        ConfigurationError: unknown name, workers below 1, or an option that it does not have or that does not fit.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"`workers`: got {workers}, expected 1 or more", parameter="workers")
    if name not in EXECUTORS:
        *others, last = map(repr, EXECUTORS)
        raise ConfigurationError(
            f"`executor`: got {name!r}, expected {', '.join(others)} or {last}.{did_you_mean(name, EXECUTORS)}",
            parameter="executor",
        )
    kind = EXECUTORS[name]
    return kind.make(workers, _validated(name, kind.options, options or {}))


def _validated(name: str, model: type[PluginConfig], options: Mapping[str, Any]) -> PluginConfig:
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        option = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            there = f"it has {', '.join(model.model_fields)}" if model.model_fields else "it has none"
            wrong = f"{option!r} is none of executor {name}'s: {there}.{did_you_mean(option, model.model_fields)}"
        else:
            wrong = f"{option} of executor {name}: {refusal(detail)}"
        raise ConfigurationError(f"`executor_options`: {one_line(wrong)}", parameter="executor_options") from error
