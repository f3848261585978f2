"""Runs of an agent with a replay buffer: rows in checkpoints, tests while training, and resumes between episodes."""

import threading
from importlib.metadata import EntryPoint

import off_policy_plugin
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import CheckpointError
from qecforge.runs.checkpoints import load_checkpoint
from qecforge.runs.execute import checkpoint_path, execute

MANIFEST = """\
qecforge: 1
name: replay
environment: {plugin: corridor}
agent: {plugin: learner, total_steps: 2000}
seeds: [5]
"""


@pytest.fixture
def registry():
    return Registry.load([EntryPoint("off_policy", "off_policy_plugin", "qecforge")])


@pytest.fixture(autouse=True)
def made():
    off_policy_plugin.MADE.clear()
    off_policy_plugin.Sharing.common = None
    return off_policy_plugin.MADE


def plan_of(registry, environment="corridor", **agent):
    settings = ", ".join(
        f"{name}: {value}" for name, value in ({"plugin": "learner", "total_steps": 2000} | agent).items()
    )
    text = MANIFEST.replace("corridor", environment).replace("plugin: learner, total_steps: 2000", settings)
    (plan,) = load_manifest(text, registry=registry).runs()
    return plan


class CancelAt(RunListener):
    """Cancels once the agent has reported `step`."""

    def __init__(self, step):
        self.step, self.stop = step, threading.Event()

    def on_progress(self, plan, step, total, metrics):
        if step >= self.step:
            self.stop.set()


def url(folder, name):
    return f"sqlite:///{folder}/{name}.db"


def interrupt(plan, store, step):
    listener = CancelAt(step)
    assert execute(plan, RunOptions(store), listener, listener.stop.is_set).status == "interrupted"
    with Store(store) as opened:
        return checkpoint_path(opened, opened.runs()[0].id)


def record(store):
    """Policy and metrics, those of tests and times aside; and the tests."""
    with Store(store) as opened:
        (run,) = opened.runs()
        series = {name: opened.metrics(run.id, name) for name in ("value", "rows", "episode_return", "test/ended")}
        values = {name: (each.step.tolist(), each.value.tolist()) for name, each in series.items()}
        tests = values.pop("test/ended")
        return (run.status, [each.sha256 for each in opened.artifacts(run.id)], values), tests


def test_testing_while_training_changes_nothing_in_it(registry, tmp_path, made):
    for name, options in (("plain", {}), ("tested", {"test_every": 3})):
        execute(plan_of(registry, **options), RunOptions(url(tmp_path, name)), RunListener())
    (plain, nothing), (tested, tests) = record(url(tmp_path, "plain")), record(url(tmp_path, "tested"))
    assert plain == tested
    assert plain[0] == "finished"
    assert nothing == ([], [])
    assert len(tests[0]) == 2000 // 40 // 3
    assert tests[1][-1] > tests[1][0], "the policy did not get better"


def test_an_environment_that_shares_its_generator_is_noticed_by_that(registry, tmp_path):
    """Mutation of the test above: were environments to share state, plain and tested runs would differ."""
    for name, options in (("plain", {}), ("tested", {"test_every": 3})):
        off_policy_plugin.Sharing.common = None
        execute(plan_of(registry, "sharing", **options), RunOptions(url(tmp_path, name)), RunListener())
    assert record(url(tmp_path, "plain"))[0] != record(url(tmp_path, "tested"))[0]


def test_each_purpose_has_an_environment_of_its_own_seed_closed_at_the_end(registry, tmp_path, made, monkeypatch):
    seen = []

    def test(learner, env):
        again, other = (learner.context.make_environment(what, 3) for what in ("test returns", "something else"))
        as_many = learner.context.make_environment("as many")
        seen.extend([env, again, other, as_many, learner.env])
        assert not any(each.closed for each in seen)
        return 0.0

    monkeypatch.setattr(off_policy_plugin.Learner, "test", test)
    execute(plan_of(registry, test_every=50), RunOptions(url(tmp_path, "a")), RunListener())
    env, again, other, as_many, training = seen
    assert env.seed == again.seed
    assert len({env.seed, other.seed, as_many.seed, training.seed}) == 4
    assert [each.num_envs for each in seen] == [8, 3, 3, 4, 4]
    assert all(each.closed for each in made)


def test_environments_are_closed_where_the_training_fails_or_is_interrupted(registry, tmp_path, made):
    outcome = execute(plan_of(registry, test_every=2, fail_at=200), RunOptions(url(tmp_path, "a")), RunListener())
    assert outcome.status == "failed"
    interrupt(plan_of(registry, test_every=2), url(tmp_path, "b"), 200)
    assert len(made) == 4
    assert all(each.closed for each in made)


@pytest.mark.parametrize("step", [0, 400, 1999], ids=lambda step: f"at {step}")
def test_resumed_with_its_rows_equals_uninterrupted(registry, tmp_path, step):
    plan = plan_of(registry, test_every=4)
    execute(plan, RunOptions(url(tmp_path, "whole")), RunListener())
    path = interrupt(plan, url(tmp_path, "parts"), step)
    assert len(list(path.parent.glob("training.ckpt.*.rows"))) == (step > 0)
    assert execute(plan, RunOptions(url(tmp_path, "parts")), RunListener()).status == "finished"
    assert record(url(tmp_path, "parts")) == record(url(tmp_path, "whole"))
    assert not path.parent.exists()


def test_rows_are_appended_from_save_to_save(registry, tmp_path):
    """A checkpoint at every report; the ring of 300 rows comes round several times."""

    class Watch(RunListener):
        sizes = ()

        def on_progress(self, plan, step, total, metrics):
            folder = tmp_path / "a.artifacts" / "checkpoints"
            self.sizes = (*self.sizes, sum(each.stat().st_size for each in folder.glob("*/*.rows")))

    watch = Watch()
    plan = plan_of(registry)
    options = RunOptions(url(tmp_path, "a"), checkpoint_seconds=0.0)
    assert execute(plan, options, watch).status == "finished"
    row = 2 * 4 * off_policy_plugin.CELLS + 8 + 4 + 1
    assert watch.sizes[2] == 40 * row
    assert max(watch.sizes) == 300 * row


def test_a_damaged_segment_interrupts_the_run_in_one_line(registry, tmp_path):
    plan = plan_of(registry)
    path = interrupt(plan, url(tmp_path, "a"), 400)
    (segment,) = path.parent.glob("*.rows")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    with pytest.raises(
        CheckpointError, match=r"\.rows: damaged rows of a checkpoint .* start the run anew with `force`$"
    ):
        execute(plan, RunOptions(url(tmp_path, "a")), RunListener())
    segment.write_bytes(whole)
    assert execute(plan, RunOptions(url(tmp_path, "a")), RunListener()).status == "finished"


def test_a_run_that_is_forced_leaves_no_rows_of_before(registry, tmp_path):
    plan = plan_of(registry)
    path = interrupt(plan, url(tmp_path, "a"), 400)
    listener = CancelAt(0)
    execute(plan, RunOptions(url(tmp_path, "a"), force=True), listener, listener.stop.is_set)
    assert [each.name for each in path.parent.iterdir()] == ["training.ckpt"]


@pytest.mark.parametrize(("environment", "agent"), [("unsaved", "learner"), ("corridor", "forgetful")])
def test_a_run_that_resumes_between_episodes_begins_new_ones(registry, tmp_path, made, environment, agent):
    plan = plan_of(registry, environment, plugin=agent, test_every=4)
    for name in ("a", "b"):
        path = interrupt(plan, url(tmp_path, name), 400)
    state = load_checkpoint(path)
    assert (state["step"], state["agent"]["step"]) == (400, 400)
    made.clear()
    for name in ("a", "b"):
        assert execute(plan, RunOptions(url(tmp_path, name)), RunListener()).status == "finished"
    assert record(url(tmp_path, "a")) == record(url(tmp_path, "b")), "a resume is no longer determined"
    first, begun = made[0].resets
    assert first == plan.seed
    assert begun not in (None, plan.seed), "the episodes of the beginning are played again"
    execute(plan, RunOptions(url(tmp_path, "whole")), RunListener())
    (_, _, whole), _ = record(url(tmp_path, "whole"))
    (_, _, resumed), _ = record(url(tmp_path, "a"))
    assert resumed["rows"] == whole["rows"], "rows were lost or counted twice"
    assert resumed["value"][1][:10] == whole["value"][1][:10]
    assert resumed["value"][1][10:] != whole["value"][1][10:]


def test_where_both_resume_to_the_bit_nothing_is_begun_anew(registry, tmp_path, made):
    plan = plan_of(registry)
    interrupt(plan, url(tmp_path, "a"), 400)
    made.clear()
    execute(plan, RunOptions(url(tmp_path, "a")), RunListener())
    assert made[0].resets == [plan.seed]
