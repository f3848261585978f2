"""One run from start to end: build, train, evaluate, record, checkpoint, resume.

Every step is safe to repeat: a run that was killed at any instant is started again by the same command, continues from
its last checkpoint, and ends with the record that the uninterrupted run would have left.
"""

from __future__ import annotations

import re
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import CheckpointError, Interrupted, RunFailed, StoreError, UserError, one_line
from qecforge.learning.restoring import restored_int, restored_number, restored_parts
from qecforge.machine.files import is_inside
from qecforge.machine.provenance import provenance
from qecforge.runs.attempt import Attempt
from qecforge.runs.checkpoints import load_checkpoint, remove_checkpoint
from qecforge.runs.evaluating import evaluate
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.runs.lock import alone
from qecforge.runs.policies import fill_policy, keep_policy, kept_files, opened_environment
from qecforge.runs.quantizing import quantized_policy, teacher_policy
from qecforge.runs.training import RunContext
from qecforge.store import Store

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan

__all__ = ["checkpoint_path", "delete_run", "execute"]


def execute(
    plan: RunPlan, options: RunOptions, listener: RunListener, cancelled: Callable[[], bool] = lambda: False
) -> RunOutcome:
    """Carry out one run in this process.

    Returns:
        The outcome; a plugin's exception becomes `failed`, with its traceback in the store's events.

    Raises:
        UserError: input that cannot be used was met (damaged checkpoint, decoder that does not fit, full disk), or what
            scores is out of order.
    """
    outcome = _execute(plan, options, listener, cancelled)
    listener.on_end(plan, outcome)
    return outcome


def _execute(
    plan: RunPlan,
    options: RunOptions,
    listener: RunListener,
    cancelled: Callable[[], bool],
    *,
    as_teacher: bool = False,
) -> RunOutcome:
    """Carry out a run. One that serves as teacher is waited for where another process has it, and is not begun anew
    once it is finished."""
    started = time.monotonic()
    with Store(options.store_url) as store:
        run_id = _begin(plan, store)
        with alone(checkpoint_path(store, run_id), cancelled if as_teacher else None) as checkpoint:
            attempt = Attempt(plan, run_id, store, checkpoint, options, listener, cancelled)
            finished = store.run(run_id).status == "finished"
            if options.force and not (as_teacher and finished):
                _forget(attempt)
            elif finished:
                return RunOutcome(run_id, plan.identity, "skipped", 0.0)
            status, error = _carry_out(attempt)
            return RunOutcome(run_id, plan.identity, status, time.monotonic() - started, error)


def checkpoint_path(store: Store, run_id: str) -> Path:
    """Where the checkpoint of a run lies: in a folder of its own beside the store's artifacts.

    Raises:
        StoreError: the id, or a symbolic link, leads out of the store's folder, which may come from elsewhere.
    """
    folder = store.directory / "checkpoints" / run_id
    if not (re.fullmatch(r"[0-9a-f]+", run_id) and is_inside(store.directory, folder)):
        raise StoreError(f"{one_line(str(folder), 200)}: leads out of {store.directory}: remove it from the store")
    return folder / "training.ckpt"


def delete_run(store: Store, run_id: str) -> None:
    """Delete a run's record, its checkpoint, and what no other run refers to.

    Raises:
        StoreError: no such run, or the store cannot be written.
        UserError: another process is carrying it out.
    """
    run_id = store.run(run_id).id
    with alone(checkpoint_path(store, run_id)) as checkpoint:
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
        quantizer=plan.quantization.quantizer.spec.name if plan.quantization else None,
        provenance=provenance(),
        sweep_point=plan.sweep_point,
    ).id


def _forget(attempt: Attempt) -> None:
    """Make the run as if it had never been begun. A kill in between must not leave a checkpoint that lies behind
    metrics and codes which are gone."""
    remove_checkpoint(attempt.checkpoint)
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
    shutil.rmtree(attempt.checkpoint.parent, ignore_errors=True)
    return "finished", None


def _restored(attempt: Attempt) -> dict[str, Any] | None:
    if not attempt.checkpoint.exists():
        return None
    what, names = str(attempt.checkpoint), ("identity", "step", "elapsed", "environment", "agent")
    state = dict(restored_parts(load_checkpoint(attempt.checkpoint), names, what))
    restored_int(state["step"], f"{what}: step")
    restored_number(state["elapsed"], f"{what}: elapsed", low=0.0, high=1e10)
    for name in ("environment", "agent"):
        restored_parts(state[name], (), f"{what}: {name}")
    if state["identity"] != attempt.plan.identity:
        raise CheckpointError(
            f"{attempt.checkpoint}: belongs to another run: move it away, or start the run anew with `force`"
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
            with context.restoring():
                policy = agent.train(env, context)
            context.record_discoveries()
            context.flush()
        keep_policy(store, attempt.run_id, policy)
    return policy


def _teacher_run(attempt: Attempt, plan: RunPlan) -> str:
    """Id of the finished run of a teacher, which is carried out now where it is not finished yet."""
    outcome = _execute(plan, attempt.options, attempt.listener, attempt.cancelled, as_teacher=True)
    if outcome.status != "skipped":
        attempt.listener.on_end(plan, outcome)
    if outcome.status == "failed":
        raise RunFailed(f"its teacher, run {outcome.run_id}, failed with {outcome.error}")
    if outcome.status == "interrupted":
        raise Interrupted(f"run {attempt.run_id} stopped while its teacher was trained; the same command resumes it")
    return outcome.run_id
