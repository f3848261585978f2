"""The listeners for TensorBoard and MLflow, read back by these."""

import sys
import threading
from importlib.metadata import EntryPoint

import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import ConfigurationError, MissingDependency
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask
from qecforge.executors.listeners import SeveralListeners, make_listener
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
seeds: [5]
"""
TASK = ErrorRateTask(
    code_digest="c0ffee0123456789",
    experiment="code_capacity",
    noise="{}",
    p=0.01,
    extraction="none",
    rounds=0,
    basis="none",
    boundary="none",
    decoder="ml_lookup",
)

# Of their own libraries: protobuf and SQLAlchemy warn of what these do.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def registry():
    modules = {"toy": "toy_plugin", "tracking": "qecforge_tracking"}
    return Registry.load([EntryPoint(name, module, "qecforge") for name, module in modules.items()])


class CancelAt(RunListener):
    def __init__(self, step):
        self.step, self.stop = step, threading.Event()

    def on_progress(self, plan, step, total, metrics):
        if step >= self.step:
            self.stop.set()


def run_in_two_parts(registry, url, wanted):
    """One run, interrupted at step 200 and resumed; its plan and id, and the listener of the second part."""
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    cancel, first = CancelAt(200), make_listener(wanted, registry)
    stopped = execute(plan, RunOptions(url), SeveralListeners([cancel, first]), cancel.stop.is_set)
    assert stopped.status == "interrupted"
    first.close()
    second = make_listener(wanted, registry)
    return plan, execute(plan, RunOptions(url), second), second


def stored(url, run_id, name="reward"):
    with Store(url) as store:
        series = store.metrics(run_id, name)
        return dict(zip(series.step.tolist(), series.value.tolist(), strict=True))


def test_tensorboard_has_every_metric_once(registry, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    url = f"sqlite:///{tmp_path}/results.db"
    _, outcome, _ = run_in_two_parts(registry, url, f"tensorboard:directory={tmp_path}/events")
    (folder,) = (tmp_path / "events").iterdir()
    assert folder.name == f"walk-{outcome.run_id}"
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    scalars = {each.step: each.value for each in found.Scalars("reward")}
    expected = stored(url, outcome.run_id)
    assert {step: scalars[step] for step in expected} == pytest.approx(expected)
    assert len(found.Scalars("reward")) == len(scalars), "a step is there twice"
    assert [each.value for each in found.Scalars("code/distance")] == [3.0]


def test_tensorboard_keeps_the_training_where_only_the_evaluation_goes_on(registry, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    for begin in ("on_start", "on_extend"):
        folder = tmp_path / begin
        for part in range(2):
            listener = make_listener(f"tensorboard:directory={folder}", registry)
            if part == 0:
                listener.on_start(plan, "r", False)
                listener.on_progress(plan, 4, 8, {"reward": 1.5})
            else:
                getattr(listener, begin)(plan, "r", True if begin == "on_start" else ["count"])
                listener.on_measure(plan, TASK, ErrorCounts(shots=100, errors=1, seconds=0.1))
            listener.close()
        found = EventAccumulator(str(folder / "walk-r"))
        found.Reload()
        assert [(each.step, each.value) for each in found.Scalars("reward")] == [(4, 1.5)]
        assert [(each.step, each.value) for each in found.Scalars("error_rate/c0ffee012345/p=0.01")] == [
            (100, pytest.approx(0.01))
        ]


def test_mlflow_has_one_run_with_settings_metrics_and_status(registry, tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    url, uri = f"sqlite:///{tmp_path}/results.db", f"sqlite:///{tmp_path}/mlflow.db"
    plan, outcome, listener = run_in_two_parts(registry, url, f"mlflow:tracking_uri={uri},experiment=walks")
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("walks").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.run_name == "walk seed 5"
    assert run.info.status == "FINISHED"
    assert run.data.params["environment.size"] == "9"
    assert run.data.params["agent.plugin"] == "walker"
    assert (run.data.tags["qecforge.run"], run.data.tags["qecforge.identity"]) == (outcome.run_id, plan.identity)
    history = {each.step: each.value for each in client.get_metric_history(run.info.run_id, "reward")}
    expected = stored(url, outcome.run_id)
    assert {step: history[step] for step in expected} == pytest.approx(expected)
    assert client.get_metric_history(run.info.run_id, "code/distance")[-1].value == 3.0

    # rates add up over shots, and a run that is cut off is killed
    listener.on_start(plan, "another", False)
    for errors in (1, 3):
        listener.on_measure(plan, TASK, ErrorCounts(shots=100, errors=errors, seconds=0.1))
    listener.close()
    (other,) = client.search_runs([experiment], "tags.`qecforge.run` = 'another'")
    assert other.info.status == "KILLED"
    rates = client.get_metric_history(other.info.run_id, "error_rate/c0ffee012345/p 0.01")
    assert [(each.step, each.value) for each in rates] == [(100, 0.01), (200, 0.02)]


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("tensorboard", "torch.utils.tensorboard", "tensorboard"), ("mlflow", "mlflow.tracking", "mlflow-skinny")],
)
def test_a_missing_package_is_named(registry, monkeypatch, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=rf"listener {name}: .* is not installed: pip install '{package}>="):
        make_listener(name, registry)


def test_settings_are_checked(registry):
    with pytest.raises(
        ConfigurationError, match=r"tensorboard folder: is no setting, got 'x'; see `qecforge plugins show tensorboard`"
    ):
        make_listener("tensorboard:folder=x", registry)
    with pytest.raises(ConfigurationError, match="got 'mlflow:experiment', expected NAME or NAME:FIELD=VALUE"):
        make_listener("mlflow:experiment", registry)
