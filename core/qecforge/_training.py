"""The core's side of training: what an agent is given as its `TrainingContext`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.checkpoints import save_checkpoint
from qecforge.codes import verify_encoder
from qecforge.errors import Interrupted

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode
    from qecforge.hookspecs import Environment
    from qecforge.manifest import Budget, RunPlan
    from qecforge.run import Phase, RunListener, RunOptions
    from qecforge.store import CodeRecord, Store

__all__ = ["Attempt", "RunContext", "file_discovery"]

METRIC_FLUSH_SECONDS = 2.0
PROOF_SECONDS = 600.0


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run, which may continue where an earlier one was cut off."""

    plan: RunPlan
    run_id: str
    store: Store
    checkpoint: Path
    options: RunOptions
    listener: RunListener
    cancelled: Callable[[], bool]

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
        key = tuple(purpose.encode())
        return int(np.random.SeedSequence(self.plan.seed, spawn_key=key).generate_state(1, np.uint32)[0])


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


class RunContext:
    """Files what an agent reports, and keeps the run resumable.

    Order matters for a crash at any instant: metrics and discoveries reach the store before the checkpoint that lies
    behind them, and writing them again after a resume changes nothing.
    """

    def __init__(
        self,
        attempt: Attempt,
        env: Environment,
        *,
        seed: int,
        budget: Budget,
        restored: Mapping[str, Any] | None,
    ) -> None:
        self.seed = seed
        self._attempt, self._env, self._budget, self._restored = attempt, env, budget, restored
        self._elapsed_before = float(restored["elapsed"]) if restored else 0.0
        self._started = self._saved = self._flushed = time.monotonic()
        self._pending: list[tuple[str, int, float, float]] = []
        self._found_code = bool(attempt.store.codes(run=attempt.run_id, limit=1))

    @property
    def restored(self) -> Mapping[str, Any] | None:
        """The agent's state from the checkpoint, or None at a fresh start."""
        return self._restored["agent"] if self._restored else None

    @property
    def elapsed(self) -> float:
        """Seconds spent in training, earlier attempts up to their last checkpoint included."""
        return self._elapsed_before + time.monotonic() - self._started

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        """See `qecforge.hookspecs.TrainingContext.advance`."""
        elapsed = self.elapsed
        self._pending.extend((name, step, float(value), elapsed) for name, value in metrics.items())
        self.record_discoveries()
        self._attempt.listener.on_progress(self._attempt.plan, step, total, metrics)
        spent = self._budget_spent(elapsed)
        cancelled = self._attempt.cancelled()
        now = time.monotonic()
        if step >= total or spent or cancelled or now - self._saved >= self._attempt.options.checkpoint_seconds:
            self._save(step, elapsed, state())
        elif now - self._flushed >= METRIC_FLUSH_SECONDS:
            self.flush()
        if cancelled:
            raise Interrupted(f"run {self._attempt.run_id} stopped at step {step}; the same command resumes it")
        return step < total and not spent

    def record_discoveries(self) -> None:
        """Verify, prove and file what the environment has found since the last call."""
        for found in self._env.take_discoveries():
            file_discovery(self._attempt, found, self.elapsed)
            self._found_code = True

    def flush(self) -> None:
        """Write the metrics that wait."""
        if self._pending:
            self._attempt.store.add_metrics(self._attempt.run_id, self._pending)
            self._pending = []
        self._flushed = time.monotonic()

    def _budget_spent(self, elapsed: float) -> bool:
        if self._budget.seconds is not None and elapsed >= self._budget.seconds:
            return True
        return self._budget.stop_at_first_code and self._found_code

    def _save(self, step: int, elapsed: float, agent_state: Mapping[str, Any]) -> None:
        self.flush()
        save_checkpoint(
            self._attempt.checkpoint,
            {
                "identity": self._attempt.plan.identity,
                "step": step,
                "elapsed": elapsed,
                "environment": self._env.state_dict(),
                "agent": dict(agent_state),
            },
        )
        self._saved = time.monotonic()
