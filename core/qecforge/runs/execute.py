"""One run from start to end: build, train, evaluate, record, checkpoint, resume.

Every step is safe to repeat: a run that was killed at any instant is started again by the same command, continues from
its last checkpoint, and ends with the record that the uninterrupted run would have left.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import CheckpointError, Interrupted, RunBusy, RunFailed, StoreError, UserError, one_line
from qecforge.machine.provenance import provenance
from qecforge.runs.attempt import Attempt, PluginFailure
from qecforge.runs.checkpoints import checkpoint_step
from qecforge.runs.evaluating import evaluate
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.runs.lock import RunLocks, alone
from qecforge.runs.policies import fill_policy, kept_files, opened_environment, policy_files
from qecforge.runs.quantizing import quantized_policy, teacher_policy
from qecforge.runs.training import RunContext
from qecforge.runs.workspace import Workspace, checkpoint_path, local_workspace

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.store import Store

__all__ = ["checkpoint_path", "delete_run", "execute", "file_lost"]


def execute(
    plan: RunPlan,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    waits: bool = False,
    opened: Callable[[RunOptions], AbstractContextManager[Workspace]] = local_workspace,
) -> RunOutcome:
    """Carry out one run in this process.

    Args:
        waits: Where another process carries the run out, wait until it is done with it, and do what is left to do.
        opened: Opens the workspace: the store, the locks of its runs and where their checkpoints lie.

    Returns:
        The outcome; a plugin's exception becomes `failed`, with its traceback in the store's events.

    Raises:
        RunBusy: another process carries the run out, and it is not waited for.
        UserError: input that cannot be used was met (damaged checkpoint, decoder that does not fit, full disk), or what
            scores is out of order.
    """
    with opened(options) as workspace:
        outcome = _execute(plan, workspace, options, listener, cancelled, waits=waits)
    listener.on_end(plan, outcome)
    return outcome


def file_lost(
    plan: RunPlan,
    options: RunOptions,
    error: str,
    *,
    traceback: str | None = None,
    status: Literal["failed", "interrupted"] = "failed",
    opened: Callable[[RunOptions], AbstractContextManager[Workspace]] = local_workspace,
) -> RunOutcome:
    """File that the process which carried a run out is gone and did not say how the run ended.

    Args:
        error: One line: what became of the process.

    Returns:
        The outcome: `status`, or `finished` where the process still got so far.

    Raises:
        StoreError: the store cannot be written.
    """
    with opened(options) as workspace:
        store = workspace.store
        run_id = _begin(plan, store)
        with suppress(RunBusy), alone(workspace.locks, run_id, lambda: False):
            if store.run(run_id).status == "finished":
                return RunOutcome(run_id, plan.identity, "finished", 0.0)
            error = f"{error}; the same command goes on from step {checkpoint_step(workspace.checkpoint(run_id).path)}"
            store.add_event(run_id, "lost", {"error": error, "traceback": traceback})
            store.mark_run(run_id, status, error=error)
        return RunOutcome(run_id, plan.identity, status, 0.0, error)


def _execute(
    plan: RunPlan,
    workspace: Workspace,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool],
    *,
    waits: bool,
    as_teacher: bool = False,
) -> RunOutcome:
    """Carry out a run. One that another process has had meanwhile, or that serves as teacher, is not begun anew once it
    is finished."""
    started = time.monotonic()
    store, locks, waited = workspace.store, workspace.locks, False
    run_id = _begin(plan, store)

    def waiting() -> None:
        nonlocal waited
        waited = True
        listener.on_wait(plan, run_id)

    try:
        with alone(locks, run_id, cancelled, wait=waits, waiting=waiting):
            finished = store.run(run_id).status == "finished"
            if finished and (as_teacher or waited or not options.force):
                return RunOutcome(run_id, plan.identity, "skipped", 0.0)
            checkpoint = workspace.checkpoint(run_id)
            attempt = Attempt(plan, run_id, workspace, checkpoint, options, listener, cancelled)
            if options.force:
                _forget(attempt)
            status, error = _carry_out(attempt)
    except Interrupted as stop:  # while it waited: the row is the other process's
        status, error = "interrupted", str(stop)
    return RunOutcome(run_id, plan.identity, status, time.monotonic() - started, error)


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
        message = str(stop) or _unsaved(attempt)
        if not attempt.has_lost_lock():
            store.mark_run(run_id, "interrupted", error=message)
        return "interrupted", message
    except UserError as error:
        with suppress(StoreError):
            store.mark_run(run_id, "interrupted", error=str(error))
        raise
    except BaseException as raised:  # SystemExit too: what a plugin raises ends its run, not the command
        cause = raised.error if isinstance(raised, PluginFailure) else raised
        message = one_line(f"{type(cause).__name__}: {cause}")
        with suppress(StoreError):
            store.add_event(run_id, "error", {"traceback": "".join(traceback.format_exception(cause))})
            store.mark_run(run_id, "failed", error=message)
        return "failed", message
    attempt.checkpoint.remove()
    return "finished", None


def _unsaved(attempt: Attempt) -> str:
    """What an end at once, in the middle of a step, means for the run."""
    step = checkpoint_step(attempt.checkpoint.path)
    return f"run {attempt.run_id} ended without saving its state; the same command goes on from step {step}"


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
    with ExitStack() as opened:
        with attempt.plugin_code():
            agent = plan.agent.spec.make(plan.agent.config)
            env = opened.enter_context(opened_environment(plan, agent))
        if trained := kept_files(store, attempt.run_id):
            with attempt.plugin_code(restores=True):
                return fill_policy(agent.build_policy(env), trained)
        attempt.listener.on_phase(plan, "train")
        with attempt.plugin_code(restores=restored is not None):
            context = RunContext(attempt, env, agent, seed=plan.seed, budget=plan.budget, restored=restored)
            with context:
                policy = agent.train(env, context)
                context.record_discoveries()
                context.flush()
            files = policy_files(policy)
        store.add_artifacts(attempt.run_id, "policy", files)
    return policy


def _teacher_run(attempt: Attempt, plan: RunPlan) -> str:
    """Id of the finished run of a teacher, which is carried out now where it is not finished yet."""
    outcome = _execute(
        plan, attempt.workspace, attempt.options, attempt.listener, attempt.cancelled, waits=True, as_teacher=True
    )
    if outcome.status != "skipped":
        attempt.listener.on_end(plan, outcome)
    if outcome.status == "failed":
        raise RunFailed(f"its teacher, run {outcome.run_id}, failed with {outcome.error}")
    if outcome.status == "interrupted":
        raise Interrupted(f"run {attempt.run_id} stopped while its teacher was trained; the same command resumes it")
    return outcome.run_id
