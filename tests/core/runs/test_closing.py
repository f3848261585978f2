"""For everything that is made there is one close: however a run, an evaluation or the taking of a policy ends."""

import threading
from importlib.metadata import EntryPoint

import pytest
from counted_plugin import MADE, open_things

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.contracts import closing, closing_on_error
from qecforge.errors import CheckpointError, RunFailed
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: counted
environment: {plugin: counted_walk}
reward: position
agent: {plugin: counted_walker, total_steps: 400}
QUANTIZER
evaluation: {count: {episodes: 5}, search: {episodes: 4}EVALUATION}
seeds: [5]
"""


@pytest.fixture
def registry():
    points = [EntryPoint("counted", "counted_plugin", "qecforge"), EntryPoint("toy", "toy_plugin", "qecforge")]
    MADE.clear()
    return Registry.load(points)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


def plan_of(registry, *overrides, quantizer=None, evaluation=""):
    text = MANIFEST.replace("QUANTIZER", "" if quantizer is None else f"quantizer: {quantizer}")
    (plan,) = load_manifest(text.replace("EVALUATION", evaluation), registry=registry, overrides=overrides).runs()
    return plan


def made(what):
    return sum(each.what == what for each in MADE)


class Stop(RunListener):
    """Cancels, or raises KeyboardInterrupt, once the agent has reported `step`; or at a phase."""

    def __init__(self, step=10**9, *, phase=None, raises=False):
        self.step, self.phase, self.raises, self.stop = step, phase, raises, threading.Event()

    def on_progress(self, plan, step, total, metrics):
        if step >= self.step:
            self.halt()

    def on_phase(self, plan, phase):
        if phase == self.phase:
            self.halt()

    def halt(self):
        if self.raises:
            raise KeyboardInterrupt
        self.stop.set()


def test_a_run_that_ends_well(registry, url):
    assert execute(plan_of(registry), RunOptions(url), RunListener()).status == "finished"
    assert open_things() == {}
    assert [made(what) for what in ("environment", "reward", "compiled reward")] == [4, 4, 4]


@pytest.mark.parametrize("quantizer", ["round", "learn"])
def test_a_quantized_run_that_ends_well(registry, url, quantizer):
    plan = plan_of(registry, quantizer=quantizer, evaluation=", decision_fidelity: {states: 60, rollouts: both}")
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    assert open_things() == {}
    assert made("environment") == made("reward") == {"round": 11, "learn": 12}[quantizer]


@pytest.mark.parametrize(
    ("overrides", "quantizer", "evaluation", "error"),
    [
        (["agent.fail_at=80"], None, "", "ArithmeticError: asked to fail at step 80"),
        (["agent.fail_at=80"], "round", "", "RunFailed: its teacher"),
        (["agent.fail_at=396"], "{plugin: learn, fine_tune: {total_steps: 800}}", "", "RunFailed: its teacher"),
        ([], "{plugin: learn, fine_tune: {fail_at: 40}}", "", "ArithmeticError: asked to fail at step 40"),
        ([], "{plugin: round, foreign: true}", "", "PluginError: quantizer round gave"),
        ([], None, ", broken: {}", "ArithmeticError: asked to fail in the evaluation"),
        (["environment.fail_to_begin=true"], None, "", "ArithmeticError: asked to fail when it is made"),
    ],
    ids=["agent", "teacher", "teacher_of_learn", "fine_tuning", "foreign", "evaluation", "environment"],
)
def test_a_run_that_fails(registry, url, overrides, quantizer, evaluation, error):
    plan = plan_of(registry, *overrides, quantizer=quantizer, evaluation=evaluation)
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert outcome.error.startswith(error)
    assert MADE
    assert open_things() == {}


@pytest.mark.parametrize("raises", [False, True], ids=["cancelled", "second_signal"])
@pytest.mark.parametrize("where", [120, "evaluate", "fine_tune", "quantize"])
def test_a_run_that_is_stopped(registry, url, where, raises):
    quantized = where in ("fine_tune", "quantize")
    listener = Stop(phase=where, raises=raises) if isinstance(where, str) else Stop(where, raises=raises)
    plan = plan_of(registry, quantizer="learn" if where == "fine_tune" else "round" if quantized else None)
    assert execute(plan, RunOptions(url), listener, listener.stop.is_set).status == "interrupted"
    assert made("environment")
    assert open_things() == {}
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    assert open_things() == {}


def test_a_ctrl_c_in_an_evaluation(registry, url):
    plan = plan_of(registry, evaluation=", broken: {interrupt: true}")
    assert execute(plan, RunOptions(url), RunListener()).status == "interrupted"
    assert open_things() == {}


def test_the_policy_that_a_run_left_comes_with_an_environment_of_the_callers(registry, url):
    run_id = execute(plan_of(registry), RunOptions(url), RunListener()).run_id
    MADE.clear()
    with Store(url) as store:
        env, policy = load_policy(store, run_id, registry=registry)
        with closing(env, "environment"):
            assert policy.act(env.reset(seed=0)[0]).shape == (4,)
            assert [each.closes for each in MADE] == [0, 0, 0]
        env.close()
        assert [each.closes for each in MADE] == [1, 1, 1]
        store.add_artifact(run_id, "policy", "policy.safetensors", b"damaged")
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load_policy(store, run_id, registry=registry)
    assert len(MADE) == 6
    assert open_things() == {}


def test_a_close_that_raises_ends_the_run_in_one_line(registry, url):
    outcome = execute(plan_of(registry, "environment.fail_to_close=true"), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert outcome.error == ("RunFailed: environment counted_walk cannot be closed: OSError: the sandbox did not end")
    assert open_things() == {}


def test_a_close_that_raises_does_not_hide_the_first_error(registry, url):
    plan = plan_of(registry, "environment.fail_to_close=true", "agent.fail_at=80")
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.error == "ArithmeticError: asked to fail at step 80"
    with Store(url) as store:
        (event,) = [each for each in store.events(outcome.run_id) if each.kind == "error"]
    assert "environment counted_walk cannot be closed: OSError: the sandbox did not end" in event.payload["traceback"]
    assert open_things() == {}


class Thing:
    def __init__(self, error=None):
        self.closes, self.error = 0, error

    def close(self):
        self.closes += 1
        if self.error is not None:
            raise self.error


def test_closing_on_error_hands_on_what_went_well():
    good, bad = Thing(), Thing()
    with closing_on_error(good, "a thing") as same:
        assert same is good
    with pytest.raises(KeyError), closing_on_error(bad, "a thing"):
        raise KeyError("no")
    assert (good.closes, bad.closes) == (0, 1)


def test_closing_says_in_one_line_what_could_not_be_closed():
    thing = Thing(OSError("gone\nfor good"))
    with pytest.raises(RunFailed) as raised, closing(thing, "reward x"):
        pass
    assert str(raised.value) == "reward x cannot be closed: OSError: gone for good"
    assert raised.value.__cause__ is thing.error
    with pytest.raises(KeyboardInterrupt) as stopped, closing(thing, "reward x"):
        raise KeyboardInterrupt
    assert stopped.value.__notes__ == ["reward x cannot be closed: OSError: gone for good"]
    assert thing.closes == 2
