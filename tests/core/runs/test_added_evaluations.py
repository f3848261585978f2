"""What is measured of a run does not change what was trained: evaluations are added to finished runs, and extended."""

import json
import tarfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import ManifestError, StoreError
from qecforge.manifest import RunPlan
from qecforge.runs.evaluating import missing_evaluations
from qecforge.runs.execute import evaluate_run, execute

WALK = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 200}
evaluation: {count: {episodes: 5}}
seeds: [5]
"""
RATES = WALK.replace(
    "count: {episodes: 5}",
    "logical_error_rate: {experiment: memory, p: [0.01], shots: 1000, rounds: 1, decoder: ml_lookup}",
)
STUDENT = WALK.replace("name: walk", "name: student").replace(
    "evaluation: {count: {episodes: 5}}",
    "quantizer: {plugin: learn, fine_tune: {total_steps: 60}}\nevaluation: {decision_fidelity: {states: 64}}",
)


@pytest.fixture
def registry():
    return Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


class Steps(RunListener):
    """Remembers in which runs an agent trained, by name."""

    def __init__(self):
        self.trained, self.extended = set(), []

    def on_extend(self, plan, run_id, evaluations):
        self.extended.append((plan.name, list(evaluations)))

    def on_progress(self, plan, step, total, metrics):
        self.trained.add(plan.name)


def plan_of(text, registry, *overrides):
    (plan,) = load_manifest(text, registry=registry, overrides=overrides).runs()
    return plan


def carry_out(plan, url, **options):
    listener = Steps()
    outcome = execute(plan, RunOptions(url, workers=1, **options), listener)
    assert not (listener.trained and listener.extended)
    return outcome, listener.trained


def evaluations(store, run_id):
    return {each.name: each.values for each in store.policy_evaluations(run_id)}


def test_the_identity_is_that_of_the_training(registry):
    plans = [
        plan_of(WALK, registry),
        plan_of(WALK, registry, "evaluation.count.episodes=9"),
        plan_of(WALK, registry, "evaluation="),
    ]
    assert len({plan.identity for plan in plans}) == 1
    assert len({plan.canonical for plan in plans}) == 3
    assert plan_of(WALK, registry, "agent.total_steps=201").identity != plans[0].identity


def test_more_shots_add_to_those_of_the_run_and_train_nothing(registry, url):
    first, trained = carry_out(plan_of(RATES, registry), url)
    assert trained == {"walk"}
    with Store(url) as store:
        assert [rate.shots for code in store.codes() for rate in store.error_rates(code.id)] == [1000]
    more, trained = carry_out(plan_of(RATES, registry, "evaluation.logical_error_rate.shots=2500"), url)
    assert (more.run_id, more.status, trained) == (first.run_id, "finished", set())
    with Store(url) as store:
        (run,) = store.runs()
        assert run.status == "finished"
        (rate,) = [rate for code in store.codes() for rate in store.error_rates(code.id)]
        assert rate.shots >= 2500
        assert rate.chunks > 1
        assert json.loads(run.manifest)["evaluation"]["logical_error_rate"]["shots"] == 2500
    again, _ = carry_out(plan_of(RATES, registry, "evaluation.logical_error_rate.shots=2500"), url)
    assert again.status == "skipped"


def test_evaluations_are_added_and_changed(registry, url):
    run_id = carry_out(plan_of(WALK, registry), url)[0].run_id
    outcome, trained = carry_out(
        plan_of(WALK, registry, "evaluation.returns.episodes=8", "evaluation.count.episodes=3"), url
    )
    assert (outcome.run_id, outcome.status, trained) == (run_id, "finished", set())
    with Store(url) as store:
        (run,) = store.runs()
        assert evaluations(store, run_id).keys() == {"returns"}
        assert len(store.policy_evaluations(run_id)[0].payload["returns"]) == 8
        assert store.metrics(run_id, "episodes").value.tolist() == [3.0]
        assert store.metrics(run_id, "played").step.tolist() == [0, 1, 2]
        assert len(store.metrics(run_id, "reward")) == 50
        assert json.loads(run.manifest)["evaluation"]["count"] == {"episodes": 3}


def test_the_record_is_that_of_a_run_that_was_asked_for_all_at_once(registry, tmp_path):
    asked = ["evaluation.search.episodes=30", "evaluation.logical_error_rate={p: [0.1], shots: 100}"]
    asked.append("evaluation.logical_error_rate.experiment=code_capacity")
    found = []
    for name, stages in (("once", [asked]), ("later", [[], asked[1:], asked])):
        url = f"sqlite:///{tmp_path}/{name}.db"
        for overrides in stages:
            assert carry_out(plan_of(WALK, registry, *overrides), url)[0].status == "finished"
        with Store(url) as store:
            (run,) = store.runs()
            codes = [(code.digest, code.best.step, code.best.attributes) for code in store.codes()]
            rates = [(rate.task, rate.errors) for code in store.codes() for rate in store.error_rates(code.id)]
            names = store.metric_names(run.id)
            series = [store.metrics(run.id, name).value.tolist() for name in names]
            found.append((run.identity, run.manifest, codes, rates, names, series))
    assert found[0] == found[1]


def test_a_student_and_its_teacher_are_evaluated_further(registry, url):
    plan = plan_of(STUDENT, registry)
    first, trained = carry_out(plan, url)
    assert trained == {"student", "student-teacher"}
    more, trained = carry_out(plan_of(STUDENT, registry, "evaluation.search.episodes=4"), url)
    assert (more.run_id, more.status, trained) == (first.run_id, "finished", set())
    with Store(url) as store:
        assert {run.name: set(evaluations(store, run.id)) for run in store.runs()} == {
            "student": {"decision_fidelity", "decision_fidelity_student", "search"},
            "student-teacher": {"search"},
        }


def test_an_evaluation_that_fails_leaves_the_run_finished(registry, url):
    run_id = carry_out(plan_of(WALK, registry), url)[0].run_id
    with pytest.MonkeyPatch.context() as patch:
        from qecforge.runs import evaluating

        def broken(*arguments):
            raise ArithmeticError("no result")

        patch.setattr(evaluating, "CARRIED_OUT_BY", {**evaluating.CARRIED_OUT_BY, "search": broken})
        wanted = plan_of(WALK, registry, "evaluation.returns.episodes=8", "evaluation.search.episodes=4")
        outcome, _ = carry_out(wanted, url)
    assert (outcome.status, outcome.error) == ("failed", "ArithmeticError: no result")
    with Store(url) as store:
        run = store.run(run_id)
        assert run.status == "finished"
        assert missing_evaluations(wanted, run) == ["search"]
        assert [event.kind for event in store.events(run_id)] == ["trained", "error"]
    assert carry_out(wanted, url)[0].status == "finished"
    with Store(url) as store:
        assert missing_evaluations(wanted, store.run(run_id)) == []


def test_a_cancelled_one_keeps_what_is_through(registry, url):
    run_id = carry_out(plan_of(WALK, registry), url)[0].run_id
    wanted = plan_of(WALK, registry, "evaluation.returns.episodes=8", "evaluation.search.episodes=4")
    with Store(url) as store:
        stop = lambda: "returns" in evaluations(store, run_id)  # noqa: E731
        assert execute(wanted, RunOptions(url), RunListener(), stop).status == "interrupted"
        run = store.run(run_id)
        assert (run.status, missing_evaluations(wanted, run)) == ("finished", ["search"])


def test_a_run_of_the_store_is_evaluated_without_its_manifest(registry, url):
    run_id = carry_out(plan_of(WALK, registry), url)[0].run_id
    with Store(url) as store:
        run = store.run(run_id)
        plan = RunPlan.from_canonical(run.manifest, registry, overrides=["evaluation.returns.episodes=8"])
        assert evaluate_run(run_id[:6], plan, RunOptions(url), RunListener()).status == "finished"
        assert evaluate_run(run_id, plan, RunOptions(url), RunListener()).status == "skipped"
        assert evaluations(store, run_id).keys() == {"returns"}
        with pytest.raises(ManifestError, match=r"evaluation\.return: .*Did you mean 'returns'"):
            RunPlan.from_canonical(run.manifest, registry, overrides=["evaluation.return={}"])
        store.mark_run(run_id, "interrupted")
        with pytest.raises(StoreError, match="is interrupted: run its manifest to the end"):
            evaluate_run(run_id, plan, RunOptions(url), RunListener())


def test_an_unfinished_run_takes_the_evaluations_of_the_manifest_that_ends_it(registry, url):
    stops = iter([False] * 20 + [True] * 1000)
    execute(plan_of(WALK, registry), RunOptions(url), RunListener(), lambda: next(stops))
    outcome, _ = carry_out(plan_of(WALK, registry, "evaluation={returns: {episodes: 8}}"), url)
    assert outcome.status == "finished"
    with Store(url) as store:
        (run,) = store.runs()
        assert json.loads(run.manifest)["evaluation"].keys() == {"returns"}
        assert "played" not in store.metric_names(run.id)


def test_evaluations_are_not_swept(registry):
    with pytest.raises(ManifestError, match=r"is the same run as .*`qecforge runs evaluate` adds more"):
        load_manifest(WALK + "sweep: {evaluation.count.episodes: [5, 6]}\n", registry=registry)
    text = WALK + "sweep: {evaluation.count.episodes: [5], agent.total_steps: [40, 80]}\n"
    assert len(load_manifest(text, registry=registry).runs()) == 2


@pytest.fixture
def old(tmp_path):
    """The folder of a store of schema 0001, when runs were identified by their evaluations too: a float run, evaluated
    in two ways; one interrupted at step 100; students of a teacher of their own and of one that a manifest names."""
    with tarfile.open(Path(__file__).parent / "assets" / "store_0001.tar.gz") as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # Python 3.11.4
    return tmp_path


def test_runs_of_an_old_store_are_recognised(registry, old):
    url = f"sqlite:///{old}/runs_0001.db"
    with Store(url) as store:
        ids = {run.id for run in store.runs()}
        assert len({run.identity for run in store.runs()}) == len(ids) == 7
    for source in (STUDENT, old / "named.yaml"):
        assert carry_out(plan_of(source, registry), url)[0].status == "skipped"
    for source, *overrides in ((WALK, "evaluation.count.episodes=7"), (STUDENT, "evaluation.search.episodes=4")):
        outcome, trained = carry_out(plan_of(source, registry, *overrides), url)
        assert (outcome.status, trained) == ("finished", set())
    with Store(url) as store:
        assert {run.id for run in store.runs()} == ids


def test_an_old_checkpoint_is_resumed(registry, old, tmp_path):
    url, whole = f"sqlite:///{old}/runs_0001.db", f"sqlite:///{tmp_path}/whole.db"
    text = WALK.replace("[5]", "[7]")
    assert carry_out(plan_of(text, registry), whole)[0].status == "finished"
    steps = []

    class Told(RunListener):
        def on_progress(self, plan, step, total, metrics):
            steps.append(step)

    assert execute(plan_of(text, registry), RunOptions(url), Told()).status == "finished"
    assert steps[0] == 100
    found = []
    for each in (url, whole):
        with Store(each) as store:
            (run,) = store.runs(seed=7)
            found.append((run.identity, [each.sha256 for each in store.artifacts(run.id)]))
    assert found[0] == found[1]


def test_codes_of_a_search_have_the_clock_and_the_steps_of_the_run(registry, url):
    """The training finds nothing here; the search, whose environment counts from 0, finds the code at its step 300."""
    text = WALK.replace("find_at: 40", "find_at: 300")
    text = text.replace("count: {episodes: 5}", "search: {episodes: 2000, num_envs: 4}")
    outcome, _ = carry_out(plan_of(text, registry), url)
    with Store(url) as store:
        (code,) = store.codes()
        found = code.best
        assert (found.step, found.attributes["found_in"]) == (200 + 300, "search")
        last = store.metrics(outcome.run_id, "reward").wall_time[-1]
        assert last <= found.wall_time <= store.run(outcome.run_id).seconds


def test_pauses_do_not_count(registry, url):
    stops = iter([False] * 20 + [True] * 1000)
    plan = plan_of(WALK, registry)
    assert execute(plan, RunOptions(url), RunListener(), lambda: next(stops)).status == "interrupted"
    with Store(url) as store:
        (run,) = store.runs()
        first = run.seconds
        assert first > 0
        with store._database.writing() as connection:
            connection.exec_driver_sql("UPDATE runs SET started_at = '2001-01-01 00:00:00.000000'")
    assert carry_out(plan, url)[0].status == "finished"
    with Store(url) as store:
        (run,) = store.runs()
        assert first < run.seconds < 600
        assert run.started_at.year == 2001
        store.restart_run(run.id)
        assert store.run(run.id).seconds is None
