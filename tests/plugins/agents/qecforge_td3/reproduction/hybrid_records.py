"""A store filled by hand as trainings of the reproduction would fill it."""

from __future__ import annotations

import numpy as np

from qecforge import Registry, Store
from qecforge_td3.reproduction.runs import TEST_RETURN, Planned, plan_runs

LAST = {
    "pqc_tangential": -150.0,
    "pqc_exact": -140.0,
    "fc": -160.0,
    "rbg": -300.0,
    "zeros": -170.0,
    "none": -155.0,
}
"""Test return of an arm's seed 0; each further seed has two more."""


def planned_trainings(experiments=("pendulum",), arms=None, seeds=3, *, quick=False) -> list[Planned]:
    return plan_runs(experiments, arms, seeds=range(seeds), quick=quick, registry=Registry.load())


def file_training(store: Store, planned: Planned) -> str:
    """A finished run: tests at 500, 1,000, ... rise from -1,000 in steps of 200 until the arm's return."""
    plan = planned.plan
    run = store.begin_run(
        plan.identity,
        name=plan.name,
        seed=plan.seed,
        manifest=plan.canonical,
        manifest_source=plan.source_text,
        environment="humanoid",
        reward=None,
        agent="td3",
        quantizer=None,
        provenance={},
    )
    last = LAST.get(planned.arm, -200.0) + 2 * plan.seed
    tests = np.minimum(-1000.0 + 200.0 * np.arange(8), last)
    store.add_metrics(
        run.id, [(TEST_RETURN, 500 * (number + 1), float(value), 1.0) for number, value in enumerate(tests)]
    )
    store.add_policy_evaluation(run.id, "returns", {"return_mean": last, "length_mean": 200.0})
    store.mark_run(run.id, "finished")
    return run.id
