"""A run with a quantizer: its teacher, the student's fine-tuning, and the integers that come out.

Artifacts of the run: `teacher`, the float policy that it started from; `student`, the fake-quantised weights after
fine-tuning, where the quantizer trains; `quantized`, the integer policy, which is the run's result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qecforge.contracts.policy import WEIGHTS, weights_of
from qecforge.errors import ConfigurationError, PluginError, StoreError, UserError
from qecforge.machine.threads import torch_threads
from qecforge.manifest._validation import unfit_teacher
from qecforge.registry import Registry
from qecforge.runs.attempt import Attempt
from qecforge.runs.policies import (
    FITTED_KIND,
    QUANTIZED_ARTIFACT,
    fill_policy,
    fitted_files,
    kept_files,
    left_no_policy,
    opened_environment,
    plan_of_installed,
    policy_of_run,
)
from qecforge.runs.training import RunContext
from qecforge.store.records import Run

if TYPE_CHECKING:
    from qecforge.contracts.policy import Policy
    from qecforge.contracts.quantizer import Quantizer
    from qecforge.inference.policy import QuantizedPolicy
    from qecforge.manifest import Quantization, RunPlan
    from qecforge.store import Store

__all__ = ["quantized_policy", "teacher_policy"]

_COPIED = {WEIGHTS: "teacher.safetensors"}
"""Names of a teacher's files in the run that quantizes it, where they are others than in the teacher's own."""


def teacher_policy(attempt: Attempt, carry_out: Callable[[RunPlan], str]) -> Policy:
    """The float policy that is quantized, copied into the run's artifacts.

    Args:
        carry_out: Sees to it that a run is finished and gives its id; it trains the teacher where nobody has.

    Raises:
        UserError: the teacher is from another environment or for another reward, is quantized itself, or has left no
            policy.
    """
    attempt.begin_phase("teacher")
    store, plan = attempt.store, _teacher_plan(attempt)
    kept = store.artifacts(attempt.run_id, kind="teacher")
    if not kept:
        run_id = plan.id if isinstance(plan, Run) else carry_out(plan)
        files = {_COPIED.get(name, name): content for name, content in kept_files(store, run_id).items()}
        if fitted := fitted_files(store, run_id):
            store.add_artifacts(attempt.run_id, FITTED_KIND, fitted)
        kept = store.add_artifacts(attempt.run_id, "teacher", files)
        store.add_event(attempt.run_id, "teacher", {"run": run_id})
    names = {copied: name for name, copied in _COPIED.items()}
    files = {names.get(each.name, each.name): store.read_artifact(each) for each in kept}
    if isinstance(plan, Run):
        found: Policy = policy_of_run(plan, files, Registry.load())
        return found
    with attempt.plugin_code(restores=True):
        agent = plan.agent.spec.make(plan.agent.config)
        with opened_environment(plan, agent, num_envs=1) as env:
            policy: Policy = fill_policy(agent.build_policy(env), files)
    return policy


def quantized_policy(attempt: Attempt, teacher: Policy, restored: Mapping[str, Any] | None) -> QuantizedPolicy:
    """The integer policy of the run: found among its artifacts, or made.

    Raises:
        PluginFailure: the quantizer fails, or gives something else than an integer policy.
        Interrupted: the run was cancelled; its state is saved.
    """
    from qecforge.inference.policy import load_quantized

    kept = attempt.store.artifacts(attempt.run_id, kind="quantized")
    if not kept:
        choice = _quantization(attempt).quantizer
        with attempt.plugin_code():
            quantizer = choice.spec.make(choice.config)
        if choice.spec.kind == "training_aware":
            student = _fine_tuned(attempt, quantizer, teacher, restored)
            attempt.begin_phase("quantize")
            with attempt.plugin_code(), torch_threads(1):
                converted = quantizer.convert(student)
        elif choice.spec.kind == "distillation" and quantizer.trains:
            converted = _distilled(attempt, quantizer, teacher, restored)
            attempt.begin_phase("quantize")
        else:
            attempt.begin_phase("quantize")
            attempt.stop_if_cancelled()
            with attempt.plugin_code():
                converted = _post_training(attempt, quantizer, teacher)
        with attempt.plugin_code():
            policy = _of_integers(attempt, converted)
            weights = weights_of(policy)
        attempt.store.add_event(attempt.run_id, "quantized", asdict(policy.runtime_report()))
        kept = [attempt.store.add_artifact(attempt.run_id, "quantized", QUANTIZED_ARTIFACT, weights)]
    return load_quantized(attempt.store.read_artifact(kept[-1]))


def _quantization(attempt: Attempt) -> Quantization:
    assert attempt.plan.quantization is not None
    return attempt.plan.quantization


def _teacher_plan(attempt: Attempt) -> RunPlan | Run:
    """What the teacher is trained by; the run of the store, where the manifest names one."""
    plan, teacher = attempt.plan, _quantization(attempt).teacher
    named = "the manifest's run"
    found: RunPlan | Run
    if isinstance(teacher, str):
        found = _stored_teacher(attempt.store, teacher)
        named, theirs = f"run {found.id}", _as_of_today(found)
    else:
        found, theirs = teacher, teacher.canonical
    if (reason := unfit_teacher(theirs, plan.canonical)) is not None:
        raise ConfigurationError(f"quantizer.teacher: {named} {reason}")
    return found


def _as_of_today(run: Run) -> str:
    """The run's canonical text by the plugins that are installed, with the defaults of their new settings; its own
    where they cannot say."""
    try:
        return plan_of_installed(run, Registry.load()).canonical
    except UserError:
        return run.manifest


def _stored_teacher(store: Store, run_id: str) -> Run:
    """The run of the store that the manifest names."""
    run = store.run(run_id)
    if run.quantizer is not None:
        raise ConfigurationError(
            f"quantizer.teacher: run {run.id} is quantized itself (by {run.quantizer}): name a float run"
        )
    if not store.artifacts(run.id, kind="policy"):
        raise StoreError(f"quantizer.teacher: {left_no_policy(run)}")
    return run


def _fine_tuned(attempt: Attempt, quantizer: Quantizer, teacher: Policy, restored: Mapping[str, Any] | None) -> Policy:
    """The student, fine-tuned against the frozen teacher by the agent; resumed where it was cut off."""
    plan, fitted = attempt.plan, fitted_files(attempt.store, attempt.run_id)
    with ExitStack() as opened, attempt.plugin_code(restores=restored is not None):
        agent = plan.agent.spec.make(_quantization(attempt).fine_tuning)
        # The quantizer may play in `aside`, as long as its loss is in use; the training's own is not touched.
        aside = opened.enter_context(opened_environment(plan, agent, fitted=fitted))
        with torch_threads(1):
            student: Policy = quantizer.prepare(teacher, aside)
            extra_loss = quantizer.extra_loss(teacher, student, aside)
        with attempt.answering():
            attempt.begin_phase("fine_tune")
        env = opened.enter_context(opened_environment(plan, agent, fitted=fitted))
        # The teacher has found codes already: one more does not end the fine-tuning.
        budget = plan.budget.model_copy(update={"stop_at_first_code": False})
        context = opened.enter_context(
            RunContext(attempt, env, agent, seed=attempt.seed("fine-tuning"), budget=budget, restored=restored)
        )
        with context.restoring():
            student = agent.train(env, context, policy=student, extra_loss=extra_loss)
        context.record_discoveries()
        context.flush()
        weights = weights_of(student)
    attempt.trained(context.step)
    attempt.store.add_artifact(attempt.run_id, "student", "student.safetensors", weights)
    return student


def _distilled(attempt: Attempt, quantizer: Quantizer, teacher: Policy, restored: Mapping[str, Any] | None) -> Policy:
    """What the quantizer has taught by itself; resumed where it was cut off."""
    plan, fitted = attempt.plan, fitted_files(attempt.store, attempt.run_id)
    with ExitStack() as opened, attempt.plugin_code(restores=restored is not None):
        agent = plan.agent.spec.make(plan.agent.config)
        with attempt.answering():
            attempt.begin_phase("fine_tune")
        env = opened.enter_context(opened_environment(plan, agent, fitted=fitted))
        budget = plan.budget.model_copy(update={"stop_at_first_code": False})
        context = opened.enter_context(
            RunContext(attempt, env, agent, seed=attempt.seed("fine-tuning"), budget=budget, restored=restored)
        )
        with context.restoring(), torch_threads(1):
            policy: Policy = quantizer.distil(teacher, env, context)
        context.flush()
    attempt.trained(0)
    return policy


def _post_training(attempt: Attempt, quantizer: Quantizer, teacher: Policy) -> Policy:
    """Quantized with states that the teacher meets when it acts by chance."""
    from qecforge.evaluation import collect_states

    agent = attempt.plan.agent.spec.make(attempt.plan.agent.config)
    with attempt.answering():
        fitted = fitted_files(attempt.store, attempt.run_id)
    with opened_environment(attempt.plan, agent, fitted=fitted) as env, torch_threads(1):
        visited = collect_states(env, teacher, quantizer.calibration_states, seed=attempt.seed("calibration"))
        return quantizer.quantize(teacher, visited.observations)


def _of_integers(attempt: Attempt, policy: Policy) -> QuantizedPolicy:
    """The policy. Raises `PluginError` where it is none of integers."""
    from qecforge.inference.policy import QuantizedPolicy

    if not isinstance(policy, QuantizedPolicy):
        name = _quantization(attempt).quantizer.spec.name
        raise PluginError(
            f"quantizer {name} gave a {type(policy).__name__}, expected a qecforge.inference.policy.QuantizedPolicy: "
            "report it to the plugin's authors"
        )
    return policy
