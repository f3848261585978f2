"""Runs with a quantizer: teacher, fine-tuning, conversion, evaluations; cut off anywhere and resumed. Toy plugin."""

import json
import re
import threading
import time
from importlib.metadata import EntryPoint

import pytest
from quantized_records import StopAt, Watch, record

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy, run_manifest
from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation import DecisionFidelity
from qecforge.inference.policy import QuantizedPolicy
from qecforge.runs.execute import checkpoint_path, execute
from qecforge.runs.lock import RunLocks, alone

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
quantizer: QUANTIZER
evaluation:
  decision_fidelity: {states: 60}
  search: {episodes: 30, num_envs: 8, runtime: reference}
seeds: [5]
"""
ROUND = "{plugin: round}"
LEARN = "{plugin: learn, fine_tune: {total_steps: 120}}"
PHASES = {
    ROUND: ["teacher", "quantize", "evaluate"],
    LEARN: ["teacher", "fine_tune", "quantize", "evaluate"],
}


@pytest.fixture
def registry(monkeypatch):
    loaded = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: loaded))
    return loaded


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


def text_of(quantizer, text=MANIFEST):
    return text.replace("QUANTIZER", quantizer)


def plan_of(registry, quantizer=LEARN, text=MANIFEST):
    (plan,) = load_manifest(text_of(quantizer, text), registry=registry).runs()
    return plan


@pytest.mark.parametrize("quantizer", [ROUND, LEARN])
def test_a_run_is_filed_whole(registry, url, quantizer):
    watch = Watch()
    plan = plan_of(registry, quantizer)
    outcome = execute(plan, RunOptions(url), watch)
    assert (outcome.status, outcome.identity) == ("finished", plan.identity)
    assert [event for name, event in watch.events if name == "walk"] == ["started", *PHASES[quantizer], "finished"]
    teacher = [event for name, event in watch.events if name == "walk-teacher"]
    assert teacher == ["started", "train", "evaluate", "finished"]
    filed = record(url)
    assert {each["run"][0] for each in filed.values()} == {"finished"}
    walk, alone = filed["walk"], filed["walk-teacher"]
    assert alone["run"][2] == plan.quantization.teacher.identity
    kinds = [kind for kind, _ in walk["artifacts"]]
    assert kinds == (["teacher", "student", "quantized"] if quantizer == LEARN else ["teacher", "quantized"])
    assert walk["artifacts"][0][1] == alone["artifacts"][0][1], "a copy of the teacher's policy, by its content"
    assert set(walk["evaluations"]) == {"decision_fidelity", "decision_fidelity_student", "search"}
    assert set(alone["evaluations"]) == {"search"}
    assert walk["metrics"].get("extra", ([], []))[0] == (list(range(4, 124, 4)) if quantizer == LEARN else [])
    with Store(url) as store:
        run = store.run(outcome.run_id)
        (event,) = [event for event in store.events(run.id) if event.kind == "quantized"]
        assert event.payload["runtime"] == "onnxruntime"
        assert event.payload["instruction_set"]
        assert not checkpoint_path(store, run.id).exists()
        fidelity = DecisionFidelity.from_payload(store.policy_evaluations(run.id)[0].payload)
        assert fidelity.states == 60
        assert sum(fidelity.margin_histogram) + fidelity.margins_above == 60
        env, policy = load_policy(store, run.id, registry=registry, num_envs=3)
        assert isinstance(policy, QuantizedPolicy)
        assert policy.mlp.method == "round"
        assert policy.act(env.reset(seed=0)[0]).shape == (3,)


def test_what_the_integer_policy_finds_is_the_runs(registry, url):
    outcome = execute(plan_of(registry, ROUND), RunOptions(url), RunListener())
    with Store(url) as store:
        (code,) = store.codes(run=outcome.run_id)
        assert (code.distance, code.distance_kind) == (3, "exact")
        assert code.best.attributes["found_in"] == "search"
        search = next(each for each in store.policy_evaluations(outcome.run_id) if each.name == "search")
        assert search.values["codes_found"] == 1.0
        assert search.values["codes_per_hour"] > 0
        assert 0 < search.values["seconds_to_first_code"] <= search.payload["seconds"]
        assert search.values["steps_per_second"] == pytest.approx(search.payload["steps"] / search.payload["seconds"])
        assert (search.payload["episodes"], search.payload["runtime"]["runtime"]) == (32, "reference")
        assert "success_rate" not in search.values, "the environment does not say what a success is"


def test_evaluations_say_that_they_begin_and_how_far_they_are(registry, url):
    class Heard(RunListener):
        def __init__(self):
            self.reports = []

        def on_evaluation(self, plan, name, done, total):
            if plan.name == "walk":
                self.reports.append((name, done, total))

    heard = Heard()
    text = MANIFEST.replace("{states: 60}", "{states: 60, rollouts: both}")
    execute(plan_of(registry, ROUND, text), RunOptions(url), heard)
    names = [name for name, *_ in heard.reports]
    assert list(dict.fromkeys(names)) == ["decision_fidelity", "search"]
    for name in ("decision_fidelity", "search"):
        (begin, *others) = [(done, total) for each, done, total in heard.reports if each == name]
        assert begin == (0, 1)
        assert others[-1][0] == others[-1][1] > 1, "the last report is always told"
        assert [done for done, _ in others] == sorted(done for done, _ in others)


def test_a_teacher_is_trained_once_for_two_quantizers(registry, url):
    text = MANIFEST.replace("quantizer: QUANTIZER\n", "") + f"sweep: {{quantizer: [{ROUND}, {LEARN}]}}\n"
    manifest = load_manifest(text, registry=registry)
    watch = Watch()
    outcomes = run_manifest(manifest, options=RunOptions(url), listener=watch)
    assert [outcome.status for outcome in outcomes] == ["finished", "finished"]
    assert [event for name, event in watch.events if name == "walk-teacher"].count("train") == 1
    with Store(url) as store:
        assert len(store.runs()) == 3
        copies = [artifact.sha256 for artifact in store.artifacts(kind="teacher")]
        assert len(copies) == 2
        assert len(set(copies)) == 1
        assert store.artifacts(kind="policy")[0].sha256 == copies[0]


def test_the_float_manifest_carried_out_before_is_the_teacher(registry, url):
    text = MANIFEST.replace("quantizer: QUANTIZER\n", "").replace("  decision_fidelity: {states: 60}\n", "")
    first = run_manifest(load_manifest(text, registry=registry), options=RunOptions(url))[0]
    watch = Watch()
    outcome = execute(plan_of(registry), RunOptions(url), watch)
    assert {name for name, _ in watch.events} == {"walk"}, "a teacher that is found is not announced as a run"
    with Store(url) as store:
        assert len(store.runs()) == 2
        (event,) = [event for event in store.events(outcome.run_id) if event.kind == "teacher"]
        assert event.payload == {"run": first.run_id}


@pytest.mark.parametrize(
    ("name", "step"), [("walk-teacher", 1), ("walk-teacher", 200), ("walk", 1), ("walk", 60), ("walk", 119)]
)
def test_cancelled_and_resumed_equals_uninterrupted(registry, tmp_path, name, step):
    plan = plan_of(registry)
    whole, parts = (f"sqlite:///{tmp_path}/{each}.db" for each in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())
    listener = StopAt(name, step)
    assert execute(plan, RunOptions(parts), listener, listener.stop.is_set).status == "interrupted"
    with Store(parts) as store:
        statuses = {run.name: (run.status, run.phase) for run in store.runs()}
    teacher = ("interrupted", "train") if name == "walk-teacher" else ("finished", "evaluate")
    assert statuses == {
        "walk": ("interrupted", "teacher" if name == "walk-teacher" else "fine_tune"),
        "walk-teacher": teacher,
    }
    again = Watch()
    assert execute(plan, RunOptions(parts), again).status == "finished"
    assert (name, "resumed") in again.events
    assert record(parts) == record(whole)


KILLED_AT = ["teacher", "fine_tune", "quantize", "evaluate"]


@pytest.mark.parametrize("phase", KILLED_AT)
def test_killed_at_the_begin_of_a_phase_and_resumed(registry, tmp_path, phase, monkeypatch):
    class Kill(RunListener):
        def on_phase(self, plan, begun):
            if plan.name == "walk" and begun == phase:
                monkeypatch.setattr(Store, "add_event", dead)
                dead()

    def dead(*_):
        raise SystemExit  # what is killed files nothing any more

    plan = plan_of(registry)
    whole, parts = (f"sqlite:///{tmp_path}/{each}.db" for each in ("whole", "parts"))
    execute(plan, RunOptions(whole), RunListener())
    with pytest.raises(SystemExit):
        execute(plan, RunOptions(parts), Kill())
    monkeypatch.undo()
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)


def test_finished_runs_are_skipped_and_force_leaves_a_finished_teacher(registry, url):
    plan = plan_of(registry, ROUND)
    execute(plan, RunOptions(url), RunListener())
    before = record(url)
    assert execute(plan, RunOptions(url), RunListener()).status == "skipped"
    watch = Watch()
    assert execute(plan, RunOptions(url, force=True), watch).status == "finished"
    assert {name for name, _ in watch.events} == {"walk"}
    assert record(url) == before


def test_force_begins_an_unfinished_teacher_anew(registry, url):
    plan = plan_of(registry, ROUND)
    listener = StopAt("walk-teacher", 200)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    watch = Watch()
    assert execute(plan, RunOptions(url, force=True), watch).status == "finished"
    assert ("walk-teacher", "started") in watch.events


def test_a_code_found_by_the_teacher_does_not_end_the_fine_tuning(registry, url):
    outcome = execute(
        plan_of(registry, text=MANIFEST + "budget: {stop_at_first_code: true}\n"), RunOptions(url), RunListener()
    )
    with Store(url) as store:
        assert store.metrics(outcome.run_id, "reward").step[-1] == 120
        teacher = next(run for run in store.runs() if run.name == "walk-teacher")
        assert store.metrics(teacher.id, "reward").step[-1] == 40


def test_a_failing_teacher_fails_the_run_by_name(registry, url):
    text = MANIFEST.replace("total_steps: 400", "total_steps: 400, fail_at: 100")
    outcome = execute(plan_of(registry, ROUND, text), RunOptions(url), RunListener())
    with Store(url) as store:
        teacher = next(run for run in store.runs() if run.name == "walk-teacher")
    assert (outcome.status, teacher.status) == ("failed", "failed")
    assert outcome.error == (
        f"RunFailed: its teacher, run {teacher.id}, failed with ArithmeticError: asked to fail at step 100"
    )


def test_a_quantizer_that_gives_no_integers_fails_its_run(registry, url):
    outcome = execute(plan_of(registry, "{plugin: round, foreign: true}"), RunOptions(url), RunListener())
    assert outcome.status == "failed"
    assert re.match(r"PluginError: quantizer round gave a WalkerPolicy, expected .*QuantizedPolicy", outcome.error)


def test_a_teacher_that_another_process_trains_is_waited_for(registry, url):
    plan = plan_of(registry, ROUND)
    execute(plan.quantization.teacher, RunOptions(url), RunListener())
    with Store(url) as store:
        teacher = store.runs()[0].id
    held, done, outcomes = threading.Event(), threading.Event(), []

    def hold():
        with Store(url) as store, RunLocks(store) as locks, alone(locks, teacher, done.is_set):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    waiter = threading.Thread(target=lambda: outcomes.append(execute(plan, RunOptions(url), RunListener())))
    holder.start()
    assert held.wait(30)
    waiter.start()
    with Store(url) as store:
        deadline = time.monotonic() + 30
        while len(store.runs()) < 2 or store.runs(name="walk")[0].phase != "teacher":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert store.runs(name="walk")[0].status == "running"
    assert outcomes == []
    done.set()
    waiter.join(60)
    holder.join(60)
    assert [outcome.status for outcome in outcomes] == ["finished"]


def test_waiting_for_a_teacher_ends_when_the_run_is_cancelled(registry, url):
    plan = plan_of(registry, ROUND)
    execute(plan.quantization.teacher, RunOptions(url), RunListener())
    with Store(url) as store, RunLocks(store) as locks, alone(locks, store.runs()[0].id, lambda: False):
        assert execute(plan, RunOptions(url), RunListener(), lambda: True).status == "interrupted"


def test_a_run_of_the_store_may_be_the_teacher(registry, url):
    first = execute(plan_of(registry, ROUND).quantization.teacher, RunOptions(url), RunListener())
    section = f"{{plugin: round, teacher: {{run: {first.run_id[:6]}}}}}"
    watch = Watch()
    outcome = execute(plan_of(registry, section, MANIFEST.replace("400", "500")), RunOptions(url), watch)
    assert outcome.status == "finished"
    assert [name for name, event in watch.events if event == "train"] == []
    with Store(url) as store:
        assert store.artifacts(outcome.run_id, kind="teacher")[0].sha256 == store.artifacts(first.run_id)[0].sha256


def test_a_manifest_of_another_teacher(registry, url, tmp_path):
    text = MANIFEST.replace("quantizer: QUANTIZER\n", "").replace("  decision_fidelity: {states: 60}\n", "")
    (tmp_path / "float.yaml").write_text(text.replace("name: walk", "name: base").replace("400", "200"))
    (tmp_path / "walk.yaml").write_text(text_of("{plugin: learn, teacher: {manifest: float.yaml}}"))
    outcomes = run_manifest(load_manifest(tmp_path / "walk.yaml", registry=registry), options=RunOptions(url))
    with Store(url) as store:
        assert {run.name for run in store.runs()} == {"walk", "base"}
        base = store.runs(name="base")[0]
        assert json.loads(base.manifest)["agent"]["total_steps"] == 200
        assert store.artifacts(outcomes[0].run_id)[0].sha256 == store.artifacts(base.id)[0].sha256


def refused(registry, url, run_id, text=MANIFEST):
    with pytest.raises((ConfigurationError, StoreError)) as caught:
        execute(
            plan_of(registry, f"{{plugin: round, teacher: {{run: {run_id}}}}}", text), RunOptions(url), RunListener()
        )
    assert "\n" not in str(caught.value)
    with Store(url) as store:
        assert store.runs()[0].status == "interrupted"
    return str(caught.value)


def test_teachers_that_cannot_be_one_are_refused_in_one_line(registry, url):
    plan = plan_of(registry, ROUND)
    listener = StopAt("walk-teacher", 100)
    execute(plan, RunOptions(url), listener, listener.stop.is_set)
    with Store(url) as store:
        half, unfinished = (store.runs(name=name)[0].id for name in ("walk-teacher", "walk"))
    assert f"run {half} (interrupted) left no policy: run its manifest to the end" in refused(registry, url, half)
    assert f"run {unfinished} is quantized itself (by round): name a float run" in refused(registry, url, unfinished)
    assert "there is none of this id in the store" in refused(registry, url, "ffffffff")
    execute(plan, RunOptions(url), RunListener())
    other = refused(registry, url, half, MANIFEST.replace("size: 9", "size: 12"))
    assert other == (
        f"quantizer.teacher: run {half} is from another environment (its environment.size is 9, this run's is 12): "
        "name a teacher that was trained in this one"
    )


def test_a_teacher_for_another_task_of_the_same_shape_is_refused(registry, url):
    execute(plan_of(registry, ROUND).quantization.teacher, RunOptions(url), RunListener())
    with Store(url) as store:
        run = store.runs()[0].id
    said = refused(registry, url, run, MANIFEST.replace("find_at: 40", "find_at: 41"))
    assert "(its environment.find_at is 40, this run's is 41)" in said
