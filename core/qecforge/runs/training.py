"""The core's side of training: what an agent is given as its `TrainingContext`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from qecforge.contracts.environment import BaseEnvironment
from qecforge.errors import Interrupted, UserError, one_line
from qecforge.learning.restoring import restoring
from qecforge.runs._watched import count_from
from qecforge.runs.attempt import METRIC_FLUSH_SECONDS, Attempt, file_discovery
from qecforge.runs.policies import opened_environment

if TYPE_CHECKING:
    from qecforge.contracts.agent import Agent
    from qecforge.contracts.environment import Environment
    from qecforge.manifest import Budget

__all__ = ["RunContext"]

logger = logging.getLogger(__name__)


class RunContext:
    """Files what an agent reports, and keeps the run resumable.

    Order matters for a crash at any instant: metrics and discoveries reach the store before the checkpoint that lies
    behind them, and writing them again after a resume changes nothing.

    A context manager: at its end the environments that it made are closed.

    Args:
        env: What the agent trains on. Brought here to where the checkpoint left it, or to new episodes.
        agent: The one that trains.
        restored: What the checkpoint holds; None at a fresh start.
    """

    def __init__(
        self,
        attempt: Attempt,
        env: BaseEnvironment,
        agent: Agent[Any, Any],
        *,
        seed: int,
        budget: Budget,
        restored: Mapping[str, Any] | None,
    ) -> None:
        self.seed = seed
        self.begun: tuple[Any, dict[str, Any]] | None = None
        self.advanced = False
        self.step = 0
        self._attempt, self._env, self._agent, self._budget, self._restored = attempt, env, agent, budget, restored
        self._made, self._tests = ExitStack(), list[BaseEnvironment]()
        if restored is not None:
            self._restore_environment(restored)
        self._elapsed_before = float(restored["elapsed"]) if restored else 0.0
        self._started = self._saved = self._flushed = time.monotonic()
        self._pending: list[tuple[str, int, float, float]] = []
        with attempt.answering():
            self._found_code = bool(attempt.store.codes(run=attempt.run_id, limit=1))

    def __enter__(self) -> RunContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._made.__exit__(kind, error, traceback)

    @property
    def restored(self) -> Mapping[str, Any] | None:
        """The agent's state from the checkpoint, or None at a fresh start."""
        return self._restored["agent"] if self._restored else None

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """In the block, what an agent raises before its first `advance` is a `CheckpointError` where it resumes: it has
        done nothing yet but take over its state."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self._restored is None or self.advanced:
                raise
            with restoring(f"agent {self._attempt.plan.agent.spec.name}"):
                raise RuntimeError(f"{type(error).__name__}: {one_line(error, 200)}") from error

    @property
    def elapsed(self) -> float:
        """Seconds spent in training, earlier attempts up to their last checkpoint included."""
        return self._elapsed_before + time.monotonic() - self._started

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        """See `qecforge.contracts.agent.TrainingContext.advance`."""
        self.advanced = True
        with self._attempt.answering():
            return self._advance(step, total, metrics, state)

    def _advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        elapsed = self.elapsed
        count_from(self._env, step)
        self.step = step
        self._pending.extend((name, step, float(value), elapsed) for name, value in metrics.items())
        self.record_discoveries()
        with self._attempt.plugin_code():
            self._share_fitted(self._tests)
        self._attempt.listener.on_progress(self._attempt.plan, step, total, metrics)
        spent = self._budget_spent(elapsed)
        cancelled = self._attempt.cancelled()
        now = time.monotonic()
        if step >= total or spent or cancelled or now - self._saved >= self._attempt.options.checkpoint_seconds:
            self._save(step, elapsed, state)
        elif now - self._flushed >= METRIC_FLUSH_SECONDS:
            self.flush()
        if cancelled:
            raise Interrupted(
                f"run {self._attempt.run_id} stopped at step {step}, its state is saved; {self._attempt.options.again} "
                "resumes it"
            )
        return step < total and not spent

    def make_environment(self, purpose: str, num_envs: int | None = None) -> Any:
        """See `qecforge.contracts.agent.TrainingContext.make_environment`."""
        seed = self._attempt.seed(f"environment for {purpose}")
        opened = opened_environment(self._attempt.plan, self._agent, num_envs=num_envs or self._env.num_envs, seed=seed)
        made = self._made.enter_context(opened)
        self._tests.append(made)
        self._share_fitted([made])
        return made

    def _share_fitted(self, others: Sequence[BaseEnvironment]) -> None:
        """Give what the training's environment has fitted so far to others."""
        if others and (fitted := self._env.fitted_state()):
            for each in others:
                each.load_fitted_state(fitted)

    def record_discoveries(self) -> None:
        """Verify, prove and file what the environment has found since the last call."""
        with self._attempt.answering():
            with self._attempt.plugin_code():
                found = self._env.take_discoveries()
            for each in found:
                file_discovery(self._attempt, each, self.elapsed)
                self._found_code = True

    def flush(self) -> None:
        """Write the metrics that wait."""
        if self._pending:
            with self._attempt.answering():
                self._attempt.store.add_metrics(self._attempt.run_id, self._pending)
            self._pending = []
        self._flushed = time.monotonic()

    def _restore_environment(self, restored: Mapping[str, Any]) -> None:
        plan = self._attempt.plan
        with restoring(f"environment {plan.environment.spec.name}"):
            self._env.load_state_dict(restored["environment"])
        to_the_bit = plan.environment.spec.resumes == plan.agent.spec.resumes == "to_the_bit"
        if not to_the_bit and plan.environment.spec.actions in ("discrete", "continuous"):
            self.begun = cast("Environment", self._env).reset(
                seed=self._attempt.seed(f"resumed at step {restored['step']}")
            )

    def _budget_spent(self, elapsed: float) -> bool:
        if self._budget.seconds is not None and elapsed >= self._budget.seconds:
            return True
        return self._budget.stop_at_first_code and self._found_code

    def _save(self, step: int, elapsed: float, state: Callable[[], Mapping[str, Any]]) -> None:
        self.flush()
        with self._attempt.plugin_code():
            of_environment, of_agent = self._env.state_dict(), dict(state())
        self._attempt.save(
            {
                "identity": self._attempt.plan.identity,
                "step": step,
                "elapsed": elapsed,
                "environment": of_environment,
                "agent": of_agent,
            }
        )
        self._saved = time.monotonic()
        logger.info("run %s: checkpoint of step %d saved", self._attempt.run_id, step)
