"""The manifest of the documentation with the real plugins, and the bad input that it could have had."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from qecforge.errors import ManifestError
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.manifest import RunPlan, load_manifest, manifest_schema
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.registry import Registry

STEANE = """\
qecforge: 1
name: steane
environment:
  plugin: code_discovery
  n: 7
  k: 1
  target_distance: 3
  max_gates: 20
  gates: [h, cx]
  connectivity: all_to_all
reward: {plugin: knill_laflamme, error_probability: 0.1, scale: 10}
agent: {plugin: ppo, total_steps: 500_000, num_envs: 256}
evaluation:
  logical_error_rate: {noise: depolarizing, p: {log_space: [1.0e-4, 3.0e-3, 10]}, shots: 100_000, decoder: auto}
seeds: [0, 1, 2, 3, 4]
sweep: {agent.learning_rate: [3.0e-4, 1.0e-3]}
"""


@pytest.fixture(scope="module")
def installed() -> Registry:
    return Registry.load()


def test_the_documented_manifest_is_ten_runs(installed):
    plans = load_manifest(STEANE, registry=installed).runs()
    assert len(plans) == len({plan.identity for plan in plans}) == 10
    for plan in plans:
        assert RunPlan.from_canonical(plan.canonical, installed) == plan
    assert len(plans[0].evaluation.of(LOGICAL_ERROR_RATE).strengths) == 10


def test_the_schema_takes_it(installed):
    validator = Draft202012Validator(manifest_schema(installed))
    assert [error.message for error in validator.iter_errors(plain(parse_yaml(STEANE)))] == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("plugin: ppo", "plugin: pop", r"12:17 agent\.plugin: unknown agent 'pop'\. Did you mean 'ppo'\?"),
        ("max_gates: 20", "max_gate: 20", r"8:3 environment\.max_gate: unknown key\. Did you mean 'max_gates'"),
        ("n: 7", "n: seven", r"5:6 environment\.n: got 'seven', expected a whole number"),
        ("k: 1", "k: 7", r"[56]:6 environment\.[nk]: .*needs n > k"),
        ("target_distance: 3", "target_distance: 5", r"[457]:\d+ environment(\.\w+)?: .*Singleton"),
        ("all_to_all", "{edges: [[0, 1], [2, 3]]}", r"(10:17|4:3) environment(\.connectivity)?: .*disconnected"),
        ("all_to_all", "{edges: [[0, 1], [1, 9]]}", r"(10:17|4:3) environment(\.connectivity)?: .*\[1, 9\] is out"),
        ("all_to_all", "everywhere", r"10:17 environment\.connectivity: .*everywhere"),
        ("[h, cx]", "[h, toffoli]", r"9:\d+ environment\.gates(\[1\])?: .*toffoli"),
        ("error_probability: 0.1", "error_probability: 2", r"11:53 reward\.error_probability: got 2, expected less"),
        ("decoder: auto", "decoder: best", r"14:108 evaluation\.logical_error_rate\.decoder: got 'best', expected"),
        ("reward: {plugin: knill_laflamme, error_probability: 0.1, scale: 10}", "reward: native",
            r"11:9 reward: environment code_discovery has no reward of its own: use knill_laflamme"),
        ("3.0e-4, 1.0e-3]}", "3.0e-4, 0.0003]}", r"16:39 sweep: .* is the same run as"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_where_it_stands(installed, old, new, where):
    assert STEANE.count(old) == 1
    with pytest.raises(ManifestError, match=f"^{where}") as caught:
        load_manifest(STEANE.replace(old, new), registry=installed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("quantizer", "refusal"),
    [
        (
            "{plugin: ptq, percentile: 99}",
            r"quantizer\.percentile: 99\.0 has no effect where range is minmax: set range to percentile, or leave",
        ),
        ("{plugin: ptq, range: mse, percentile: 99}", r"quantizer\.percentile: 99\.0 has no effect where range is mse"),
        (
            "{plugin: apq, budget: 0.5, budget_quantile: 0.9}",
            r"quantizer\.budget_quantile: 0\.9 has no effect where budget is given \(0\.5\): leave one of the two out",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_refused(installed, quantizer, refusal):
    text = STEANE.replace("seeds", f"quantizer: {quantizer}\nseeds")
    with pytest.raises(ManifestError, match=refusal):
        load_manifest(text, registry=installed)


@pytest.mark.parametrize(
    "quantizer",
    ["{plugin: ptq, percentile: 99.9}", "{plugin: ptq, range: percentile, percentile: 99}", "{plugin: apq, budget: 0}"],
)
def test_settings_that_are_used_or_as_by_default_are_not(installed, quantizer):
    text = STEANE.replace("seeds", f"quantizer: {quantizer}\nseeds")
    for plan in load_manifest(text, registry=installed).runs():
        assert RunPlan.from_canonical(plan.canonical, installed) == plan


QUANTIZED = """\
qecforge: 1
name: student
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3, max_gates: 20, gates: [h, cx]}
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, %s}
quantizer: {plugin: %s}
"""
SHARED = "policy: {value: shared}"


@pytest.mark.parametrize(
    ("agent", "quantizer", "refusal"),
    [
        (
            "num_agents: 2",
            "lsq",
            r"6:12 quantizer\.fine_tune: num_agents is 2, expected 1 .*set num_agents to 1 in quantizer\.fine_tune$",
        ),
        ("num_agents: 2", "apq, fine_tune: {total_steps: 9}", r"6:37 quantizer\.fine_tune: num_agents is 2"),
        (SHARED, "apq", r"6:12 quantizer\.fine_tune: policy\.value is shared, expected mirror or sizes"),
        (
            "policy: small",
            "lsq, fine_tune: {policy: paper}",
            r"quantizer\.fine_tune: policy is another network than agent",
        ),
        (SHARED, "lsq, fine_tune: {policy: paper}", r"quantizer\.fine_tune: policy is another network than agent"),
        (
            "num_agents: 1",
            "apq, residual_component: rho",
            r"6:21 quantizer: residual_component is 'rho', expected one of the reward's, residual, violations, reward",
        ),
    ],
)
def test_what_could_not_be_fine_tuned_is_refused_before_the_teacher_is_trained(installed, agent, quantizer, refusal):
    with pytest.raises(ManifestError, match=refusal):
        load_manifest(QUANTIZED % (agent, quantizer), registry=installed)


@pytest.mark.parametrize(
    ("agent", "quantizer"),
    [
        ("num_agents: 2", "ptq"),
        ("num_agents: 2", "lsq, fine_tune: {num_agents: 1}"),
        (SHARED, "ptq"),
        (SHARED, "lsq, fine_tune: {policy: {value: mirror}}"),
        ("policy: paper", "lsq, fine_tune: {policy: paper, total_steps: 9}"),
        ("num_agents: 1", "apq, residual_component: violations"),
        ("num_agents: 1", "apq, residual_component: reward"),
        ("num_agents: 1", "apq, residual_component: rho, safe: none"),
    ],
)
def test_what_can_be_fine_tuned_is_not_refused(installed, agent, quantizer):
    load_manifest(QUANTIZED % (agent, quantizer), registry=installed)
