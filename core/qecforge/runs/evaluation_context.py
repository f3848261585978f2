"""The core's side of a plugin's evaluation: what it is given as its `EvaluationContext`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from qecforge.runs.attempt import METRIC_FLUSH_SECONDS, Attempt

__all__ = ["EVALUATION_ARTIFACT", "RunEvaluation"]

EVALUATION_ARTIFACT = "evaluation"
"""Kind of the artifacts that evaluations file."""

_PROGRESS_SECONDS = 0.2
"""Least time between two reports of progress to the listener, so that a fast evaluation does not drown it."""


class RunEvaluation:
    """Files what an evaluation finds, and stops it where the run is cancelled. See `EvaluationContext`.

    Args:
        name: Of the evaluation, as the manifest has it.
    """

    def __init__(self, attempt: Attempt, name: str) -> None:
        self.seed = attempt.seed(f"evaluation {name}")
        self._attempt, self._name = attempt, name
        self._pending: list[tuple[str, int, float, float]] = []
        self._begun: set[str] = set()
        self._flushed, self._told = time.monotonic(), float("-inf")

    def record(self, metric: str, step: int, value: float) -> None:
        """File a number, at the latest after `METRIC_FLUSH_SECONDS`."""
        self._pending.append((metric, step, float(value), 0.0))
        with self._attempt.answering():
            self._stop_if_cancelled()
            if time.monotonic() - self._flushed >= METRIC_FLUSH_SECONDS:
                self.flush()

    def payload(self, name: str, content: Mapping[str, Any], *, values: Mapping[str, float] | None = None) -> None:
        """File a policy evaluation."""
        with self._attempt.answering():
            self._attempt.store.add_policy_evaluation(
                self._attempt.run_id, f"{self._name}/{name}", values or {}, payload=content
            )
            self._stop_if_cancelled()

    def artifact(self, name: str, content: bytes) -> None:
        """File bytes."""
        with self._attempt.answering():
            self._attempt.store.add_artifact(self._attempt.run_id, EVALUATION_ARTIFACT, f"{self._name}/{name}", content)
            self._stop_if_cancelled()

    def progress(self, done: int, total: int) -> None:
        """Tell the listener, the last report always."""
        now = time.monotonic()
        if done >= total or now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            self._attempt.listener.on_evaluation(self._attempt.plan, self._name, done, total)
        with self._attempt.answering():
            self._stop_if_cancelled()

    def cancelled(self) -> bool:
        """Whether the run was."""
        return self._attempt.cancelled()

    def flush(self) -> None:
        """Write the numbers that wait."""
        if self._pending:
            anew = {name for name, *_ in self._pending} - self._begun
            self._attempt.store.add_metrics(self._attempt.run_id, self._pending, anew=sorted(anew))
            self._begun |= anew
            self._pending = []
        self._flushed = time.monotonic()

    def _stop_if_cancelled(self) -> None:
        """Raise `Interrupted`, with everything filed, where the run was cancelled."""
        if self._attempt.cancelled():
            self.flush()
            self._attempt.stop_if_cancelled()
