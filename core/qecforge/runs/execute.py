"""One run from start to end: build, train, evaluate, record, checkpoint, resume.

Every step is safe to repeat: a run that was killed at any instant is started again by the same command, continues from
its last checkpoint, and ends with the record that the uninterrupted run would have left.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import CheckpointError, Interrupted, RunFailed, StoreError, UserError
from qecforge.machine.provenance import provenance
from qecforge.runs.attempt import Attempt
from qecforge.runs.evaluating import evaluate
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.runs.lock import RunLocks, alone
from qecforge.runs.policies import fill_policy, keep_policy, kept_files, opened_environment
from qecforge.runs.quantizing import quantized_policy, teacher_policy
from qecforge.runs.training import RunContext
from qecforge.runs.workspace import Workspace, checkpoint_path, local_workspace

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.store import Store

__all__ = ["checkpoint_path", "delete_run", "execute"]


def execute(
    plan: RunPlan,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    opened: Callable[[RunOptions], AbstractContextManager[Workspace]] = local_workspace,
) -> RunOutcome:
    """Carry out one run in this process.

    Args:
        opened: Opens the workspace: the store, the locks of its runs and where their checkpoints lie.

    Returns:
        The outcome; a plugin's exception becomes `failed`, with its traceback in the store's events.

    Raises:
        UserError: input that cannot be used was met (damaged checkpoint, decoder that does not fit, full disk), or what
            scores is out of order.
    """
    with opened(options) as workspace:
        outcome = _execute(plan, workspace, options, listener, cancelled)
    listener.on_end(plan, outcome)
    return outcome


def _execute(
    plan: RunPlan,
    workspace: Workspace,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool],
    *,
    as_teacher: bool = False,
) -> RunOutcome:
    """Carry out a run. One that serves as teacher is waited for where another process has it, and is not begun anew
    once it is finished."""
    started = time.monotonic()
    store = workspace.store
    run_id = _begin(plan, store)
    locks = workspace.locks
    try:
        with alone(locks, run_id, cancelled, wait=as_teacher):
            finished = store.run(run_id).status == "finished"
            if finished and (as_teacher or not options.force):
                return RunOutcome(run_id, plan.identity, "skipped", 0.0)
            checkpoint = workspace.checkpoint(run_id)
            attempt = Attempt(plan, run_id, workspace, checkpoint, options, listener, cancelled)
            if options.force:
                _forget(attempt)
            status, error = _carry_out(attempt)
            return RunOutcome(run_id, plan.identity, status, time.monotonic() - started, error)
    except Interrupted as stopped:  # before it began
        if as_teacher:
            raise
        return RunOutcome(run_id, plan.identity, "interrupted", 0.0, str(stopped))


def delete_run(store: Store, run_id: str) -> None:
    """Delete a run's record, its checkpoint, and what no other run refers to.

    Raises:
        StoreError: no such run, or the store cannot be written.
        UserError: another process is carrying it out.
    """
    run_id = store.run(run_id).id
    with RunLocks(store) as locks, alone(locks, run_id, lambda: False):
        checkpoint = Workspace(store, locks).checkpoint(run_id)
        store.delete_run(run_id)
        checkpoint.remove()


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
        quantizer=plan.quantization.quantizer.spec.name if plan.quantization else None,
        provenance=provenance(),
        sweep_point=plan.sweep_point,
    ).id


def _forget(attempt: Attempt) -> None:
    """Make the run as if it had never been begun. A kill in between must not leave a checkpoint that lies behind
    metrics and codes which are gone."""
    attempt.checkpoint.remove()
    attempt.store.restart_run(attempt.run_id)


def _carry_out(attempt: Attempt) -> tuple[Literal["finished", "failed", "interrupted"], str | None]:
    plan, run_id, store = attempt.plan, attempt.run_id, attempt.store
    try:
        restored = _restored(attempt)
        store.mark_run(run_id, "running", phase="train" if plan.quantization is None else "teacher")
        if restored is not None:
            store.add_event(run_id, "resumed", provenance())
        attempt.listener.on_start(plan, run_id, restored is not None)
        if plan.quantization is None:
            policy, teacher = _trained(attempt, restored), None
        else:
            teacher = teacher_policy(attempt, lambda wanted: _teacher_run(attempt, wanted))
            policy = quantized_policy(attempt, teacher, restored)
        attempt.begin_phase("evaluate")
        evaluate(attempt, policy, teacher)
        store.mark_run(run_id, "finished")
    except (Interrupted, KeyboardInterrupt) as stop:
        message = str(stop) or "interrupted"
        if not attempt.has_lost_lock():
            store.mark_run(run_id, "interrupted", error=message)
        return "interrupted", message
    except UserError as error:
        with suppress(StoreError):
            store.mark_run(run_id, "interrupted", error=str(error))
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        with suppress(StoreError):
            store.add_event(run_id, "error", {"traceback": traceback.format_exc()})
            store.mark_run(run_id, "failed", error=message)
        return "failed", message
    attempt.checkpoint.remove()
    return "finished", None


def _restored(attempt: Attempt) -> dict[str, Any] | None:
    state = attempt.checkpoint.load()
    if state is not None and state.get("identity") != attempt.plan.identity:
        raise CheckpointError(
            f"{attempt.checkpoint.path}: belongs to another run: move it away, or start the run anew with `force`"
        )
    return state


def _trained(attempt: Attempt, restored: Mapping[str, Any] | None) -> Any:
    """The float policy of the run, of arrays or of text: found among its artifacts, or trained."""
    plan, store = attempt.plan, attempt.store
    agent = plan.agent.spec.make(plan.agent.config)
    with opened_environment(plan, agent) as env:
        if trained := kept_files(store, attempt.run_id):
            return fill_policy(agent.build_policy(env), trained)
        attempt.listener.on_phase(plan, "train")
        with RunContext(attempt, env, agent, seed=plan.seed, budget=plan.budget, restored=restored) as context:
            policy = agent.train(env, context)
            context.record_discoveries()
            context.flush()
        keep_policy(store, attempt.run_id, policy)
    return policy


def _teacher_run(attempt: Attempt, plan: RunPlan) -> str:
    """Id of the finished run of a teacher, which is carried out now where it is not finished yet."""
    outcome = _execute(plan, attempt.workspace, attempt.options, attempt.listener, attempt.cancelled, as_teacher=True)
    if outcome.status != "skipped":
        attempt.listener.on_end(plan, outcome)
    if outcome.status == "failed":
        raise RunFailed(f"its teacher, run {outcome.run_id}, failed with {outcome.error}")
    if outcome.status == "interrupted":
        raise Interrupted(f"run {attempt.run_id} stopped while its teacher was trained; the same command resumes it")
    return outcome.run_id
