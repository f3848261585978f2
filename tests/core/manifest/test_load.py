from __future__ import annotations

import json
import pickle

import pytest
from manifest_fakes import MANIFEST, AgentConfig, CodeConfig, RewardConfig, science_registry

from qecforge.errors import ManifestError, PluginError
from qecforge.evaluation import LogicalErrorRateConfig
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE, RETURNS
from qecforge.manifest import Evaluation, RunPlan, load_manifest


def minimal(**sections: str) -> str:
    """A manifest of a few sections, given as YAML."""
    lines = {"qecforge": "1", "name": "m", "environment": "both", "agent": "chooser"} | sections
    return "\n".join(f"{key}: {value}" for key, value in lines.items() if value)


def plan(registry, **sections: str) -> RunPlan:
    (only,) = load_manifest(minimal(**sections), registry=registry).runs()
    return only


def test_a_manifest_becomes_one_plan_for_each_combination_and_seed(registry):
    manifest = load_manifest(MANIFEST, registry=registry)
    plans = manifest.runs()
    assert [(each.seed, each.sweep_point) for each in plans] == [
        (0, {"agent.learning_rate": 3e-4}),
        (1, {"agent.learning_rate": 3e-4}),
        (0, {"agent.learning_rate": 1e-3}),
        (1, {"agent.learning_rate": 1e-3}),
    ]
    assert [each.agent.config.learning_rate for each in plans] == [3e-4, 3e-4, 1e-3, 1e-3]
    assert len({each.identity for each in plans}) == 4
    assert (manifest.name, manifest.seeds, manifest.source, manifest.text) == ("steane", (0, 1), None, MANIFEST)
    assert manifest.checkpoint.every_seconds == 30.0
    first = plans[0]
    assert first.environment.spec.name == "codes"
    assert first.environment.config == CodeConfig(n=7, k=1, gates=frozenset({"h", "cx", "s"}))
    assert first.reward is not None
    assert first.reward.config == RewardConfig(scale=10.0)
    assert first.agent.config == AgentConfig(total_steps=500_000, learning_rate=3e-4)
    assert (first.agent.distribution, first.agent.version) == ("fake-science", "1.2.3")
    assert first.evaluation.of(LOGICAL_ERROR_RATE) == LogicalErrorRateConfig(p=[1e-3, 1e-2], shots=1000)
    assert (first.name, first.source_text, first.quantization) == ("steane", MANIFEST, None)


def test_what_is_left_out_has_defaults(registry):
    only = plan(registry)
    assert only.seed == 0
    assert only.reward is None
    assert only.evaluation == Evaluation()
    assert only.budget.seconds is None
    assert not only.budget.stop_at_first_code
    assert only.sweep_point == {}


def test_a_plugin_may_be_named_alone(registry):
    assert plan(registry, environment="{plugin: both}", agent="{plugin: chooser}") == plan(registry)
    assert plan(registry, reward="knill") == plan(registry, reward="{plugin: knill}")


def test_native_is_the_default_reward(registry):
    assert plan(registry, reward="native") == plan(registry)


def test_a_file_is_read_and_named(registry, tmp_path):
    path = tmp_path / "steane.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MANIFEST.encode())
    manifest = load_manifest(path, registry=registry)
    assert manifest.source == str(path)
    assert manifest.text == MANIFEST
    assert manifest.runs() == load_manifest(MANIFEST, registry=registry).runs()


def test_evaluations_of_the_environment_are_configured(registry):
    only = plan(registry, evaluation="{agreement: {episodes: 3}}")
    ((spec, config),) = only.evaluation.others
    assert (spec.name, config.episodes) == ("agreement", 3)
    assert only.evaluation.of(LOGICAL_ERROR_RATE) is None


def test_evaluations_stand_in_the_order_in_which_they_run(registry):
    asked = "{posture: {episodes: 4}, returns: {}, decision_fidelity: {}, logical_error_rate: {shots: 5}, search: {}}"
    environment = "{plugin: codes, n: 5}"
    text = minimal(environment=environment, reward="knill", agent="chooser", quantizer="round", evaluation=asked)
    (only,) = load_manifest(text.replace("posture: {episodes: 4}, ", ""), registry=registry).runs()
    assert only.evaluation.names == ["decision_fidelity", "returns", "search", "logical_error_rate"]
    assert only.evaluation.of(LOGICAL_ERROR_RATE).shots == 5
    assert only.evaluation.of(RETURNS).episodes == 100
    teacher = only.quantization.teacher.evaluation
    assert teacher.names == ["returns", "search", "logical_error_rate"]


def test_evaluations_of_the_agent_come_after_the_environments(registry):
    text = minimal(environment="body", agent="coach", evaluation="{posture: {episodes: 4}, returns: {}, agreement: {}}")
    (only,) = load_manifest(text, registry=registry).runs()
    assert only.evaluation.names == ["returns", "agreement", "posture"]
    assert [config.episodes for _, config in only.evaluation.others] == [10, 4]
    written = json.loads(only.canonical)["evaluation"]
    assert written == {
        "agreement": {"episodes": 10},
        "posture": {"episodes": 4},
        "returns": {"deterministic": True, "episodes": 100},
    }
    assert RunPlan.from_canonical(only.canonical, registry).evaluation == only.evaluation
    (both,) = load_manifest(minimal(agent="coach", evaluation="{posture: {}}"), registry=registry).runs()
    assert [spec.name for spec, _ in both.evaluation.others] == ["posture"]


def test_an_evaluation_may_refuse_the_parts_of_a_run(registry):
    with pytest.raises(
        ManifestError, match=r"evaluation\.agreement: episodes: 2000000 is too many for AgentConfig: give fe"
    ):
        plan(registry, evaluation="{agreement: {episodes: 2_000_000}}")


@pytest.mark.parametrize("section", ["quantizer", "evaluation"])
def test_null_asks_for_nothing(registry, section):
    assert plan(registry, **{section: "null"}) == plan(registry)


def test_budget_and_checkpoint(registry):
    text = minimal(
        environment="{plugin: codes, n: 5}", reward="knill", budget="{seconds: 60, stop_at_first_code: true}"
    )
    manifest = load_manifest(f"{text}\ncheckpoint: {{every_seconds: 5}}", registry=registry)
    assert manifest.checkpoint.every_seconds == 5.0
    assert manifest.runs()[0].budget.seconds == 60.0
    assert manifest.runs()[0].budget.stop_at_first_code


def test_a_quantizer_may_name_its_teacher(registry):
    only = plan(registry, quantizer="{plugin: round, bits: 4, teacher: {run: 12ab}}")
    assert only.quantization is not None
    assert only.quantization.quantizer.config.bits == 4
    assert only.quantization.teacher == "12ab"
    assert RunPlan.from_canonical(only.canonical, registry).quantization == only.quantization
    assert only != plan(registry, quantizer="{plugin: round, bits: 4}")


def test_a_whole_number_may_be_written_as_a_float(registry):
    only = plan(registry, agent="{plugin: chooser, total_steps: 1e3}")
    assert only == plan(registry)


def test_a_plan_is_rebuilt_from_its_canonical_text(registry):
    for each in load_manifest(MANIFEST, registry=registry).runs():
        again = RunPlan.from_canonical(
            each.canonical, registry, name=each.name, source_text=each.source_text, sweep_point=each.sweep_point
        )
        for field in RunPlan.__dataclass_fields__:
            assert getattr(again, field) == getattr(each, field), field
        assert again.identity == each.identity


def test_a_plan_can_be_pickled(registry):
    first = load_manifest(MANIFEST, registry=registry).runs()[0]
    again = pickle.loads(pickle.dumps(first))
    assert again == first
    assert again.environment.config == first.environment.config


def test_a_rebuilt_plan_may_have_another_environment(registry):
    first = load_manifest(MANIFEST, registry=registry).runs()[0]
    other = RunPlan.from_canonical(first.canonical, registry, environment={"noise": {"low": 0.1, "high": 0.2}})
    assert other.environment.config.noise.low == 0.1
    assert other.environment.config.n == 7
    assert other.identity != first.identity
    with pytest.raises(ManifestError, match=r"environment\.nois: unknown key\. Did you mean 'noise'"):
        RunPlan.from_canonical(first.canonical, registry, environment={"nois": 1})


def test_a_plan_of_other_versions_is_not_rebuilt(registry):
    first = load_manifest(MANIFEST, registry=registry).runs()[0]
    with pytest.raises(
        PluginError, match=r"chooser was planned with fake-science 1\.2\.3, installed is fake-science 2\.0"
    ):
        RunPlan.from_canonical(first.canonical, science_registry("2.0"))


@pytest.mark.parametrize(
    ("canonical", "message"),
    [
        ("{", "damaged"),
        ("[]", "no JSON object"),
        ("{}", "manifest version null"),
        ('{"qecforge":2}', "manifest version 2"),
        ('{"qecforge":1,"seed":0}', "agent, budget, environment, evaluation, plugins, reward is missing"),
        (
            '{"agent":1,"budget":{},"environment":[],"evaluation":{},"plugins":{},"qecforge":1,"reward":1,"seed":0}',
            "wrong type",
        ),
        (
            '{"agent":1,"budget":{},"environment":{},"evaluation":{},"plugins":{"agent":{}},"qecforge":1,"reward":1,'
            '"seed":0}',
            "agent names no plugin",
        ),
    ],
)
def test_damaged_canonical_text_is_refused(registry, canonical, message):
    with pytest.raises(ManifestError, match=message):
        RunPlan.from_canonical(canonical, registry)
