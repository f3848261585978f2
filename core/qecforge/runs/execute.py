"""One run from start to end: build, train, evaluate, record, checkpoint, resume.

Every step is safe to repeat: a run that was killed at any instant is started again by the same command, continues from
its last checkpoint, and ends with the record that the uninterrupted run would have left.
"""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import CheckpointError, Interrupted, RunBusy, RunFailed, StoreError, UserError, one_line
from qecforge.learning.restoring import restored_int, restored_number, restored_parts
from qecforge.machine.compilation import told_of_compilation
from qecforge.machine.provenance import provenance
from qecforge.manifest._validation import canonical_json
from qecforge.runs.attempt import Attempt, Clock, PluginFailure
from qecforge.runs.checkpoints import checkpoint_step
from qecforge.runs.evaluating import evaluate, missing_evaluations
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.runs.lock import RunLocks, alone
from qecforge.runs.policies import file_fitted, fill_policy, kept_files, opened_environment, policy_files
from qecforge.runs.quantizing import quantized_policy, teacher_policy
from qecforge.runs.training import RunContext
from qecforge.runs.workspace import Workspace, checkpoint_path, local_workspace

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.store import Run, Store

__all__ = ["begin", "checkpoint_path", "delete_run", "evaluate_run", "execute", "file_lost"]


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
    with opened(options) as workspace, told_of_compilation(lambda: listener.on_compile(plan)):
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
        run_id = begin(plan, store)
        with suppress(RunBusy), alone(workspace.locks, run_id, lambda: False):
            run = store.run(run_id)
            if run.status == "finished":  # before the process was gone; or it was evaluated further, and stays so
                if missing_evaluations(plan, run):
                    return RunOutcome(run_id, plan.identity, status, 0.0, error)
                return RunOutcome(run_id, plan.identity, "finished", 0.0)
            step = checkpoint_step(workspace.checkpoint(run_id).path)
            error = f"run {run_id}: {error}; {options.again} goes on from step {step}"
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
    run_id = begin(plan, store)

    def waiting() -> None:
        nonlocal waited
        waited = True
        listener.on_wait(plan, run_id)

    try:
        with alone(locks, run_id, cancelled, wait=waits, waiting=waiting):
            run = store.run(run_id)
            extends = run.status == "finished" and (as_teacher or waited or not options.force)
            missing = missing_evaluations(plan, run)
            if extends and not missing:
                return RunOutcome(run_id, plan.identity, "skipped", 0.0)
            before = 0.0 if options.force and not extends else run.seconds if extends else run.spent
            attempt = Attempt(
                plan,
                run_id,
                workspace,
                workspace.checkpoint(run_id),
                options,
                listener,
                cancelled,
                Clock(before or 0.0),
                extends=extends,
            )
            if extends:
                status, error = _carry_out(attempt, lambda: _extend(attempt, run, missing, as_well=_teacher_run))
            else:
                if options.force:
                    _forget(attempt)
                locks.keep_time(run_id, before or 0.0)
                status, error = _carry_out(attempt, lambda: _whole(attempt, run))
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


def begin(plan: RunPlan, store: Store, made_with: Mapping[str, Any] | None = None) -> str:
    """File a run as `pending`, where the store does not have it.

    Args:
        made_with: Its provenance; None for that of this process.

    Returns:
        Its id.
    """
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
        provenance=provenance() if made_with is None else made_with,
        sweep_point=plan.sweep_point,
    ).id


def _forget(attempt: Attempt) -> None:
    """Make the run as if it had never been begun. A kill in between must not leave a checkpoint that lies behind
    metrics and codes which are gone."""
    attempt.checkpoint.remove()
    attempt.store.restart_run(attempt.run_id)


def _carry_out(
    attempt: Attempt, work: Callable[[], None]
) -> tuple[Literal["finished", "failed", "interrupted"], str | None]:
    """Do the work, and file how it ended."""
    try:
        work()
        attempt.mark("finished")
    except (Interrupted, KeyboardInterrupt) as stop:
        message = str(stop) or _unsaved(attempt)
        if not attempt.has_lost_lock():
            attempt.mark("interrupted", error=message)
        return "interrupted", message
    except UserError as error:
        with suppress(StoreError):
            attempt.mark("interrupted", error=str(error))
        raise
    except BaseException as raised:  # SystemExit too: what a plugin raises ends its run, not the command
        cause = raised.error if isinstance(raised, PluginFailure) else raised
        message = one_line(f"{type(cause).__name__}: {cause}")
        with suppress(StoreError):
            traced = "".join(traceback.format_exception(cause))
            attempt.store.add_event(attempt.run_id, "error", {"traceback": traced})
            attempt.mark("failed", error=message)
        return "failed", message
    attempt.checkpoint.remove()
    return "finished", None


def _unsaved(attempt: Attempt) -> str:
    """What an end at once, in the middle of a step, means for the run."""
    step = checkpoint_step(attempt.checkpoint.path)
    return f"run {attempt.run_id} ended without saving its state; {attempt.options.again} goes on from step {step}"


def _whole(attempt: Attempt, run: Run) -> None:
    """A run from wherever it is to its end."""
    plan, run_id, store = attempt.plan, attempt.run_id, attempt.store
    restored = _restored(attempt, run)
    if run.manifest != plan.canonical:
        store.replan_run(run_id, plan.canonical, manifest_source=plan.source_text or None)
    attempt.mark("running", phase="train" if plan.quantization is None else "teacher")
    if restored is not None:
        store.add_event(run_id, "resumed", provenance())
    attempt.listener.on_start(plan, run_id, restored is not None)
    policy, teacher = _policies(attempt, restored)
    attempt.begin_phase("evaluate")
    evaluate(attempt, policy, teacher)


def _policies(attempt: Attempt, restored: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """The run's result and, where that is quantized, its teacher: found among its artifacts, or trained."""
    if attempt.plan.quantization is None:
        return _trained(attempt, restored), None
    teacher = teacher_policy(attempt, lambda wanted: _teacher_run(attempt, wanted))
    return quantized_policy(attempt, teacher, restored), teacher


def _extend(
    attempt: Attempt, run: Run, names: Sequence[str], *, as_well: Callable[[Attempt, RunPlan], object] | None = None
) -> None:
    """Add evaluations to a finished run, which stays finished: each is filed as its own once it is through.

    Args:
        as_well: Has its teacher evaluated likewise, where the plan describes it; None: the teacher stays as it is.
    """
    plan, content = attempt.plan, json.loads(run.manifest)
    asked = json.loads(plan.canonical)["evaluation"]
    attempt.listener.on_extend(plan, attempt.run_id, names)
    if as_well is not None and plan.quantization is not None and not isinstance(plan.quantization.teacher, str):
        as_well(attempt, plan.quantization.teacher)
    policy, teacher = _policies(attempt, None)
    attempt.begin_phase("evaluate")

    def done(name: str) -> None:
        content["evaluation"] = {**content.get("evaluation", {}), name: asked[name]}
        attempt.store.replan_run(attempt.run_id, canonical_json(content), manifest_source=plan.source_text or None)

    evaluate(attempt, policy, teacher, names=names, done=done)


def evaluate_run(
    run_id: str,
    plan: RunPlan,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    opened: Callable[[RunOptions], AbstractContextManager[Workspace]] = local_workspace,
) -> RunOutcome:
    """Add evaluations to a finished run, in this process. Nothing is trained; shots of error rates add up.

    Args:
        run_id: Of the run.
        plan: The run's own, with other evaluations (`RunPlan.from_canonical(..., overrides=...)`).
        opened: As in `execute`.

    Returns:
        The outcome: `skipped` where the run has all of them. However it ends, the run stays finished, with the
        evaluations that are through.

    Raises:
        StoreError: no such run, or it is not finished.
        UserError: as `execute`.
    """
    started = time.monotonic()
    with opened(options) as workspace:
        run_id = workspace.store.run(run_id).id
        with alone(workspace.locks, run_id, cancelled):
            run = workspace.store.run(run_id)
            if run.status != "finished":
                raise StoreError(f"run {run_id} is {run.status}: run its manifest to the end, then evaluate it")
            missing = missing_evaluations(plan, run)
            if not missing:
                return RunOutcome(run_id, plan.identity, "skipped", 0.0)
            attempt = Attempt(
                plan,
                run_id,
                workspace,
                workspace.checkpoint(run_id),
                options,
                listener,
                cancelled,
                Clock(run.seconds or 0.0),
                extends=True,
            )
            status, error = _carry_out(attempt, lambda: _extend(attempt, run, missing))
            outcome = RunOutcome(run_id, plan.identity, status, time.monotonic() - started, error)
    listener.on_end(plan, outcome)
    return outcome


def _restored(attempt: Attempt, run: Run) -> dict[str, Any] | None:
    """What the checkpoint holds. Up to schema 0003 it named the hash of the whole manifest, evaluations included."""
    state = attempt.checkpoint.load()
    if state is None:
        return None
    what, names = str(attempt.checkpoint.path), ("identity", "step", "elapsed", "environment", "agent")
    state = dict(restored_parts(state, names, what))
    restored_int(state["step"], f"{what}: step")
    restored_number(state["elapsed"], f"{what}: elapsed", low=0.0, high=1e10)
    for name in ("environment", "agent"):
        restored_parts(state[name], (), f"{what}: {name}")
    before = hashlib.sha256(run.manifest.encode()).hexdigest()
    if state["identity"] not in (attempt.plan.identity, before):
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
                with context.restoring():
                    policy = agent.train(env, context)
                context.record_discoveries()
                context.flush()
            files = policy_files(policy)
            with attempt.answering():
                file_fitted(store, attempt.run_id, env)
        attempt.trained(context.step)
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
        again = attempt.options.again
        raise Interrupted(f"run {attempt.run_id} stopped while its teacher was trained; {again} resumes it")
    return outcome.run_id
