"""One attempt at a run, and what every phase of it files."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qecforge.codes import verify_encoder
from qecforge.errors import CheckpointError, InfrastructureError, Interrupted, MissingDependency, StoreError, UserError
from qecforge.learning.generators import seed_for
from qecforge.machine.signals import GaveUp

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import Phase, RunListener, RunOptions
    from qecforge.runs.workspace import Checkpoint, Workspace
    from qecforge.store import CodeRecord, Store

__all__ = ["METRIC_FLUSH_SECONDS", "PROOF_SECONDS", "Attempt", "PluginFailure", "file_discovery"]

METRIC_FLUSH_SECONDS = 2.0
PROOF_SECONDS = 600.0


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
        answered: What the core raised in methods that it offers plugins, in order.
    """

    plan: RunPlan
    run_id: str
    workspace: Workspace
    checkpoint: Checkpoint
    options: RunOptions
    listener: RunListener
    stopped: Callable[[], bool]
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

    @contextmanager
    def plugin_code(self, *, restores: bool = False) -> Iterator[None]:
        """A block in which plugins work. What they raise is their failure, of whatever type it is; what the core raised
        in answer to them, and what the contracts have them raise, stays what it is.

        Args:
            restores: They are given stored state, of which they may say that it is damaged.

        Raises:
            PluginFailure: in place of an error that would be taken for the user's, or for an interruption.
            Interrupted: a plugin went on although it was told that the run is cancelled.
        """
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UserError | Interrupted) and isinstance(error, Exception):
                raise
            if self._is_theirs(error, restores):
                raise PluginFailure(error) from error
            raise
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
        self.store.mark_run(self.run_id, "running", phase=phase)
        self.listener.on_phase(self.plan, phase)

    def stop_if_cancelled(self) -> None:
        """Raise `Interrupted` where the run was cancelled."""
        if self.cancelled():
            raise Interrupted(f"run {self.run_id} stopped between two steps; the same command resumes it")

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
