"""What is measured of a run after its training. Every step may be repeated: a resumed run evaluates anew."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from qecforge.machine.cores import available_cores
from qecforge.machine.threads import torch_threads
from qecforge.runs.attempt import METRIC_FLUSH_SECONDS, Attempt, file_discovery
from qecforge.runs.policies import build_environment

if TYPE_CHECKING:
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy
    from qecforge.evaluation import ErrorCounts, ErrorRateTask, SearchConfig

__all__ = ["evaluate"]


def evaluate(attempt: Attempt, policy: Policy, teacher: Policy | None) -> None:
    """Everything that the manifest asks for.

    The search comes before the error rates, which are of the best codes of the whole run.

    Args:
        policy: The run's result; where there is a `teacher`, the integer policy made from it.
    """
    if teacher is not None:
        _decision_fidelity(attempt, teacher, policy)
    _search(attempt, policy)
    _measure_error_rates(attempt)
    _evaluate_otherwise(attempt, policy)


def _environment(attempt: Attempt, num_envs: int | None = None) -> Environment:
    """A fresh one: where the training left its own is not known to an attempt that finds the training done."""
    plan = attempt.plan
    return build_environment(plan, plan.agent.spec.make(plan.agent.config), num_envs=num_envs)


def _decision_fidelity(attempt: Attempt, teacher: Policy, student: Policy) -> None:
    """As evaluation `decision_fidelity` on the teacher's rollouts, `decision_fidelity_student` on the student's."""
    config = attempt.plan.evaluation.decision_fidelity
    if config is None:
        return
    from qecforge.evaluation import collect_states, decision_fidelity, policy_logits

    for whose, actor in (("teacher", teacher), ("student", student)):
        if config.rollouts not in (whose, "both"):
            continue
        attempt.stop_if_cancelled()
        suffix = "" if whose == "teacher" else "_student"
        with torch_threads(1):
            visited = collect_states(
                _environment(attempt),
                actor,
                config.states,
                seed=attempt.seed(f"fidelity of {whose}"),
                deterministic=config.deterministic,
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


def _search(attempt: Attempt, policy: Policy) -> None:
    config = attempt.plan.evaluation.search
    if config is None:
        return
    from qecforge.evaluation.policies.search import search_codes, warm_up

    attempt.stop_if_cancelled()
    with _runtime(policy, config) as (actor, report):
        warm_up(_environment(attempt, config.num_envs), actor)
        found = search_codes(
            _environment(attempt, config.num_envs),
            actor,
            config.episodes,
            seed=attempt.seed("search"),
            deterministic=config.deterministic,
            should_stop=attempt.cancelled,
        )
    attempt.stop_if_cancelled()
    for code, seconds in found.discoveries:
        marked = dataclasses.replace(code, attributes={**code.attributes, "found_in": "search"})
        file_discovery(attempt, marked, seconds)
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


def _measure_error_rates(attempt: Attempt) -> None:
    """Of the run's best codes; shots that the store has already are not drawn again."""
    plan, store = attempt.plan, attempt.store
    config = plan.evaluation.logical_error_rate
    if config is None:
        return
    from qecforge.evaluation import measure_error_rates

    if config.generators == "auto":  # an encoder chose those of a discovered code, not a person
        config = config.model_copy(update={"generators": "lightest"})

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
            should_stop=attempt.cancelled,
            distance=found.distance if found.distance_kind == "exact" else None,
        )
        attempt.stop_if_cancelled()


def _evaluate_otherwise(attempt: Attempt, policy: Policy) -> None:
    """The evaluations that the environment brings. Each number that one records is a chance to stop it."""
    pending: list[tuple[str, int, float, float]] = []
    flushed = time.monotonic()

    def flush() -> None:
        nonlocal flushed
        if pending:
            attempt.store.add_metrics(attempt.run_id, pending)
            pending.clear()
        flushed = time.monotonic()

    def record(metric: str, step: int, value: float) -> None:
        pending.append((metric, step, value, 0.0))
        if attempt.cancelled():
            flush()
            attempt.stop_if_cancelled()
        elif time.monotonic() - flushed >= METRIC_FLUSH_SECONDS:
            flush()

    for spec, settings in attempt.plan.evaluation.others:
        attempt.stop_if_cancelled()
        spec.evaluate(_environment(attempt), policy, settings, record)
        flush()
