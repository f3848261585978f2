"""Runs in environments that ignore `out`, whose rewards or observations are not finite, or whose arrays do not fit."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import toy_plugin

from qecforge import RunListener, RunOptions, Store, load_manifest
from qecforge.registry import Registry
from qecforge.runs.execute import execute

WALK = """\
qecforge: 1
name: walk
environment: {plugin: walk, find_at: 100_000}
agent: {plugin: walker, total_steps: 400}
"""
PPO = WALK.replace("walker, total_steps: 400", "ppo, total_steps: 512, num_envs: 8, horizon: 16, minibatch_size: 64")


class Filling(toy_plugin.WalkEnvironment):
    """Does with `out` what the contract says."""

    def step(self, actions, out=None):
        *arrays, infos = super().step(actions)
        if out is None:
            return *arrays, infos
        given = (out.observations, out.rewards, out.terminated, out.truncated)
        for buffer, array in zip(given, arrays, strict=True):
            buffer[...] = array
        return *given, infos


class Spoilt(toy_plugin.WalkEnvironment):
    """From its 25th step on, member 2 is paid `bad`."""

    bad = np.nan

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.calls = 0

    def step(self, actions, out=None):
        observations, rewards, *rest = super().step(actions, out)
        self.calls += 1
        if self.calls >= 25:
            rewards[2] = self.bad
        return observations, rewards, *rest


class Misshapen(toy_plugin.WalkEnvironment):
    """From its 25th step on, or at its reset, returns something else."""

    at, place, value = 25, 0, None

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.calls = 0

    def reset(self, **given):
        found = super().reset(**given)
        return self.value(found) if self.at == 0 else found

    def step(self, actions, out=None):
        self.calls += 1
        found = super().step(actions, out)
        return self.value(found) if self.calls >= self.at > 0 else found


def put(place, change):
    """What an environment returns, with one of its arrays changed."""
    return lambda found: tuple(change(each) if place == number else each for number, each in enumerate(found))


def spoil(array):
    array = np.array(array, np.float32)
    array[3, 0] = np.inf
    return array


@pytest.fixture
def outcome_of(monkeypatch, tmp_path):
    def run(text, kind, name="results", **more):
        (walk,) = toy_plugin.qecforge_environments()
        with monkeypatch.context() as patched:
            patched.setattr(
                toy_plugin,
                "qecforge_environments",
                toy_plugin.hookimpl(specname="qecforge_environments")(lambda: [replace(walk, make=kind)]),
            )
            names = {"toy": "toy_plugin", "ppo": "qecforge_ppo"}
            registry = Registry.load([EntryPoint(key, module, "qecforge") for key, module in names.items()])
        (plan,) = load_manifest(text, registry=registry).runs()
        store = f"sqlite:///{tmp_path}/{name}.db"
        return execute(plan, RunOptions(store), RunListener(), **more), store

    return run


def test_an_environment_that_ignores_out_trains_as_one_that_fills_it(outcome_of):
    found = []
    for kind in (Filling, toy_plugin.WalkEnvironment):
        outcome, url = outcome_of(PPO, kind, kind.__name__)
        assert outcome.status == "finished", outcome.error
        with Store(url) as store:
            (policy,) = store.artifacts(outcome.run_id, kind="policy")
            found.append((policy.sha256, store.metrics(outcome.run_id, "episode_return").value.tolist()))
    assert found[0] == found[1]
    assert found[0][1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("text", "members"), [(WALK, 4), (PPO, 8)])
def test_a_reward_that_is_not_finite_is_named(outcome_of, monkeypatch, text, members, bad):
    monkeypatch.setattr(Spoilt, "bad", bad)
    outcome, _ = outcome_of(text, Spoilt)
    assert outcome.status == "failed"
    assert outcome.error == (
        f"QecforgeError: the native reward of environment walk: gave {bad} for member 2 at step {25 * members}, "
        "expected a finite number: correct what it computes there"
    )


def test_the_step_counts_from_the_beginning_of_the_training(outcome_of):
    """Not from where the run was resumed."""
    stops = iter([False] * 10 + [True] + [False] * 1000)
    outcome, _ = outcome_of(WALK, Spoilt, cancelled=lambda: next(stops))
    assert outcome.status == "interrupted"
    outcome, _ = outcome_of(WALK, Spoilt)
    assert outcome.status == "failed"
    assert "at step 140, " in outcome.error


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            put(0, spoil),
            "gave inf for member 3 at step {}, expected finite observations: correct what it computes there",
        ),
        (
            put(0, lambda array: array[:2]),
            "its observations at step {} are float32 of shape (2, 1), expected numbers of shape ({members}, 1): report "
            "it to the plugin's authors",
        ),
        (put(0, lambda array: None), "its observations at step {} are object of shape (), expected numbers of shape"),
    ],
)
@pytest.mark.parametrize("at", [0, 25])
@pytest.mark.parametrize(("text", "members"), [(WALK, 4), (PPO, 8)])
def test_observations_that_do_not_fit_are_named(outcome_of, monkeypatch, text, members, at, value, said):
    monkeypatch.setattr(Misshapen, "at", at)
    monkeypatch.setattr(Misshapen, "value", staticmethod(value))
    outcome, _ = outcome_of(text, Misshapen)
    assert outcome.status == "failed"
    assert outcome.error.startswith(f"QecforgeError: environment walk: {said.format(at * members, members=members)}")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (put(1, lambda array: array[:, None]), "its rewards at step 100 are float32 of shape (4, 1), expected"),
        (put(2, lambda array: array[:1]), "its terminated at step 100 are bool of shape (1,), expected"),
        (lambda found: found[:4], "step returned 4 items at step 96, expected 5 items"),
        (lambda found: None, "step returned None at step 96, expected 5 items"),
    ],
)
def test_other_arrays_that_do_not_fit_are_named(outcome_of, monkeypatch, value, said):
    monkeypatch.setattr(Misshapen, "value", staticmethod(value))
    outcome, _ = outcome_of(WALK, Misshapen)
    assert outcome.error.startswith(f"QecforgeError: environment walk: {said}")
