"""Whole runs from a manifest: trained, filed, and loaded again with where the mean was."""

import numpy as np
import pytest

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest
from qecforge.runs.policies import load_policy

MANIFEST = """
qecforge: 1
name: baseline
environment: {{plugin: surface_steering, distance: 3, parameters_per_gate: 1, cycles: 200}}
agent: {agent}
seeds: [1]
"""


@pytest.mark.parametrize(
    "agent",
    [
        "{plugin: parameter_ppo, total_epochs: 30, candidates: 8, snapshots: 4}",
        "{plugin: cma_es, total_epochs: 30, candidates: 8, snapshots: 4}",
        "{plugin: spsa, total_epochs: 30, candidates: 8, snapshots: 4}",
    ],
    ids=["parameter_ppo", "cma_es", "spsa"],
)
def test_a_run_leaves_a_policy_with_its_trajectory(agent, tmp_path):
    registry = Registry.load()
    (outcome,) = run_manifest(
        load_manifest(MANIFEST.format(agent=agent), registry=registry),
        options=RunOptions(f"sqlite:///{tmp_path}/results.db"),
    )
    assert outcome.status == "finished"
    with Store(f"sqlite:///{tmp_path}/results.db", read_only=True) as store:
        (run,) = store.runs()
        env, policy = load_policy(store, run.id, registry=registry)
        assert store.metrics(run.id, "cost").step.tolist() == [10, 20, 30]
    np.testing.assert_array_equal(policy.trajectory.epochs, [0, 10, 20, 30])
    np.testing.assert_allclose(policy.trajectory.means[0], env.initial_parameters, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(policy.trajectory.means[-1], policy.mean, rtol=1e-6, atol=1e-6)
    assert not np.array_equal(policy.trajectory.means[0], policy.trajectory.means[-1])
