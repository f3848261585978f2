"""The life of a run: finished, skipped, resumed, forced, cancelled, failed; with the toy plugin."""

import contextlib
import os
import threading
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import toy_plugin

from qecforge import Registry, RunListener, RunOptions, Store, evaluate_policy, load_manifest, load_policy, run_manifest
from qecforge.errors import CheckpointError, ConfigurationError, Interrupted, StoreError, UserError
from qecforge.runs.execute import checkpoint_path, delete_run, execute

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
evaluation: {count: {episodes: 5}}
seeds: [5]
"""


@pytest.fixture
def registry():
    return Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


def plan_of(text, registry):
    (plan,) = load_manifest(text, registry=registry).runs()
    return plan


class CancelAt(RunListener):
    """Cancels once the agent has reported `step`."""

    def __init__(self, step):
        self.step, self.stop, self.seen = step, threading.Event(), []

    def on_progress(self, plan, step, total, metrics):
        self.seen.append(step)
        if step >= self.step:
            self.stop.set()


def record(url):
    with Store(url) as store:
        (run,) = store.runs()
        series = {
            name: (store.metrics(run.id, name).step.tolist(), store.metrics(run.id, name).value.tolist())
            for name in ("reward", "visits", "episodes", "played")
        }
        codes = store.codes(run=run.id)
        artifacts = [(each.kind, each.name, each.sha256) for each in store.artifacts(run.id)]
        return run.status, series, [(c.digest, c.distance, c.distance_kind, c.gate_count) for c in codes], artifacts


def test_a_run_is_filed_whole(registry, url):
    outcome = execute(plan_of(MANIFEST, registry), RunOptions(url), RunListener())
    assert outcome.status == "finished"
    status, series, codes, artifacts = record(url)
    assert status == "finished"
    assert series["reward"][0] == list(range(4, 404, 4))
    assert series["visits"] == ([0], [400.0])
    assert [(distance, kind) for _, distance, kind, _ in codes] == [(3, "exact")]
    assert [(kind, name) for kind, name, _ in artifacts] == [("policy", "policy.safetensors")]
    with Store(url) as store:
        (run,) = store.runs()
        assert run.name == "walk"
        assert run.seed == 5
        assert run.provenance["dependencies"]["numpy"] == np.__version__
        assert not checkpoint_path(store, run.id).exists()


@pytest.mark.parametrize("step", [1, 36, 40, 200, 399])
def test_cancelled_and_resumed_equals_uninterrupted(registry, tmp_path, step):
    plan = plan_of(MANIFEST, registry)
    whole, parts = (f"sqlite:///{tmp_path}/{name}/results.db" for name in ("whole", "parts"))
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    execute(plan, RunOptions(whole), RunListener())
    listener = CancelAt(step)
    outcome = execute(plan, RunOptions(parts), listener, listener.stop.is_set)
    assert outcome.status == "interrupted"
    with Store(parts) as store:
        assert store.runs()[0].status == "interrupted"
    again = CancelAt(10**9)
    assert execute(plan, RunOptions(parts), again).status == "finished"
    assert again.seen[0] == listener.seen[-1]
    assert record(parts) == record(whole)


def test_interrupted_after_training_evaluates_as_if_it_had_not_been(registry, tmp_path):
    """The evaluation draws from the environment's generator: where the training left that must not matter."""
    plan = plan_of(MANIFEST, registry)
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())

    class StopAtEvaluation(RunListener):
        def on_phase(self, plan, phase):
            if phase == "evaluate":
                raise KeyboardInterrupt

    assert execute(plan, RunOptions(parts), StopAtEvaluation()).status == "interrupted"
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)
    assert len(set(record(whole)[1]["played"][1])) > 2


def test_an_evaluation_can_be_stopped_at_each_number_that_it_records(registry, tmp_path):
    plan = plan_of(MANIFEST, registry)
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())
    asked = []

    class Evaluating(RunListener):
        began = False

        def on_phase(self, plan, phase):
            self.began = phase == "evaluate"

    def cancelled():
        asked.extend([1] * listener.began)
        return len(asked) >= 5

    listener = Evaluating()
    assert execute(plan, RunOptions(parts), listener, cancelled).status == "interrupted"
    _, series, _, _ = record(parts)
    assert series["visits"][1] == [400.0]
    assert 1 <= len(series["played"][0]) < 5
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)


def test_a_crash_between_checkpoint_and_store_changes_nothing(registry, url, monkeypatch):
    """Metrics and codes written after the last checkpoint are written again by the resumed run."""
    plan = plan_of(MANIFEST, registry)
    listener = CancelAt(120)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        run_id = store.runs()[0].id
        earlier = checkpoint_path(store, run_id).read_bytes()
    listener = CancelAt(240)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        checkpoint_path(store, run_id).write_bytes(earlier)
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    interrupted = record(url)
    assert execute(plan, RunOptions(url, force=True), RunListener()).status == "finished"
    assert record(url) == interrupted


def test_finished_runs_are_skipped_and_forced_ones_are_not(registry, url):
    plan = plan_of(MANIFEST, registry)
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    assert execute(plan, RunOptions(url), RunListener()).status == "skipped"
    assert execute(plan, RunOptions(url, force=True), RunListener()).status == "finished"
    with Store(url) as store:
        assert len(store.runs()) == 1


def test_a_kill_while_starting_anew_leaves_a_run_that_ends_with_the_same_record(registry, tmp_path, monkeypatch):
    """A checkpoint must not outlive the metrics and codes that lie before it."""
    plan = plan_of(MANIFEST, registry)
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())
    listener = CancelAt(200)
    execute(plan, RunOptions(parts), listener, listener.stop.is_set)
    restart = Store.restart_run

    def killed_after(store, run_id):
        restart(store, run_id)
        raise SystemExit

    monkeypatch.setattr(Store, "restart_run", killed_after)
    with pytest.raises(SystemExit):
        execute(plan, RunOptions(parts, force=True), RunListener())
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)


def test_a_failing_plugin_fails_its_run_alone(registry, url):
    text = MANIFEST + "sweep: {agent.fail_at: [100, null]}\n"
    outcomes = run_manifest(load_manifest(text, registry=registry), options=RunOptions(url))
    assert [outcome.status for outcome in outcomes] == ["failed", "finished"]
    assert outcomes[0].error == "ArithmeticError: asked to fail at step 100"
    with Store(url) as store:
        run = store.run(outcomes[0].run_id)
        assert run.status == "failed"
        events = [event for event in store.events(run.id) if event.kind == "error"]
        assert "toy_plugin.py" in events[-1].payload["traceback"]


@pytest.mark.parametrize("method", ["reset", "step", "take_discoveries", "state_dict"])
@pytest.mark.parametrize("in_thread", [False, True])
def test_an_exit_that_a_plugin_catches_fails_its_run(registry, url, monkeypatch, method, in_thread):
    before = getattr(toy_plugin.WalkEnvironment, method)

    def leave():
        with contextlib.suppress(Exception):
            os._exit(0)

    def leaving(self, *given, **named):
        thread = threading.Thread(target=leave)
        (thread.start if in_thread else leave)()
        if in_thread:
            thread.join()
        return before(self, *given, **named)

    monkeypatch.setattr(toy_plugin.WalkEnvironment, method, leaving)
    outcome = execute(plan_of(MANIFEST, registry), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert outcome.error.startswith("PluginError: would have ended the process (os._exit(0)): ")


def test_truncated_checkpoint_is_refused_and_nothing_is_lost(registry, url):
    plan = plan_of(MANIFEST, registry)
    listener = CancelAt(200)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        run = store.runs()[0]
        path = checkpoint_path(store, run.id)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        steps = store.metrics(run.id, "reward").step.tolist()
    with pytest.raises(CheckpointError, match=r"damaged checkpoint .* start the run anew with `force`"):
        execute(plan, RunOptions(url), RunListener())
    with Store(url) as store:
        assert store.metrics(run.id, "reward").step.tolist() == steps
        assert len(store.codes(run=run.id)) == 1
    path.write_bytes(whole)
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"


def test_an_error_of_the_users_in_one_run_lets_the_others_end_and_is_raised_then(registry, url):
    manifest = load_manifest(MANIFEST.replace("[5]", "[0, 1]"), registry=registry)
    first = manifest.runs()[0]
    listener = CancelAt(200)
    execute(first, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        path = checkpoint_path(store, store.runs()[0].id)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged checkpoint"):
        run_manifest(manifest, options=RunOptions(url))
    with Store(url) as store:
        assert {run.seed: run.status for run in store.runs()} == {0: "interrupted", 1: "finished"}


def test_a_deleted_run_leaves_no_checkpoint(registry, url):
    listener = CancelAt(200)
    execute(plan_of(MANIFEST, registry), RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        run_id = store.runs()[0].id
        assert checkpoint_path(store, run_id).exists()
        delete_run(store, run_id[:5])
        assert store.runs() == []
        assert store.codes() == []
        assert not checkpoint_path(store, run_id).exists()


def test_a_checkpoint_of_another_run_is_refused(registry, url):
    plan = plan_of(MANIFEST, registry)
    listener = CancelAt(200)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    other = plan_of(MANIFEST.replace("seeds: [5]", "seeds: [6]"), registry)
    other_listener = CancelAt(1)
    execute(other, RunOptions(url), other_listener, other_listener.stop.is_set)
    with Store(url) as store:
        first, second = (next(run for run in store.runs() if run.seed == seed) for seed in (5, 6))
        checkpoint_path(store, second.id).write_bytes(checkpoint_path(store, first.id).read_bytes())
    with pytest.raises(CheckpointError, match="another run"):
        execute(other, RunOptions(url), RunListener())


def test_two_processes_do_not_carry_out_the_same_run(registry, url):
    plan = plan_of(MANIFEST, registry)

    class Second(RunListener):
        error = None

        def on_phase(self, _plan, phase):
            if phase == "train":
                try:
                    execute(plan, RunOptions(url), RunListener())
                except UserError as error:
                    self.error = error

    second = Second()
    assert execute(plan, RunOptions(url), second).status == "finished"
    assert "another process" in str(second.error)


def test_budget_stops_at_the_first_code(registry, url):
    text = MANIFEST + "budget: {stop_at_first_code: true}\n"
    listener = CancelAt(10**9)
    execute(plan_of(text, registry), RunOptions(url), listener)
    assert listener.seen[-1] == 40


def test_a_saved_policy_is_played_in_a_changed_environment(registry, url):
    execute(plan_of(MANIFEST, registry), RunOptions(url), RunListener())
    with Store(url) as store:
        run = store.runs()[0]
        env, policy = load_policy(store, run.id, registry=registry, environment={"size": 5}, num_envs=3)
    assert env.config.size == 5
    assert int(policy.visits.sum()) == 400
    statistics = evaluate_policy(env, policy, episodes=7, seed=1)
    assert statistics.returns.shape == statistics.lengths.shape == (9,)
    with pytest.raises(ConfigurationError, match="episodes"):
        evaluate_policy(env, policy, episodes=0)


def test_a_run_without_policy_is_named(registry, url):
    plan = plan_of(MANIFEST, registry)
    listener = CancelAt(1)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store, pytest.raises(StoreError, match="left no policy"):
        load_policy(store, store.runs()[0].id, registry=registry)


def test_interrupted_manifests_say_so(registry, url, monkeypatch):
    class Stop(RunListener):
        def on_start(self, plan, run_id, resumed):
            os.kill(os.getpid(), 2)

    manifest = load_manifest(MANIFEST.replace("[5]", "[5, 6]"), registry=registry)
    with pytest.raises(Interrupted, match="2 of 2 runs were interrupted"):
        run_manifest(manifest, options=RunOptions(url), listener=Stop())
    assert [outcome.status for outcome in run_manifest(manifest, options=RunOptions(url))] == ["finished"] * 2


def test_unknown_executor_and_workers_are_refused(registry, url):
    manifest = load_manifest(MANIFEST, registry=registry)
    with pytest.raises(ConfigurationError, match="`executor`: got 'slurm', expected 'process', 'local' or 'ray'"):
        run_manifest(manifest, options=RunOptions(url), executor="slurm")
    with pytest.raises(ConfigurationError, match="`workers`: got 0"):
        run_manifest(manifest, options=RunOptions(url), executor="local", workers=0)
