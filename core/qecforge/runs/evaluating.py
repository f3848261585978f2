"""What is measured of a run after its training. Every step may be repeated: a resumed run evaluates anew."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qecforge.evaluation.built_in import ACTION_FIDELITY, DECISION_FIDELITY, LOGICAL_ERROR_RATE, RETURNS, SEARCH
from qecforge.machine.cores import available_cores
from qecforge.machine.threads import torch_threads
from qecforge.runs.attempt import Attempt, file_discovery
from qecforge.runs.evaluation_context import RunEvaluation
from qecforge.runs.policies import file_circumstances, fitted_files, opened_environment

if TYPE_CHECKING:
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy
    from qecforge.evaluation import (
        ActionFidelityConfig,
        DecisionFidelityConfig,
        ErrorCounts,
        ErrorRateTask,
        LogicalErrorRateConfig,
        ReturnsConfig,
        SearchConfig,
    )
    from qecforge.manifest import RunPlan
    from qecforge.store import Run

__all__ = ["CARRIED_OUT_BY", "evaluate", "missing_evaluations", "shots_suffice"]


def missing_evaluations(plan: RunPlan, run: Run) -> list[str]:
    """Evaluations that a plan asks for and a run, once it is finished, does not have as the plan sets them.

    Codes that a search adds are among those whose error rates are asked for. Shots add up: more than are asked for are
    as good.
    """
    asked = json.loads(plan.canonical)["evaluation"]
    had = json.loads(run.manifest).get("evaluation", {})
    missing = [name for name, settings in asked.items() if had.get(name) != settings]
    rates = LOGICAL_ERROR_RATE.name
    if rates in missing and rates in had and shots_suffice(asked[rates], had[rates]):
        missing.remove(rates)
    if SEARCH.name in missing and rates in asked and rates not in missing:
        missing.append(rates)
    return missing


def shots_suffice(asked: Mapping[str, Any], had: Mapping[str, Any]) -> bool:
    """Whether logical error rates as they were asked for before have all the shots that are asked for now.

    Rates that differ in anything but `shots`, or are sampled until errors are seen, are none of these.
    """
    if asked["max_errors"] is not None or {**asked, "shots": 0} != {**had, "shots": 0}:
        return False
    return bool(asked["shots"] <= had["shots"])


def evaluate(
    attempt: Attempt,
    policy: Policy,
    teacher: Policy | None,
    *,
    names: Collection[str] | None = None,
    done: Callable[[str], None] = lambda name: None,
) -> None:
    """Everything that the manifest asks for: what the core brings, in the order of its table, then what plugins do.

    Args:
        policy: The run's result; where there is a `teacher`, the integer policy made from it.
        names: Only these evaluations; None for all.
        done: Called with the name of each evaluation that is finished.
    """
    asked = attempt.plan.evaluation
    for evaluation, config in asked.built_in:
        if names is not None and evaluation.name not in names:
            continue
        attempt.stop_if_cancelled()
        attempt.listener.on_evaluation(attempt.plan, evaluation.name, 0, 1)
        CARRIED_OUT_BY[evaluation.name](attempt, config, policy, teacher)
        done(evaluation.name)
    for spec, settings in asked.others:
        if names is not None and spec.name not in names:
            continue
        attempt.stop_if_cancelled()
        attempt.listener.on_evaluation(attempt.plan, spec.name, 0, 1)
        context = RunEvaluation(attempt, spec.name)
        with attempt.plugin_code(), _environment(attempt) as env:
            spec.evaluate(env, policy, settings, context)
        context.flush()
        attempt.stop_if_cancelled()  # it may have returned for that reason, with its work half done
        done(spec.name)


@contextmanager
def _environment(attempt: Attempt, num_envs: int | None = None) -> Iterator[Environment]:
    """A fresh one: where the training left its own is not known to an attempt that finds the training done."""
    plan = attempt.plan
    with attempt.answering():
        fitted = fitted_files(attempt.store, attempt.run_id)
    agent = plan.agent.spec.make(plan.agent.config)
    with opened_environment(plan, agent, num_envs=num_envs, fitted=fitted) as env:
        with attempt.answering():
            file_circumstances(attempt.store, attempt.run_id, env)
        yield env


def _decision_fidelity(
    attempt: Attempt, config: DecisionFidelityConfig, student: Policy, teacher: Policy | None
) -> None:
    """As evaluation `decision_fidelity` on the teacher's rollouts, `decision_fidelity_student` on the student's."""
    from qecforge.evaluation import collect_states, decision_fidelity, policy_logits

    assert teacher is not None, "a manifest without a quantizer cannot ask for it"
    context = RunEvaluation(attempt, DECISION_FIDELITY.name)
    asked = [each for each in (("teacher", teacher), ("student", student)) if config.rollouts in (each[0], "both")]
    for number, (whose, actor) in enumerate(asked):
        attempt.stop_if_cancelled()

        def visiting(done: int, total: int, before: int = number) -> None:
            context.progress(before * total + done, len(asked) * total)

        suffix = "" if whose == "teacher" else "_student"
        with attempt.plugin_code(), _environment(attempt) as env, torch_threads(1):
            visited = collect_states(
                env,
                actor,
                config.states,
                seed=attempt.seed(f"fidelity of {whose}"),
                deterministic=config.deterministic,
                progress=visiting,
            )
            fidelity = decision_fidelity(
                policy_logits(teacher, visited.observations),
                policy_logits(student, visited.observations),
                visited.masks,
                identities=visited.identities(),
            )
        attempt.store.add_policy_evaluation(
            attempt.run_id, f"decision_fidelity{suffix}", fidelity.values(suffix), payload=fidelity.to_payload()
        )


def _action_fidelity(attempt: Attempt, config: ActionFidelityConfig, student: Policy, teacher: Policy | None) -> None:
    from qecforge.evaluation import action_fidelity, collect_states

    assert teacher is not None, "a manifest without a quantizer cannot ask for it"
    context = RunEvaluation(attempt, ACTION_FIDELITY.name)
    with attempt.plugin_code(), _environment(attempt) as env, torch_threads(1):
        visited = collect_states(
            env,
            teacher,
            config.states,
            seed=context.seed,
            deterministic=config.deterministic,
            progress=context.progress,
        )
        found = action_fidelity(teacher, student, visited.observations)
    attempt.store.add_policy_evaluation(attempt.run_id, ACTION_FIDELITY.name, found.values())


def _returns(attempt: Attempt, config: ReturnsConfig, policy: Policy, teacher: Policy | None) -> None:
    from qecforge.evaluation.policies.returns import evaluate_policy

    plan = attempt.plan
    context = RunEvaluation(attempt, RETURNS.name)
    with ExitStack() as opened, attempt.plugin_code():
        opened.enter_context(torch_threads(1))
        members = min(plan.agent.spec.make(plan.agent.config).num_envs, config.episodes)
        env = opened.enter_context(_environment(attempt, members))
        played = evaluate_policy(
            env,
            policy,
            episodes=config.episodes,
            seed=context.seed,
            deterministic=config.deterministic,
            should_stop=attempt.cancelled,
            progress=context.progress,
        )
    attempt.stop_if_cancelled()
    attempt.store.add_policy_evaluation(attempt.run_id, RETURNS.name, played.values(), payload=played.to_payload())


def _search(attempt: Attempt, config: SearchConfig, policy: Policy, teacher: Policy | None) -> None:
    from qecforge.evaluation.policies.search import search_codes, warm_up

    context = RunEvaluation(attempt, SEARCH.name)
    with attempt.plugin_code(), _runtime(policy, config) as (actor, report):
        with _environment(attempt, config.num_envs) as env:
            warm_up(env, actor)
        before, steps = attempt.clock.seconds, attempt.trained_steps()
        with _environment(attempt, config.num_envs) as env:
            found = search_codes(
                env,
                actor,
                config.episodes,
                seed=attempt.seed("search"),
                deterministic=config.deterministic,
                should_stop=attempt.cancelled,
                progress=context.progress,
            )
    attempt.stop_if_cancelled()
    for code, seconds in found.discoveries:
        attributes = {**code.attributes, "found_in": "search"}
        marked = dataclasses.replace(code, step=steps + code.step, attributes=attributes)
        file_discovery(attempt, marked, before + seconds)
    attempt.store.add_policy_evaluation(
        attempt.run_id, "search", found.values(), payload=found.to_payload() | {"runtime": report}
    )


@contextmanager
def _runtime(policy: Policy, config: SearchConfig) -> Iterator[tuple[Policy, dict[str, Any]]]:
    """The policy on the runtime and threads asked for, and what they are."""
    import torch

    from qecforge.inference.policy import QuantizedPolicy

    if isinstance(policy, QuantizedPolicy):
        chosen = policy.with_runtime(config.runtime, threads=config.threads)
        yield chosen, dataclasses.asdict(chosen.runtime_report())
        return
    with torch_threads(config.threads):
        yield policy, {"runtime": "torch", "version": torch.__version__, "threads": config.threads}


def _error_rates(attempt: Attempt, config: LogicalErrorRateConfig, policy: Policy, teacher: Policy | None) -> None:
    """Of the run's best codes; shots that the store has already are not drawn again."""
    from qecforge.evaluation import measure_error_rates

    if config.generators == "auto":  # an encoder chose those of a discovered code, not a person
        config = config.model_copy(update={"generators": "lightest"})
    plan, store = attempt.plan, attempt.store

    def record(code_id: str, task: ErrorRateTask, chunk: int, counts: ErrorCounts) -> None:
        store.add_error_counts(code_id, task, chunk, counts, run_id=attempt.run_id)
        attempt.listener.on_measure(plan, task, counts)

    for found in store.codes(run=attempt.run_id, order_by=("-distance", "gate_count"), limit=config.max_codes):
        measure_error_rates(
            found.code,
            config,
            known=partial(store.error_counts, found.id),
            record=partial(record, found.id),
            workers=attempt.options.workers or available_cores(),
            pool=attempt.workspace.chunk_pool,
            should_stop=attempt.cancelled,
            distance=found.distance if found.distance_kind == "exact" else None,
        )
        attempt.stop_if_cancelled()


CARRIED_OUT_BY: Mapping[str, Callable[[Attempt, Any, Policy, Policy | None], None]] = MappingProxyType(
    {
        DECISION_FIDELITY.name: _decision_fidelity,
        ACTION_FIDELITY.name: _action_fidelity,
        RETURNS.name: _returns,
        SEARCH.name: _search,
        LOGICAL_ERROR_RATE.name: _error_rates,
    }
)
"""How a run has each evaluation of the core's table."""
