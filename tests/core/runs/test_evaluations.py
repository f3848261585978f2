"""What is measured of a run's policy: returns of whole episodes, and what an agent's own evaluation files."""

import dataclasses
import threading
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, evaluate_policy, load_manifest, load_policy, run_manifest
from qecforge.evaluation.built_in import BUILT_IN
from qecforge.runs.attempt import Attempt
from qecforge.runs.evaluating import CARRIED_OUT_BY
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: pulses
environment: {plugin: pulses, steps: 20}
agent: {plugin: cross_entropy, total_steps: 8_000}
evaluation:
  returns: {episodes: 50}
  recovery: {kicks: 3, steps: 6}
seeds: [5]
"""


@pytest.fixture
def registry(monkeypatch):
    loaded = Registry.load(
        [EntryPoint("toy", "toy_plugin", "qecforge"), EntryPoint("continuous", "toy_continuous", "qecforge")]
    )
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: loaded))
    return loaded


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


def plan_of(registry, text=MANIFEST):
    (plan,) = load_manifest(text, registry=registry).runs()
    return plan


class Progress(RunListener):
    """Remembers what evaluations report, and cancels at one of them."""

    def __init__(self, cancel_at=None):
        self.reports, self.cancel_at, self.stop = [], cancel_at, threading.Event()

    def on_evaluation(self, plan, name, done, total):
        self.reports.append((name, done, total))
        if self.cancel_at == (name, done):
            self.stop.set()


def filed(url):
    """All that evaluations leave."""
    with Store(url) as store:
        (run,) = store.runs()
        recovery = store.metrics(run.id, "recovery/infidelity")
        return (
            {each.name: (dict(each.values), each.payload) for each in store.policy_evaluations(run.id)},
            (recovery.step.tolist(), recovery.value.tolist()),
            {each.name: store.read_artifact(each) for each in store.artifacts(run.id, kind="evaluation")},
        )


def test_every_evaluation_of_the_table_is_carried_out():
    assert list(CARRIED_OUT_BY) == [each.name for each in BUILT_IN]


@pytest.mark.parametrize("deterministic", [True, False])
def test_returns_are_those_of_whole_episodes(registry, url, deterministic):
    text = MANIFEST.replace("episodes: 50", f"episodes: 50, deterministic: {str(deterministic).lower()}")
    outcome = execute(plan_of(registry, text), RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    values, payload = filed(url)[0]["returns"]
    assert len(payload["returns"]) == len(payload["lengths"]) == 80, "40 members, so many episodes each"
    assert set(payload["lengths"]) == {20}, "the policy loses none"
    assert values["return_mean"] == pytest.approx(np.mean(payload["returns"]), rel=1e-12)
    assert values["return_std"] == pytest.approx(np.std(payload["returns"], ddof=1), rel=1e-12)
    assert values["length_mean"] == 20
    half = 1.990450 * values["return_std"] / np.sqrt(80)
    assert values["return_high"] - values["return_mean"] == pytest.approx(half, rel=1e-5)
    assert values["return_mean"] - values["return_low"] == pytest.approx(half, rel=1e-5)
    with Store(url) as store:
        env, policy = load_policy(store, outcome.run_id, registry=registry, num_envs=40)
    others = [evaluate_policy(env, policy, episodes=80, seed=seed, deterministic=deterministic) for seed in range(3)]
    assert not any(np.array_equal(each.returns, payload["returns"]) for each in others)
    assert all(abs(each.returns.mean() - values["return_mean"]) < 4 * half for each in others)


def test_as_many_members_play_as_there_are_episodes_at_most(registry, url):
    execute(plan_of(registry, MANIFEST.replace("episodes: 50", "episodes: 3")), RunOptions(url), RunListener())
    values, payload = filed(url)[0]["returns"]
    assert len(payload["returns"]) == 3
    assert values["return_mean"] == pytest.approx(np.mean(payload["returns"]))


def test_of_a_single_episode_there_is_no_interval(registry, url):
    execute(plan_of(registry, MANIFEST.replace("episodes: 50", "episodes: 1")), RunOptions(url), RunListener())
    assert set(filed(url)[0]["returns"][0]) == {"return_mean", "length_mean"}


def test_returns_of_an_integer_policy_and_of_its_teacher(registry, url):
    text = (
        "qecforge: 1\nname: walk\nenvironment: {plugin: walk, size: 9}\nagent: {plugin: walker, total_steps: 100}\n"
        "quantizer: round\nevaluation: {returns: {episodes: 6}}\nseeds: [5]\n"
    )
    (outcome,) = run_manifest(load_manifest(text, registry=registry), options=RunOptions(url))
    with Store(url) as store:
        found = {run.quantizer: store.policy_evaluations(run.id) for run in store.runs()}
        assert {quantizer: [each.name for each in rows] for quantizer, rows in found.items()} == {
            "round": ["returns"],
            None: ["returns"],
        }
        assert store.run(outcome.run_id).quantizer == "round"
        played = found["round"][0].payload
        assert len(played["returns"]) == 8, "4 members, 2 episodes each"
        env, policy = load_policy(store, outcome.run_id, registry=registry)
    rng, observations = np.random.default_rng(0), env.reset(seed=0)[0]
    assert policy.act(observations, rng=rng).tolist() == policy.logits(observations).argmax(-1).tolist()


def test_an_agents_evaluation_files_numbers_a_payload_and_bytes(registry, url):
    listener = Progress()
    execute(plan_of(registry), RunOptions(url), listener)
    evaluations, (steps, infidelity), files = filed(url)
    values, payload = evaluations["recovery/course"]
    course = np.array(payload["infidelity"])
    assert course.shape == (3, 6)
    assert steps == list(range(6))
    np.testing.assert_allclose(infidelity, course.mean(0), rtol=1e-12)
    assert infidelity[-1] < infidelity[0] < 0.02, "an error is 1/24 on average before anything is done"
    assert values == {"recovered": pytest.approx(course[:, -1].mean(), rel=1e-12)}
    assert files == {"recovery/course.f64": course.tobytes()}
    assert [each for each in listener.reports if each[0] == "recovery"][-1] == ("recovery", 3, 3)
    assert [each for each in listener.reports if each[0] == "returns"][-1] == ("returns", 80, 80)


def test_an_evaluation_is_seeded_by_the_run_and_by_its_name(registry, tmp_path):
    found = []
    for number, seed in enumerate((5, 5, 6)):
        url = f"sqlite:///{tmp_path}/{number}.db"
        execute(plan_of(registry, MANIFEST.replace("[5]", f"[{seed}]")), RunOptions(url), RunListener())
        found.append(filed(url))
    assert found[0] == found[1]
    assert found[0][2] != found[2][2]
    attempt = Attempt(plan_of(registry), "run", None, tmp_path, RunOptions(), RunListener(), lambda: False)
    assert len({attempt.seed(f"evaluation {name}") for name in ("returns", "recovery", "search")}) == 3


def test_what_json_cannot_hold_fails_the_run(registry, url, monkeypatch):
    def evaluate(env, policy, config, context):
        context.payload("broken", {"value": float("nan")})

    plan = plan_of(registry)
    broken = dataclasses.replace(plan.evaluation.others[0][0], evaluate=evaluate)
    evaluation = dataclasses.replace(plan.evaluation, others=((broken, plan.evaluation.others[0][1]),))
    outcome = execute(dataclasses.replace(plan, evaluation=evaluation), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert outcome.error.startswith("ConfigurationError: evaluation recovery/broken: cannot be kept as JSON")


@pytest.mark.parametrize("at", [("returns", 40), ("recovery", 1), ("recovery", 3)])
def test_cancelled_and_resumed_equals_uninterrupted(registry, tmp_path, at, monkeypatch):
    monkeypatch.setattr("qecforge.runs.evaluation_context._PROGRESS_SECONDS", 0.0)
    plan = plan_of(registry)
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())
    listener = Progress(cancel_at=at)
    outcome = execute(plan, RunOptions(parts), listener, listener.stop.is_set)
    assert outcome.status == "interrupted"
    assert "recovery/course" not in filed(parts)[0]
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert filed(parts) == filed(whole)


def test_one_that_returns_early_because_it_was_cancelled_is_not_through(registry, url):
    """It asks `cancelled` and returns, as `evaluate_policy` does: the run goes on with it, it has not finished."""
    stop = threading.Event()

    def evaluate(env, policy, config, context):
        stop.set()

    plan = plan_of(registry)
    gives_up = dataclasses.replace(plan.evaluation.others[0][0], evaluate=evaluate)
    evaluation = dataclasses.replace(plan.evaluation, others=((gives_up, plan.evaluation.others[0][1]),))
    cut = execute(dataclasses.replace(plan, evaluation=evaluation), RunOptions(url), RunListener(), stop.is_set)
    assert cut.status == "interrupted"
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    assert "recovery/course" in filed(url)[0]


def test_play_that_never_ends_is_stopped(registry, url):
    """An episode without end: the policy holds the pulses, and nothing cuts it off."""
    execute(plan_of(registry), RunOptions(url), RunListener())
    with Store(url) as store:
        run = store.runs()[0]
        env, policy = load_policy(store, run.id, registry=registry, environment={"steps": 40}, num_envs=3)
    env.config = env.config.model_copy(update={"steps": 10**9})
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > 200

    played = evaluate_policy(env, policy, episodes=3, should_stop=should_stop)
    assert len(asked) == 201
    assert len(played.returns) == len(played.lengths) == 0


def test_a_policy_that_samples_inside_is_given_its_generator_everywhere(registry, url):
    outcome = execute(plan_of(registry, MANIFEST.replace("cross_entropy", "bits")), RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    evaluations, _, files = filed(url)
    assert evaluations["returns"][0]["return_mean"] > -0.3
    assert files
