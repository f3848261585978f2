"""The quantizers that come with qecforge, from teacher to integers, each whole and cut off in both of its stages."""

import pytest
from quantized_records import StopAt, record

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy, run_manifest
from qecforge.evaluation import DecisionFidelity
from qecforge.inference.integer import run_reference
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: real
environment: {plugin: code_discovery, n: 4, k: 1, target_distance: 2, max_gates: 12, gates: [h, cx]}
reward: {plugin: knill_laflamme}
agent:
  plugin: ppo
  total_steps: 2048
  num_envs: 16
  horizon: 16
  minibatch_size: 128
  policy: {hidden_sizes: [32, 16], activation: gelu}
evaluation:
  decision_fidelity: {states: 300}
  search: {episodes: 32, runtime: native}
  logical_error_rate: {noise: depolarizing, p: [0.01], shots: 1000, extraction: bare}
seeds: [3]
"""
TRAINED = {
    name: f"{{plugin: {name}, fine_tune: {{total_steps: 1024, learning_rate: 1e-3}}}}" for name in ("lsq", "apq")
}
DISTILLED = "{plugin: distil, bits: 6, states: 600, updates: 120, minibatch_size: 64, held_out_states: 100}"
ALL = {"ptq": "ptq", "smoothquant": "smoothquant", **TRAINED, "distil": DISTILLED}
CUTS = [(name, *cut) for name in TRAINED for cut in (("real-teacher", 1024), ("real", 256), ("real", 768))]


def plan_of(quantizer, text=MANIFEST):
    (plan,) = load_manifest(f"{text}quantizer: {quantizer}\n", registry=Registry.load()).runs()
    return plan


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """URL of a store with a run of each quantizer, and the names of the quantizers by run."""
    url = f"sqlite:///{tmp_path_factory.mktemp('real')}/results.db"
    manifest = load_manifest(f"{MANIFEST}sweep: {{quantizer: [{', '.join(ALL.values())}]}}\n", registry=Registry.load())
    outcomes = run_manifest(manifest, options=RunOptions(url))
    assert [outcome.status for outcome in outcomes] == ["finished"] * len(ALL)
    return url, {name: outcome.run_id for name, outcome in zip(ALL, outcomes, strict=True)}


def test_all_start_from_one_teacher(finished):
    url, runs = finished
    with Store(url) as store:
        assert len(store.runs()) == len(ALL) + 1
        assert len({artifact.sha256 for artifact in store.artifacts(kind="teacher")}) == 1
        assert {run.quantizer: run.id for run in store.runs() if run.quantizer} == runs


@pytest.mark.parametrize("name", ALL)
def test_the_result_is_integers_that_decide_much_like_the_teacher(finished, name):
    url, runs = finished
    with Store(url) as store:
        evaluations = {each.name: each for each in store.policy_evaluations(runs[name])}
        env, policy = load_policy(store, runs[name], registry=Registry.load(), num_envs=64)
        assert store.codes(run=runs[name], min_distance=2)
        assert store.error_rates(store.codes(run=runs[name], order_by=("-distance", "gate_count"))[0].id)
    assert policy.mlp.method == name
    observations, _ = env.reset(seed=1)
    assert (policy.logits(observations).argmax(1) == run_reference(policy.mlp, observations).argmax(1)).all()
    for whose in ("", "_student"):
        fidelity = DecisionFidelity.from_payload(evaluations[f"decision_fidelity{whose}"].payload)
        assert fidelity.states == 300
        assert evaluations[f"decision_fidelity{whose}"].values[f"top1_agreement{whose}"] == fidelity.top1
        assert fidelity.tau > 0.3
        if name not in TRAINED:  # what the agent learns while it fine-tunes, a student may well decide otherwise
            assert fidelity.top1 > 0.8
    assert evaluations["search"].payload["runtime"]["runtime"] == "native"
    assert evaluations["search"].values["success_rate"] > 0


@pytest.mark.parametrize(("name", "stage", "step"), [*CUTS, ("distil", "real", 50)])
def test_cut_off_in_either_stage_and_resumed_equals_uninterrupted(finished, tmp_path, name, stage, step):
    plan = plan_of(ALL[name])
    url = f"sqlite:///{tmp_path}/parts.db"
    listener = StopAt(stage, step)
    assert execute(plan, RunOptions(url), listener, listener.stop.is_set).status == "interrupted"
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    parts = record(url)
    whole_url, runs = finished
    with Store(whole_url) as store:
        identities = {store.run(runs[name]).identity, plan.quantization.teacher.identity}
    whole = {
        each["run"][2]: each for each in record(whole_url, by_identity=True).values() if each["run"][2] in identities
    }
    assert {each["run"][2]: each for each in parts.values()} == whole


def test_int8_actors_train_a_student_and_are_resumed_bit_for_bit(tmp_path):
    text = MANIFEST.replace("plugin: ppo", "plugin: ppo\n  actor: int8")
    plan = plan_of(TRAINED["apq"], text)
    whole, parts = (f"sqlite:///{tmp_path}/{each}.db" for each in ("whole", "parts"))
    assert execute(plan, RunOptions(whole), RunListener()).status == "finished"
    for stage in ("real-teacher", "real"):
        listener = StopAt(stage, 512)
        assert execute(plan, RunOptions(parts), listener, listener.stop.is_set).status == "interrupted"
    assert execute(plan, RunOptions(parts), RunListener()).status == "finished"
    assert record(parts) == record(whole)
