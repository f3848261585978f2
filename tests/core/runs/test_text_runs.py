"""Runs on text, with the third-party plugin: trained, stopped, resumed, evaluated, their policies of two files kept."""

import json
import re
import threading
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import qecforge_thirdparty_text
from qecforge_thirdparty_text import AGENT, ENVIRONMENT
from qecforge_thirdparty_text.agent import TablePolicy, WordTable
from qecforge_thirdparty_text.environment import NumberWords
from toy_plugin import WalkConfig, WalkEnvironment

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.contracts import TextOutcome
from qecforge.errors import CheckpointError, InfrastructureError, StoreError
from qecforge.hookspecs import hookimpl
from qecforge.manifest import RunPlan
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: words
environment: {plugin: number_words, numbers: 3, held_out: 1}
reward: letters
agent: {plugin: word_table, words: [zero, one, two, three, four], total_steps: 640}
evaluation: {accuracy: {samples: 50}}
seeds: [4]
"""


def registry_of():
    registry = Registry.load([EntryPoint("number_words", "qecforge_thirdparty_text", "qecforge")])
    assert not registry.broken
    return registry


def plan_of(*overrides, text=MANIFEST, allow=()):
    (plan,) = load_manifest(text, registry=registry_of(), overrides=overrides, allow=allow).runs()
    return plan


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


class CancelAt(RunListener):
    def __init__(self, step):
        self.step, self.stop, self.seen = step, threading.Event(), []

    def on_progress(self, plan, step, total, metrics):
        self.seen.append(step)
        if step >= self.step:
            self.stop.set()


def record(url):
    """All that a run filed but for times."""
    with Store(url) as store:
        (run,) = store.runs()
        series = {
            name: (store.metrics(run.id, name).step.tolist(), store.metrics(run.id, name).value.tolist())
            for name in store.metric_names(run.id)
        }
        files = [(each.kind, each.name, each.sha256) for each in store.artifacts(run.id)]
        return run.status, series, sorted(files)


def test_a_run_learns_and_is_filed_whole(url):
    assert execute(plan_of(), RunOptions(url), RunListener()).status == "finished"
    status, series, files = record(url)
    assert status == "finished"
    steps, returns = series["episode_return"]
    assert steps == list(range(0, 672, 32))
    assert returns[-1] > 0.9 > returns[1]
    assert series["invalid_rewards"][1] == [0.0] * 21
    assert series["accuracy/train/greedy"] == ([0], [1.0])
    assert series["accuracy/train/drawn"][1][0] > 0.8
    assert series["accuracy/test/greedy"] == ([0], [0.0])
    assert [(kind, name) for kind, name, _ in files] == [
        ("policy", "preferences.safetensors"),
        ("policy", "words.json"),
    ]


@pytest.mark.parametrize("step", [1, 96, 320, 639])
def test_cancelled_and_resumed_equals_uninterrupted(tmp_path, step):
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan_of(), RunOptions(whole), RunListener())
    listener = CancelAt(step)
    assert execute(plan_of(), RunOptions(parts), listener, listener.stop.is_set).status == "interrupted"
    again = CancelAt(10**9)
    assert execute(plan_of(), RunOptions(parts), again).status == "finished"
    assert again.seen[0] == listener.seen[-1]
    assert record(parts) == record(whole)


def test_a_run_stopped_in_its_evaluation_takes_the_policy_from_its_files(tmp_path):
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan_of(), RunOptions(whole), RunListener())

    class StopAtEvaluation(RunListener):
        def on_phase(self, plan, phase):
            if phase == "evaluate":
                raise KeyboardInterrupt

    assert execute(plan_of(), RunOptions(parts), StopAtEvaluation()).status == "interrupted"
    listener = CancelAt(10**9)
    assert execute(plan_of(), RunOptions(parts), listener).status == "finished"
    assert listener.seen == []
    assert record(parts) == record(whole)


def test_files_of_a_policy_are_filed_together(tmp_path, monkeypatch):
    """A disk that is full at the second file leaves none: the policy is made again from the last checkpoint."""
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan_of(), RunOptions(whole), RunListener())
    files = TablePolicy.files
    monkeypatch.setattr(TablePolicy, "files", lambda self: {**files(self), "words.json": tmp_path / "missing"})
    with pytest.raises(StoreError, match="missing: no such file"):
        execute(plan_of(), RunOptions(parts), RunListener())
    status, _, kept = record(parts)
    assert (status, kept) == ("interrupted", [])
    monkeypatch.undo()
    assert execute(plan_of(), RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)


@pytest.mark.parametrize("named", [{}, {"../up": b""}, {"": b""}, {"two words": b""}, {".hidden": b""}])
def test_files_that_cannot_be_named_so_are_the_plugins_fault(url, monkeypatch, named):
    monkeypatch.setattr(TablePolicy, "files", lambda self: named)
    outcome = execute(plan_of(), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert re.fullmatch(r"PluginError: TablePolicy.files\(\) gave .*report it to the plugin's authors", outcome.error)
    assert record(url)[2] == []


def test_the_policy_comes_back_from_the_store(url):
    run_id = execute(plan_of(), RunOptions(url), RunListener()).run_id
    with Store(url) as store:
        env, policy = load_policy(store, run_id, registry=registry_of())
        asked = env.prompts(env.splits["train"])
        assert policy.act(asked) == ["zero", "one", "two"]
        assert [outcome.score for outcome in env.score(env.splits["train"], policy.act(asked))] == [1.0, 1.0, 1.0]
        env.close()
        assert env.closed
        store.add_artifact(run_id, "policy", "words.json", b"damaged")
        with pytest.raises(CheckpointError, match="its files are damaged"):
            load_policy(store, run_id, registry=registry_of())


def test_a_base_that_changed_since_is_refused_before_anything_resumes(url, tmp_path):
    base = tmp_path / "base.json"
    base.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [0, 0, 0]}))
    plan = plan_of(text=MANIFEST.replace("words: [zero, one, two, three, four]", f"base: {base}"), allow=[tmp_path])
    listener = CancelAt(96)
    assert execute(plan, RunOptions(url), listener, listener.stop.is_set).status == "interrupted"
    base.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [5, 0, 0]}))
    with pytest.raises(CheckpointError, match="is another than when the manifest was read"):
        execute(plan, RunOptions(url), RunListener())
    with Store(url) as store, pytest.raises(Exception, match="has the hash"):
        RunPlan.from_canonical(store.runs()[0].manifest, registry_of())


def given(monkeypatch, *, environment, agent=WordTable):
    """The plugin with other factories."""

    @hookimpl
    def qecforge_environments():
        return [replace(ENVIRONMENT, make=environment)]

    @hookimpl
    def qecforge_agents():
        return [replace(AGENT, make=agent)]

    for hook in (qecforge_environments, qecforge_agents):
        monkeypatch.setattr(qecforge_thirdparty_text, hook.__name__, hook)


def test_what_could_not_be_judged_interrupts_a_run_that_says_so(url, monkeypatch):
    """An agent may go on without these completions, or stop: the plugin's stops where a step had none at all."""

    class Dead(NumberWords):
        def judge(self, task_ids, completions):
            return [TextOutcome.out_of_order("the sandbox is gone") for _ in task_ids]

    class Stopping(WordTable):
        def _update(self, learner, env, asked, rng):
            metrics = super()._update(learner, env, asked, rng)
            if metrics["invalid_rewards"] == self.num_envs:
                raise InfrastructureError("word_table: no completion of a step could be judged: mend the sandbox")
            return metrics

    def make(config, *, num_envs, seed, reward):
        return Dead(config, num_envs=num_envs, reward=reward)

    given(monkeypatch, environment=make, agent=Stopping)
    with pytest.raises(InfrastructureError, match="no completion of a step"):
        execute(plan_of(), RunOptions(url), RunListener())
    assert record(url)[0] == "interrupted"
    monkeypatch.undo()
    assert execute(plan_of(), RunOptions(url), RunListener()).status == "finished"
    np.testing.assert_array_equal(record(url)[1]["invalid_rewards"][1], 0.0)


def test_an_environment_of_another_kind_is_the_plugins_fault(url, monkeypatch):
    closed = []

    class Walk(WalkEnvironment):
        def close_extras(self, **kwargs):
            closed.append(1)

    def make(config, *, num_envs, seed, reward):
        return Walk(WalkConfig(), num_envs=num_envs, seed=seed, reward=reward)

    given(monkeypatch, environment=make)
    outcome = execute(plan_of(), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert re.search("takes text, for which it makes a Walk, expected a TextEnvironment.*$", outcome.error)
    assert closed == [1]
