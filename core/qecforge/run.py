"""One run from start to end: build, train, evaluate, record, checkpoint, resume.

Every step is safe to repeat: a run that was killed at any instant is started again by the same command, continues from
its last checkpoint, and ends with the record that the uninterrupted run would have left.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qecforge._cores import available_cores
from qecforge._provenance import provenance
from qecforge._training import RunContext
from qecforge.checkpoints import load_checkpoint
from qecforge.errors import CheckpointError, Interrupted, StoreError, UserError
from qecforge.policies import POLICY_ARTIFACT, build_environment, fill_policy, policy_bytes
from qecforge.store import Store

if TYPE_CHECKING:
    from qecforge.evaluation.records import ErrorCounts, ErrorRateTask
    from qecforge.hookspecs import Policy
    from qecforge.manifest import RunPlan
    from qecforge.store import CodeRecord

__all__ = ["RunListener", "RunOptions", "RunOutcome", "checkpoint_path", "delete_run", "execute"]


@dataclass(frozen=True)
class RunOptions:
    """How runs are carried out; none of it changes a result.

    Attributes:
        store_url: SQLAlchemy URL of the store.
        force: Start finished and broken runs anew.
        workers: Processes for measuring logical error rates; None for one a core.
        checkpoint_seconds: Time between checkpoints; `run_manifest` takes the manifest's.
    """

    store_url: str = "sqlite:///results.db"
    force: bool = False
    workers: int | None = None
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. `skipped`: the store already had it finished. `error` is one line."""

    run_id: str
    identity: str
    status: Literal["finished", "skipped", "failed", "interrupted"]
    seconds: float
    error: str | None = None


class RunListener:
    """Told what happens in a run; does nothing with it. Subclass what you need; arguments can be pickled."""

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """The run begins, or continues from a checkpoint."""

    def on_phase(self, plan: RunPlan, phase: Literal["train", "evaluate"]) -> None:
        """A phase begins."""

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """The agent has done `step` of `total` environment steps."""

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """A code was found, proved and filed, or a known one with fewer gates."""

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """Shots of a logical-error-rate measurement were filed."""

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """The run ended."""


def execute(
    plan: RunPlan, options: RunOptions, listener: RunListener, cancelled: Callable[[], bool] = lambda: False
) -> RunOutcome:
    """Carry out one run in this process.

    Returns:
        The outcome; a plugin's exception becomes `failed`, with its traceback in the store's events.

    Raises:
        UserError: input that cannot be used was met (damaged checkpoint, decoder that does not fit, full disk).
    """
    if plan.quantizer is not None:
        raise UserError(
            f"quantizer {plan.quantizer.spec.name!r}: quantizers are described and checked, but not carried out yet: "
            "remove `quantizer` from the manifest"
        )
    started = time.monotonic()
    with Store(options.store_url) as store:
        run_id = _begin(plan, store)
        with _alone(checkpoint_path(store, run_id)) as checkpoint:
            attempt = _Attempt(plan, run_id, store, checkpoint, options, listener, cancelled)
            if options.force:
                attempt.forget()
            if store.run(run_id).status == "finished":
                outcome = RunOutcome(run_id, plan.identity, "skipped", 0.0)
            else:
                status, error = attempt.carry_out()
                outcome = RunOutcome(run_id, plan.identity, status, time.monotonic() - started, error)
    listener.on_end(plan, outcome)
    return outcome


def checkpoint_path(store: Store, run_id: str) -> Path:
    """Where the checkpoint of a run lies: in a folder of its own beside the store's artifacts."""
    return store.directory / "checkpoints" / run_id / "training.ckpt"


def delete_run(store: Store, run_id: str) -> None:
    """Delete a run's record, its checkpoint, and what no other run refers to.

    Raises:
        StoreError: no such run, or the store cannot be written.
        UserError: another process is carrying it out.
    """
    run_id = store.run(run_id).id
    with _alone(checkpoint_path(store, run_id)) as checkpoint:
        store.delete_run(run_id)
        shutil.rmtree(checkpoint.parent, ignore_errors=True)


def _begin(plan: RunPlan, store: Store) -> str:
    return store.begin_run(
        plan.identity,
        name=plan.name,
        seed=plan.seed,
        manifest=plan.canonical,
        manifest_source=plan.source_text,
        environment=plan.environment.spec.name,
        reward=plan.reward.spec.name if plan.reward else None,
        agent=plan.agent.spec.name,
        quantizer=plan.quantizer.spec.name if plan.quantizer else None,
        provenance=provenance(),
        sweep_point=plan.sweep_point,
    ).id


@contextmanager
def _alone(checkpoint: Path) -> Iterator[Path]:
    """Hold the run's lock, so that two processes never train the same run."""
    from filelock import FileLock, Timeout

    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(checkpoint.parent.with_suffix(".lock"), timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"run {checkpoint.parent.name} is being carried out by another process: wait for it, or stop it"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{checkpoint.parent}: cannot be written ({error.strerror}): choose another folder with --store"
        ) from error
    try:
        yield checkpoint
    finally:
        lock.release()


@dataclass(frozen=True)
class _Attempt:
    """One attempt at a run, which may continue where an earlier one was cut off."""

    plan: RunPlan
    run_id: str
    store: Store
    checkpoint: Path
    options: RunOptions
    listener: RunListener
    cancelled: Callable[[], bool]

    def forget(self) -> None:
        """Make the run as if it had never been begun. A kill in between must not leave a checkpoint that lies
        behind metrics and codes which are gone."""
        self.checkpoint.unlink(missing_ok=True)
        self.store.restart_run(self.run_id)

    def carry_out(self) -> tuple[Literal["finished", "failed", "interrupted"], str | None]:
        try:
            restored = self.restore()
            self.store.mark_run(self.run_id, "running", phase="train")
            if restored is not None:
                self.store.add_event(self.run_id, "resumed", provenance())
            self.listener.on_start(self.plan, self.run_id, restored is not None)
            policy = self.train(restored)
            self.store.mark_run(self.run_id, "running", phase="evaluate")
            self.listener.on_phase(self.plan, "evaluate")
            self.measure_error_rates()
            self.evaluate_otherwise(policy)
            self.store.mark_run(self.run_id, "finished")
        except (Interrupted, KeyboardInterrupt) as stop:
            message = str(stop) or "interrupted"
            self.store.mark_run(self.run_id, "interrupted", error=message)
            return "interrupted", message
        except UserError as error:
            with suppress(StoreError):
                self.store.mark_run(self.run_id, "interrupted", error=str(error))
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            with suppress(StoreError):
                self.store.add_event(self.run_id, "error", {"traceback": traceback.format_exc()})
                self.store.mark_run(self.run_id, "failed", error=message)
            return "failed", message
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)
        return "finished", None

    def restore(self) -> dict[str, Any] | None:
        if not self.checkpoint.exists():
            return None
        state = load_checkpoint(self.checkpoint)
        if state.get("identity") != self.plan.identity:
            raise CheckpointError(
                f"{self.checkpoint}: belongs to another run: move it away, or start anew with --force"
            )
        return state

    def train(self, restored: Mapping[str, Any] | None) -> Policy:
        agent = self.plan.agent.spec.make(self.plan.agent.config)
        env = build_environment(self.plan, agent)
        trained = self.store.artifacts(self.run_id, kind="policy")
        if trained:
            return fill_policy(agent.build_policy(env), self.store.read_artifact(trained[-1]))
        self.listener.on_phase(self.plan, "train")
        if restored is not None:
            env.load_state_dict(restored["environment"])
        context = RunContext(
            self.plan,
            self.run_id,
            env,
            store=self.store,
            checkpoint=self.checkpoint,
            restored=restored,
            options=self.options,
            listener=self.listener,
            cancelled=self.cancelled,
        )
        policy = agent.train(env, context)
        context.record_discoveries()
        context.flush()
        self.store.add_artifact(self.run_id, "policy", POLICY_ARTIFACT, policy_bytes(policy))
        return policy

    def measure_error_rates(self) -> None:
        """Of the run's best codes; shots that the store has already are not drawn again."""
        config = self.plan.evaluation.logical_error_rate
        if config is None:
            return
        from qecforge.evaluation import measure_error_rates

        for found in self.store.codes(run=self.run_id, order_by=("-distance", "gate_count"), limit=config.max_codes):
            measure_error_rates(
                found.code,
                config,
                known=partial(self.store.error_counts, found.id),
                record=partial(self._file_counts, found.id),
                workers=self.options.workers or available_cores(),
                should_stop=self.cancelled,
                distance=found.distance if found.distance_kind == "exact" else None,
            )
            self._stop_if_cancelled()

    def _file_counts(self, code_id: str, task: ErrorRateTask, chunk: int, counts: ErrorCounts) -> None:
        self.store.add_error_counts(code_id, task, chunk, counts, run_id=self.run_id)
        self.listener.on_measure(self.plan, task, counts)

    def evaluate_otherwise(self, policy: Policy) -> None:
        """The evaluations that the environment brings, each in a fresh one: where the training left it is not known
        to an attempt that finds the training done."""

        def record(metric: str, step: int, value: float) -> None:
            self.store.add_metrics(self.run_id, [(metric, step, value, 0.0)])

        for spec, settings in self.plan.evaluation.others:
            self._stop_if_cancelled()
            env = build_environment(self.plan, self.plan.agent.spec.make(self.plan.agent.config))
            spec.evaluate(env, policy, settings, record)

    def _stop_if_cancelled(self) -> None:
        if self.cancelled():
            raise Interrupted(f"run {self.run_id} stopped while evaluating; the same command resumes it")
