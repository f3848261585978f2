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
from qecforge.errors import ConfigurationError, PluginError, StoreError
from qecforge.machine.threads import torch_threads
from qecforge.manifest._validation import unfit_teacher
from qecforge.runs.attempt import Attempt
from qecforge.runs.policies import QUANTIZED_ARTIFACT, fill_policy, kept_files, opened_environment
from qecforge.runs.training import RunContext

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
    quantization, store = _quantization(attempt), attempt.store
    plan = _teacher_plan(attempt)
    agent = plan.agent.spec.make(plan.agent.config)
    kept = store.artifacts(attempt.run_id, kind="teacher")
    if not kept:
        named = quantization.teacher
        run_id = store.run(named).id if isinstance(named, str) else carry_out(plan)
        files = {_COPIED.get(name, name): content for name, content in kept_files(store, run_id).items()}
        kept = store.add_artifacts(attempt.run_id, "teacher", files)
        store.add_event(attempt.run_id, "teacher", {"run": run_id})
    with opened_environment(plan, agent, num_envs=1) as env:
        names = {copied: name for name, copied in _COPIED.items()}
        files = {names.get(each.name, each.name): store.read_artifact(each) for each in kept}
        policy: Policy = fill_policy(agent.build_policy(env), files)
    return policy


def quantized_policy(attempt: Attempt, teacher: Policy, restored: Mapping[str, Any] | None) -> QuantizedPolicy:
    """The integer policy of the run: found among its artifacts, or made.

    Raises:
        PluginError: the quantizer gives something else than an integer policy.
        Interrupted: the run was cancelled; its state is saved.
    """
    from qecforge.inference.policy import load_quantized

    kept = attempt.store.artifacts(attempt.run_id, kind="quantized")
    if not kept:
        choice = _quantization(attempt).quantizer
        quantizer = choice.spec.make(choice.config)
        if choice.spec.kind == "training_aware":
            student = _fine_tuned(attempt, quantizer, teacher, restored)
            attempt.begin_phase("quantize")
            with torch_threads(1):
                policy = quantizer.convert(student)
        else:
            attempt.begin_phase("quantize")
            attempt.stop_if_cancelled()
            policy = _post_training(attempt, quantizer, teacher)
        kept = [_keep(attempt, policy)]
    return load_quantized(attempt.store.read_artifact(kept[-1]))


def _quantization(attempt: Attempt) -> Quantization:
    assert attempt.plan.quantization is not None
    return attempt.plan.quantization


def _teacher_plan(attempt: Attempt) -> RunPlan:
    """What the teacher was, or is to be, trained by."""
    plan, teacher = attempt.plan, _quantization(attempt).teacher
    named = "the manifest's run"
    if isinstance(teacher, str):
        named, teacher = _stored_teacher(attempt.store, teacher)
    if (reason := unfit_teacher(teacher.canonical, plan.canonical)) is not None:
        raise ConfigurationError(f"quantizer.teacher: {named} {reason}")
    return teacher


def _stored_teacher(store: Store, run_id: str) -> tuple[str, RunPlan]:
    """The run of the store that the manifest names: how messages name it, and its plan."""
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry

    run = store.run(run_id)
    if run.quantizer is not None:
        raise ConfigurationError(
            f"quantizer.teacher: run {run.id} is quantized itself (by {run.quantizer}): name a float run"
        )
    if not store.artifacts(run.id, kind="policy"):
        raise StoreError(f"quantizer.teacher: run {run.id} ({run.status}) left no policy: run its manifest to the end")
    return f"run {run.id}", RunPlan.from_canonical(run.manifest, Registry.load())


def _fine_tuned(attempt: Attempt, quantizer: Quantizer, teacher: Policy, restored: Mapping[str, Any] | None) -> Policy:
    """The student, fine-tuned against the frozen teacher by the agent; resumed where it was cut off."""
    plan = attempt.plan
    agent = plan.agent.spec.make(_quantization(attempt).fine_tuning)
    with ExitStack() as opened:
        # The quantizer may play in `aside`, as long as its loss is in use; the training's own is not touched.
        aside = opened.enter_context(opened_environment(plan, agent))
        with torch_threads(1):
            student: Policy = quantizer.prepare(teacher, aside)
            extra_loss = quantizer.extra_loss(teacher, student, aside)
        attempt.begin_phase("fine_tune")
        env = opened.enter_context(opened_environment(plan, agent))
        # The teacher has found codes already: one more does not end the fine-tuning.
        budget = plan.budget.model_copy(update={"stop_at_first_code": False})
        context = opened.enter_context(
            RunContext(attempt, env, agent, seed=attempt.seed("fine-tuning"), budget=budget, restored=restored)
        )
        with context.restoring():
            student = agent.train(env, context, policy=student, extra_loss=extra_loss)
        context.record_discoveries()
        context.flush()
    attempt.store.add_artifact(attempt.run_id, "student", "student.safetensors", weights_of(student))
    return student


def _post_training(attempt: Attempt, quantizer: Quantizer, teacher: Policy) -> Policy:
    """Quantized with states that the teacher meets when it acts by chance."""
    from qecforge.evaluation import collect_states

    agent = attempt.plan.agent.spec.make(attempt.plan.agent.config)
    with opened_environment(attempt.plan, agent) as env, torch_threads(1):
        visited = collect_states(env, teacher, quantizer.calibration_states, seed=attempt.seed("calibration"))
        return quantizer.quantize(teacher, visited.observations)


def _keep(attempt: Attempt, policy: Policy) -> Any:
    from qecforge.inference.policy import QuantizedPolicy

    if not isinstance(policy, QuantizedPolicy):
        name = _quantization(attempt).quantizer.spec.name
        raise PluginError(
            f"quantizer {name} gave a {type(policy).__name__}, expected a qecforge.inference.policy.QuantizedPolicy: "
            "report it to the plugin's authors"
        )
    attempt.store.add_event(attempt.run_id, "quantized", asdict(policy.runtime_report()))
    return attempt.store.add_artifact(attempt.run_id, "quantized", QUANTIZED_ARTIFACT, weights_of(policy))
