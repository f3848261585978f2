"""The manifests of `examples/`: each is valid, and runs from its text to codes and error rates in a store."""

from pathlib import Path

import pytest

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))
NOT_EXPECTED_TO_FIND = {"e3.yaml"}
"""Too hard for a test: run for a few steps, whatever they find."""

parametrized = pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in EXAMPLES])


@parametrized
def test_valid(path):
    for plan in load_manifest(path, registry=Registry.load()).runs():
        assert plan.evaluation.logical_error_rate is not None
        assert plan.environment.config.target_distance > 1


@pytest.mark.slow
@parametrized
def test_runs_to_its_first_code(path, tmp_path):
    """As it stands, but for its length: it stops at the first code and measures few shots."""
    hard = path.name in NOT_EXPECTED_TO_FIND
    changes = ["budget.stop_at_first_code=true", "evaluation.logical_error_rate.shots=1000"]
    changes += ["agent.total_steps=50_000"] if hard else []
    manifest = load_manifest(path, registry=Registry.load(), overrides=changes)
    url = f"sqlite:///{tmp_path}/results.db"
    outcomes = run_manifest(manifest, options=RunOptions(url))
    assert {outcome.status for outcome in outcomes} == {"finished"}
    with Store(url) as store:
        sought = manifest.runs()[0].environment.config
        found = store.codes(n=sought.n, k=sought.k, min_distance=sought.target_distance)
        assert found or hard
        for record in found[:1]:
            assert store.error_rates(record.id)
