"""How runs are carried out, how they end, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from qecforge.evaluation import ErrorCounts, ErrorRateTask
    from qecforge.manifest import RunPlan
    from qecforge.store import CodeRecord

__all__ = ["ForwardingListener", "Phase", "RunListener", "RunOptions", "RunOutcome"]

Phase: TypeAlias = Literal["train", "teacher", "fine_tune", "quantize", "evaluate"]
"""What a run is doing. Without a quantizer: train, evaluate. With one: teacher (found, waited for, or trained as a run
of its own), fine_tune where the quantizer trains, quantize, evaluate."""


@dataclass(frozen=True)
class RunOptions:
    """How runs are carried out; none of it changes a result.

    Attributes:
        store_url: SQLAlchemy URL of the store.
        force: Start finished and broken runs anew.
        workers: Processes for measuring logical error rates; None for one for each core.
        checkpoint_seconds: Time between checkpoints; `run_manifest` takes the manifest's.
        again: What goes on with a run that was stopped, for people: with `force` that is not the same command.
    """

    store_url: str = field(default="sqlite:///results.db", repr=False)  # it may hold a password
    force: bool = False
    workers: int | None = None
    checkpoint_seconds: float = 30.0
    again: str = "the same command"


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. `skipped`: the store already had it finished. `error` is one line."""

    run_id: str
    identity: str
    status: Literal["finished", "skipped", "failed", "interrupted"]
    seconds: float
    error: str | None = None


class RunListener:
    """Its methods are called while runs work; here they do nothing. Override what you need; arguments can be pickled.

    Where a teacher is trained on the way, its run is reported too, with its own plan, `plan.quantization.teacher`.
    """

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """The run begins, or continues from a checkpoint."""

    def on_extend(self, plan: RunPlan, run_id: str, evaluations: Sequence[str]) -> None:
        """Evaluations are added to a finished run; called instead of `on_start`."""

    def on_phase(self, plan: RunPlan, phase: Phase) -> None:
        """A phase begins."""

    def on_compile(self, plan: RunPlan) -> None:
        """Kernels are compiled, which later runs on this machine take from a cache. Told once in each attempt."""

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """The agent has done `step` of `total` environment steps."""

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """A code was found, proved and filed, or a known one with fewer gates."""

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """Shots of a logical-error-rate measurement were filed."""

    def on_evaluation(self, plan: RunPlan, name: str, done: int, total: int) -> None:
        """An evaluation, as the manifest names it, has done `done` of `total`, in a unit of its own.

        0 of 1 says that it begins. Logical error rates are told by `on_measure` from then on.
        """

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """The run ended."""

    def on_wait(self, plan: RunPlan, run_id: str) -> None:
        """Another process carries the run out; its end is waited for."""

    def on_retry(self, plan: RunPlan, reason: str) -> None:
        """The process that carried the run out is lost; the run goes on in another, from its last checkpoint. `reason`
        is one line."""

    def on_stop(self) -> None:
        """SIGINT or SIGTERM came: runs save their state at their next step, and end. May be called at any time, in a
        thread of its own."""

    def close(self) -> None:
        """End what it has open. Called once, by whoever made it, after all runs; a run that could not be carried on has
        no `on_end` before."""


class ForwardingListener(RunListener):
    """Hands on all that it is told, whatever events there are.

    Args:
        send: Called with the event's name, such as `on_start`, the plan, and the event's other arguments.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        for name in vars(RunListener):
            if name.startswith("on_"):
                setattr(self, name, partial(send, name))
