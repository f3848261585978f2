"""One attempt at a run, and what every phase of it files."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qecforge.codes import verify_encoder
from qecforge.errors import CheckpointError, InfrastructureError, Interrupted, MissingDependency, StoreError, UserError
from qecforge.learning.generators import seed_for
from qecforge.machine.exits import exits_refused
from qecforge.machine.signals import GaveUp

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import Phase, RunListener, RunOptions
    from qecforge.runs.workspace import Checkpoint, Workspace
    from qecforge.store import CodeRecord, Store
    from qecforge.store.records import RunStatus

__all__ = ["METRIC_FLUSH_SECONDS", "PROOF_SECONDS", "Attempt", "Clock", "PluginFailure", "file_discovery"]

METRIC_FLUSH_SECONDS = 2.0
PROOF_SECONDS = 600.0
_TRAINED = "trained"
"""Kind of the event that a training has ended."""


class Clock:
    """Seconds that are spent on a run.

    Args:
        before: By earlier attempts.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._before, self._started = before, time.monotonic()

    @property
    def seconds(self) -> float:
        """Until now, earlier attempts included."""
        return self._before + time.monotonic() - self._started


class PluginFailure(Exception):
    """A plugin raised what means something else where the core raises it: bad input, an interruption, an exit.

    Args:
        error: What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run, which may continue where an earlier one was cut off.

    Attributes:
        clock: Of the run, over all attempts.
        extends: The run is finished and stays so: evaluations are added to it.
        answered: What the core raised in methods that it offers plugins, in order.
    """

    plan: RunPlan
    run_id: str
    workspace: Workspace
    checkpoint: Checkpoint
    options: RunOptions
    listener: RunListener
    stopped: Callable[[], bool]
    clock: Clock = field(default_factory=lambda: Clock())
    extends: bool = False
    answered: list[Exception] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """Where the run is filed."""
        return self.workspace.store

    def has_lost_lock(self) -> bool:
        """Whether another process took this one for gone, and carries the run out now."""
        return self.workspace.locks.has_lost(self.run_id)

    def cancelled(self) -> bool:
        """Whether the attempt is to end: the run was stopped, or it is another process's now."""
        return self.stopped() or self.has_lost_lock()

    def save(self, state: Mapping[str, Any]) -> None:
        """Save the run's checkpoint.

        Raises:
            Interrupted: the run is another process's now; nothing was written.
            StoreError: see `save_checkpoint`.
        """
        if self.has_lost_lock():
            raise Interrupted(
                f"run {self.run_id} was taken over by another process: this one was suspended, or cut off from the "
                "store, for too long"
            )
        self.checkpoint.save(state)
        self.mark("running")

    def mark(self, status: RunStatus, *, error: str | None = None, phase: Phase | None = None) -> None:
        """Set the run's status, and the time that was spent on it. The status of a finished run stays."""
        if not self.extends:
            self.store.mark_run(self.run_id, status, error=error, phase=phase, spent=self.clock.seconds)

    @contextmanager
    def plugin_code(self, *, restores: bool = False) -> Iterator[None]:
        """A block in which plugins work. What they raise is their failure, of whatever type it is; what the core raised
        in answer to them, and what the contracts have them raise, stays what it is. `os._exit` fails the run too.

        Args:
            restores: They are given stored state, of which they may say that it is damaged.

        Raises:
            PluginFailure: in place of an error that would be taken for the user's, or for an interruption.
            Interrupted: a plugin went on although it was told that the run is cancelled.
        """
        try:
            with exits_refused() as refused:
                yield
        except BaseException as error:
            if not isinstance(error, UserError | Interrupted) and isinstance(error, Exception):
                raise
            if self._is_theirs(error, restores):
                raise PluginFailure(error) from error
            raise
        if refused:
            raise PluginFailure(refused[0]) from refused[0]
        for answer in self.answered:
            if isinstance(answer, Interrupted):
                raise answer

    def _is_theirs(self, error: BaseException, restores: bool) -> bool:
        if isinstance(error, KeyboardInterrupt):
            return not isinstance(error, GaveUp) and signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        of_the_contract = isinstance(error, InfrastructureError | MissingDependency)
        damaged = restores and isinstance(error, CheckpointError)
        return not (of_the_contract or damaged or any(error is each for each in self.answered))

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A block of the core's that a plugin has called: its interruption, its failing store are not the plugin's."""
        try:
            yield
        except (Interrupted, StoreError) as error:
            self.answered.append(error)
            raise

    def begin_phase(self, phase: Phase) -> None:
        """File that a phase begins, and say so."""
        self.mark("running", phase=phase)
        if phase == "evaluate" or not self.extends:
            self.listener.on_phase(self.plan, phase)

    def trained(self, steps: int) -> None:
        """File that the agent has done all of its environment steps."""
        if not self.store.events(self.run_id, kind=_TRAINED):
            self.store.add_event(self.run_id, _TRAINED, {"steps": steps})

    def trained_steps(self) -> int:
        """Environment steps that the agent has done."""
        if events := self.store.events(self.run_id, kind=_TRAINED):
            return int(events[-1].payload["steps"])
        series = (self.store.metrics(self.run_id, name) for name in self.store.metric_names(self.run_id))
        return max((int(each.step[-1]) for each in series if len(each) and each.wall_time[-1] > 0), default=0)

    def stop_if_cancelled(self) -> None:
        """Raise `Interrupted` where the run was cancelled."""
        if self.cancelled():
            raise Interrupted(f"run {self.run_id} stopped between two steps; {self.options.again} resumes it")

    def seed(self, purpose: str) -> int:
        """A seed of its own for each purpose, 0..2^32 - 1, from the run's."""
        return seed_for(self.plan.seed, purpose)


def file_discovery(attempt: Attempt, found: DiscoveredCode, wall_time: float) -> CodeRecord:
    """Verify, prove and file a code, and say that it was found."""
    verify_encoder(found.code, found.encoder)
    distance = found.code.distance(budget_seconds=PROOF_SECONDS)
    record = attempt.store.add_discovery(
        attempt.run_id,
        found,
        distance,
        wall_time=wall_time,
        proof={"distance": distance.method, "encoder": "stim.Tableau"},
    )
    attempt.listener.on_code(attempt.plan, record)
    return record
