"""A wall clock that is set back in the middle of a run: durations and series stay in order."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
evaluation: {count: {episodes: 5}}
seeds: [5]
"""


@pytest.fixture
def plan():
    registry = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    return plan


def test_a_clock_that_is_set_back_changes_no_duration(plan, tmp_path, monkeypatch):
    back = timedelta()

    class SetBack(RunListener):
        def on_progress(self, plan, step, total, metrics):
            nonlocal back
            back = timedelta(days=1)

    monkeypatch.setattr("qecforge.store._sql.now", lambda: datetime.now(UTC) - back)
    monkeypatch.setattr("time.time", lambda: datetime.now(UTC).timestamp() - back.total_seconds())
    url = f"sqlite:///{tmp_path}/results.db"
    outcome = execute(plan, RunOptions(url), SetBack())
    assert outcome.status == "finished"
    assert 0 <= outcome.seconds < 600
    with Store(url) as store:
        (run,) = store.runs()
        assert run.ended_at < run.started_at
        assert 0 <= run.seconds < 600
        series = store.metrics(run.id, "reward")
        assert np.all(np.diff(series.wall_time) >= 0)
        assert series.wall_time[0] >= 0
        assert series.wall_time[-1] < 600
