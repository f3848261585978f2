"""The core's side of training: what an agent is given as its `TrainingContext`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.checkpoints import save_checkpoint
from qecforge.codes import verify_encoder
from qecforge.errors import Interrupted

if TYPE_CHECKING:
    from qecforge.hookspecs import Environment
    from qecforge.manifest import RunPlan
    from qecforge.run import RunListener, RunOptions
    from qecforge.store import Store

__all__ = ["RunContext"]

METRIC_FLUSH_SECONDS = 2.0
PROOF_SECONDS = 600.0


class RunContext:
    """Files what an agent reports, and keeps the run resumable.

    Order matters for a crash at any instant: metrics and discoveries reach the store before the checkpoint that lies
    behind them, and writing them again after a resume changes nothing.
    """

    def __init__(
        self,
        plan: RunPlan,
        run_id: str,
        env: Environment,
        *,
        store: Store,
        checkpoint: Path,
        restored: Mapping[str, Any] | None,
        options: RunOptions,
        listener: RunListener,
        cancelled: Callable[[], bool],
    ) -> None:
        self.seed = plan.seed
        self._plan, self._run_id, self._env, self._store = plan, run_id, env, store
        self._checkpoint, self._options, self._listener, self._cancelled = checkpoint, options, listener, cancelled
        self._restored = restored
        self._elapsed_before = float(restored["elapsed"]) if restored else 0.0
        self._started = self._saved = self._flushed = time.monotonic()
        self._pending: list[tuple[str, int, float, float]] = []
        self._found_code = bool(store.codes(run=run_id, limit=1))

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
        self._listener.on_progress(self._plan, step, total, metrics)
        spent = self._budget_spent(elapsed)
        cancelled = self._cancelled()
        now = time.monotonic()
        if step >= total or spent or cancelled or now - self._saved >= self._options.checkpoint_seconds:
            self._save(step, elapsed, state())
        elif now - self._flushed >= METRIC_FLUSH_SECONDS:
            self.flush()
        if cancelled:
            raise Interrupted(f"run {self._run_id} stopped at step {step}; the same command resumes it")
        return step < total and not spent

    def record_discoveries(self) -> None:
        """Verify, prove and file what the environment has found since the last call."""
        for found in self._env.take_discoveries():
            verify_encoder(found.code, found.encoder)
            distance = found.code.distance(budget_seconds=PROOF_SECONDS)
            record = self._store.add_discovery(
                self._run_id,
                found,
                distance,
                wall_time=self.elapsed,
                proof={"distance": distance.method, "encoder": "stim.Tableau"},
            )
            self._found_code = True
            self._listener.on_code(self._plan, record)

    def flush(self) -> None:
        """Write the metrics that wait."""
        if self._pending:
            self._store.add_metrics(self._run_id, self._pending)
            self._pending = []
        self._flushed = time.monotonic()

    def _budget_spent(self, elapsed: float) -> bool:
        budget = self._plan.budget
        if budget.seconds is not None and elapsed >= budget.seconds:
            return True
        return budget.stop_at_first_code and self._found_code

    def _save(self, step: int, elapsed: float, agent_state: Mapping[str, Any]) -> None:
        self.flush()
        save_checkpoint(
            self._checkpoint,
            {
                "identity": self._plan.identity,
                "step": step,
                "elapsed": elapsed,
                "environment": self._env.state_dict(),
                "agent": dict(agent_state),
            },
        )
        self._saved = time.monotonic()
