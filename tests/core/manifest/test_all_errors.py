"""Everything that is wrong with a manifest is said at once, one error a line."""

import pytest
from cli_harness import invoke

from qecforge.errors import ManifestError
from qecforge.manifest import load_manifest

MANIFEST = """\
qecforge: 1
name: science
environment: {plugin: codes, n: 7, gates: [h, cx, s]}
reward: knill
agent: {plugin: chooser, total_steps: 1000}
evaluation:
  logical_error_rate: {p: [1.0e-3], shots: 100}
seeds: [0, 1]
"""


def errors_of(text, registry, overrides=()):
    with pytest.raises(ManifestError) as caught:
        load_manifest(text, registry=registry, overrides=overrides)
    return [f"{each.line or ''} {each.path}" for each in caught.value.all], caught.value


def edited(*edits, text=MANIFEST):
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_manifest_is_right_without_edits(registry):
    assert len(load_manifest(MANIFEST, registry=registry).runs()) == 2


def test_every_section_is_checked(registry):
    """What is wrong in one hides nothing in the others."""
    text = edited(
        ("science", "'a b'"),
        ("n: 7", "n: 1"),
        ("total_steps: 1000", "total_steps: none, colour: red"),
        ("shots: 100", "shots: -1"),
        ("seeds: [0, 1]", "seeds: [0, 0]\nbudget: {seconds: -1}\ncheckpoint: {every: 3}\nlast: 1"),
    )
    found, error = errors_of(text, registry)
    assert found == [
        "2 name",
        "3 environment.n",
        "5 agent.total_steps",
        "5 agent.colour",
        "7 evaluation.logical_error_rate.shots",
        "8 seeds[1]",
        "9 budget.seconds",
        "10 checkpoint.every",
        "11 last",
    ]
    assert str(error).endswith("(and 8 more)")
    assert not any("more)" in str(each) for each in error.all)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([("plugin: codes", "plugin: coeds"), ("knill", "knil"), ("chooser", "choser")],
            ["3 environment.plugin", "4 reward", "5 agent.plugin"]),
        ([("n: 7", "n: 1"), ("evaluation:", "evaluation:\n  returnz: {}")],
            ["3 environment.n", "7 evaluation.returnz"]),
        ([("environment:", "enviroment:"), ("total_steps: 1000", "total_steps: 0")],
            ["3 enviroment", "5 agent.total_steps"]),
        ([("seeds: [0, 1]", "sweep: {seeds: [1], agent.total_steps: [], reward.x: 3}")],
            ["8 sweep.seeds", "8 sweep.agent.total_steps", "8 sweep.reward.x"]),
        ([("seeds: [0, 1]", "sweep: {environment.n: [7, 1, 0], agent.total_steps: [0, 10]}")],
            ["8 environment.n", "8 environment.n", "8 agent.total_steps"]),
    ],
)  # fmt: skip
def test_one_error_hides_no_other(registry, edits, expected):
    assert errors_of(edited(*edits), registry)[0] == expected


def test_options_are_all_named(registry):
    found, _ = errors_of(MANIFEST, registry, ["agent.totl_steps=3", "no path", "environment.n=1", "foo.x=1"])
    assert found == [" None", " foo.x", " environment.n", " agent.totl_steps"]


def test_a_section_is_taken_away_by_an_empty_value(registry):
    text = edited(("seeds: [0, 1]", "sweep: {agent.total_steps: [10, 20]}\nbudget: {seconds: 3}\nseeds: [0, 1]"))
    assert len(load_manifest(text, registry=registry).runs()) == 4
    (plan,) = load_manifest(text, registry=registry, overrides=["sweep=", "budget=", "seeds="]).runs()
    assert (plan.seed, plan.budget.seconds, dict(plan.sweep_point)) == (0, None, {})
    plans = load_manifest(text, registry=registry, overrides=["sweep=", "sweep.agent.total_steps=[7, 8, 9]"]).runs()
    assert len(plans) == 6


def test_validate_prints_each_on_a_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "qecforge: 1\nname: bad\nenvironment: {plugin: code_discovery, n: 1, k: 1, target_distance: 3, max_gates: 9, "
        "gates: [h, cx]}\nreward: {plugin: knill_laflamme, scale: big}\nagent: {plugin: ppo, total_steps: -4}\n"
    )
    for command in ("validate", "run"):
        result = invoke(command, path)
        assert result.exit_code == 2
        lines = result.stderr.strip().split("\n")
        assert [line.split(" ")[1] for line in lines] == ["environment.n:", "reward.scale:", "agent.total_steps:"]
        assert all(line.startswith(f"{path}:") for line in lines)


SWEPT = "sweep: {quantizer: [null, round]}\nevaluation: {agreement: {}, decision_fidelity: {}}\n"


def test_float_runs_of_a_sweep_go_without_what_is_of_quantized_ones(registry):
    text = "qecforge: 1\nname: both\nenvironment: both\nagent: chooser\n"
    plain, quantized = load_manifest(text + SWEPT, registry=registry).runs()
    assert (plain.evaluation.names, quantized.evaluation.names) == (
        ["agreement"],
        ["decision_fidelity", "agreement"],
    )
    assert plain.identity == quantized.quantization.teacher.identity
    for sweep in ("{quantizer: [null]}", "{agent.total_steps: [7, 8]}"):
        with pytest.raises(ManifestError, match="the manifest has no quantizer"):
            load_manifest(text + SWEPT.replace("{quantizer: [null, round]}", sweep), registry=registry)
