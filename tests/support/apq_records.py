"""A store filled by hand as runs of the reproduction would fill it."""

from __future__ import annotations

import numpy as np

from qecforge import Registry, Store
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.evaluation.error_rates.noise import canonical_noise
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.evaluation.policies.fidelity import DecisionFidelity, decision_fidelity
from qecforge.testing.examples import discovered, distance, example_code, example_task
from qecforge_apq.reproduction.runs import Planned, plan_runs

MAIN = ("fp32", "ptq", "smoothquant", "lsq", "apq")
ABLATIONS = ("apq_no_ranking", "apq_no_safe", "apq_listwise", "ptq_rank")
TOP1 = {"ptq": 0.90, "smoothquant": 0.94, "lsq": 0.96, "apq": 0.99} | dict.fromkeys((*ABLATIONS, "distil"), 0.95)


def planned_runs(experiments=("e1",), methods=MAIN, seeds=2) -> list[Planned]:
    return plan_runs(experiments, methods, seeds=range(seeds), registry=Registry.load())


def made_fidelity(top1: float, *, states: int = 1000) -> DecisionFidelity:
    """Three actions, margin 0.05; exactly a share `top1` of the states keeps the argmax, tau is 1 there, 1/3 else.

    Each state is there twice.
    """
    teacher = np.tile(np.array([1.0, 0.95, 0.0], np.float32), (states, 1))
    student = teacher.copy()
    student[round(states * top1) :, :2] = [0.95, 1.0]
    return decision_fidelity(teacher, student, identities=np.arange(states) // 2)


def file_run(store: Store, planned: Planned, *, errors: int = 180, latency: bool = True) -> str:
    """A finished run; its top-1 agreement is the method's in `TOP1` plus 0.002 times the seed."""
    plan, method = planned.plan, planned.method
    run = store.begin_run(
        plan.identity,
        name=plan.name,
        seed=plan.seed,
        manifest=plan.canonical,
        manifest_source=plan.source_text,
        environment="code_discovery",
        reward="knill_laflamme",
        agent="ppo",
        quantizer=None if plan.quantization is None else plan.quantization.quantizer.spec.name,
        provenance={},
    )
    if method.quantizer is not None:
        found = made_fidelity(TOP1[method.name] + 0.002 * plan.seed)
        store.add_policy_evaluation(run.id, "decision_fidelity", found.values(), payload=found.to_payload())
        trained = {"step_change_mean": 0.1, "held_out_top1": 0.8 + 0.01 * plan.seed} if method.name == "distil" else {}
        store.add_metrics(run.id, [(f"quantizer/{name}", 50, value, 7.0) for name, value in trained.items()])
    speed = 1000.0 if method.quantizer is None else 2000.0
    search = {
        "success_rate": 0.5,
        "seconds_to_first_code": 1.5,
        "steps_per_second": speed,
    }
    counts = {"successes": 300, "seconds": 300_000 / speed}
    store.add_policy_evaluation(run.id, "search", search, payload=counts)
    if latency:
        float_rows = [("fp32", "torch", 40e-6), ("fp16", "torch", 80e-6), ("fp32", "onnxruntime", 25e-6)]
        measured = float_rows if method.quantizer is None else [("int8", "native", 8e-6)]
        rows = [{"precision": p, "runtime": r, "batch": 1, "seconds": s, "kernel": "k"} for p, r, s in measured]
        payload = {"rows": rows, "rollout_steps_per_second": 3 * speed}
        store.add_policy_evaluation(run.id, "latency", {"latency_us": 1.0}, payload=payload)
    code = example_code("five_qubit")
    filed = store.add_discovery(run.id, discovered(code), distance(3), wall_time=1.0, proof={})
    noise = canonical_noise(plan.evaluation.of(LOGICAL_ERROR_RATE).noise)
    for p in (1e-4, 1e-3):
        task = example_task(code, p, noise=noise, decoder="ml_lookup")
        counts = ErrorCounts(shots=100_000, errors=errors if p == 1e-3 else 2)
        store.add_error_counts(filed.id, task, 0, counts, run_id=run.id)
    store.mark_run(run.id, "finished")
    return run.id
