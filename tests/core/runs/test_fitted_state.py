"""What an environment has fitted while a policy was trained goes with the policy, and stands still."""

import sys
from importlib.metadata import EntryPoint

import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.errors import UserError
from qecforge.manifest import RunPlan
from qecforge.runs.execute import evaluate_run, execute

PLUGIN = """\
import dataclasses
import numpy as np
import toy_plugin as toys
from qecforge.hookspecs import hookimpl

MADE = []


class Counting(toys.WalkEnvironment):
    def __init__(self, *args, **given):
        super().__init__(*args, **given)
        self.counted, self.frozen = np.zeros((), np.int64), False
        MADE.append(self)

    def step(self, actions, out=None):
        self.counted = self.counted + (not self.frozen)
        return super().step(actions, out)

    def state_dict(self):
        return {**super().state_dict(), "counted": int(self.counted), "frozen": self.frozen}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.counted, self.frozen = np.array(state["steps"]), state["frozen"]

    def fitted_state(self):
        return {"counted": self.counted.copy()}

    def load_fitted_state(self, state):
        self.counted, self.frozen = np.array(state["counted"]), True


class Tester(toys.Walker):
    def train(self, env, context, **given):
        test, advance, told = context.make_environment("tests", 2), context.advance, []

        def tested(step, *args):
            goes_on = advance(step, *args)
            test.reset(seed=1)
            test.step(np.zeros(2, np.int64))
            told.append((step, int(test.counted)))
            return goes_on

        context.advance = tested
        policy = super().train(env, context, **given)
        expected = [25 if env.frozen else step // 4 for step, _ in told]
        assert [counted for _, counted in told] == expected
        return policy


@hookimpl
def qecforge_environments():
    return [dataclasses.replace(spec, make=Counting) for spec in toys.qecforge_environments()]


@hookimpl
def qecforge_agents():
    return [dataclasses.replace(spec, make=Tester) for spec in toys.qecforge_agents()]


@hookimpl
def qecforge_quantizers():
    return toys.qecforge_quantizers()
"""
MANIFEST = """\
qecforge: 1
name: fitted
environment: walk
agent: {plugin: walker, total_steps: 100}
evaluation: {returns: {episodes: 6}}
seeds: [5]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "fitting_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry.load([EntryPoint("fitting", "fitting_plugin", "qecforge")])
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: registry))
    yield sys.modules["fitting_plugin"]
    del sys.modules["fitting_plugin"]


def carried_out(tmp_path, text):
    (plan,) = load_manifest(text, registry=Registry.load()).runs()
    url = f"sqlite:///{tmp_path}/results.db"
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    return url, outcome.run_id


def test_evaluations_and_loaded_policies_have_what_training_fitted(plugin, tmp_path):
    """25 steps of four members were counted; tests while training have as many as were made by then."""
    url, run_id = carried_out(tmp_path, MANIFEST)
    trained, tested, evaluated = plugin.MADE
    assert (int(trained.counted), trained.frozen) == (25, False)
    assert (int(evaluated.counted), evaluated.frozen) == (25, True), "though it was played"
    assert tested.frozen
    with Store(url) as store:
        (kept,) = store.artifacts(run_id, kind="environment")
        assert kept.name == "fitted.safetensors"
        env, _ = load_policy(store, run_id, registry=Registry.load())
    assert (int(env.counted), env.frozen) == (25, True)


def test_an_evaluation_that_is_added_later_has_it_too(plugin, tmp_path):
    url, run_id = carried_out(tmp_path, MANIFEST)
    with Store(url) as store:
        canonical = store.run(run_id).manifest
    plan = RunPlan.from_canonical(canonical, Registry.load(), overrides=["evaluation.returns.episodes=9"])
    assert evaluate_run(run_id, plan, RunOptions(url), RunListener()).status == "finished"
    assert int(plugin.MADE[-1].counted) == 25


@pytest.mark.parametrize("quantizer", ["round", "learn"])
def test_a_student_has_its_teachers(plugin, tmp_path, quantizer):
    """While it is calibrated or trained further, and wherever it is played afterwards."""
    url, run_id = carried_out(tmp_path, f"{MANIFEST}quantizer: {quantizer}\n")
    first = next(n for n, each in enumerate(plugin.MADE) if each.frozen and each.num_envs == 4)
    assert {int(each.counted) for each in plugin.MADE[first:] if each.num_envs > 1} <= {25}
    with Store(url) as store:
        assert store.run(run_id).quantizer == quantizer
        env, _ = load_policy(store, run_id, registry=Registry.load())
    assert (int(env.counted), env.frozen) == (25, True)


def test_a_damaged_file_is_one_line(plugin, tmp_path):
    url, run_id = carried_out(tmp_path, MANIFEST)
    with Store(url) as store:
        store.add_artifact(run_id, "environment", "fitted.safetensors", b"\x05")
        with pytest.raises(UserError, match="not a safetensors file") as caught:
            load_policy(store, run_id, registry=Registry.load())
    assert str(caught.value).isprintable()
