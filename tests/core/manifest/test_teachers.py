"""Quantizers in a manifest: which run is the teacher, what the fine-tuning changes, what enters the identity."""

import json

import pytest
from manifest_fakes import MANIFEST

from qecforge.errors import ManifestError
from qecforge.manifest import RunPlan, load_manifest

STUDENT = """\
qecforge: 1
name: student
environment: {plugin: codes, n: 7}
reward: {plugin: knill, scale: 10}
agent: {plugin: chooser, total_steps: 500_000}
quantizer: {plugin: steps}
evaluation: {logical_error_rate: {shots: 1000}, decision_fidelity: {states: 50}, search: {episodes: 5}}
seeds: [0, 1]
"""
TEACHER = """\
qecforge: 1
name: teacher
environment: {plugin: codes, n: 7}
reward: {plugin: knill, scale: 10}
agent: {plugin: chooser, total_steps: 900}
seeds: [1, 2]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "teachers").mkdir()
    (tmp_path / "teachers" / "float.yaml").write_text(TEACHER)
    return tmp_path


def with_quantizer(section, text=STUDENT):
    return text.replace("quantizer: {plugin: steps}", f"quantizer: {section}")


def student(folder, section="{plugin: steps, teacher: {manifest: teachers/float.yaml}}", seeds="[1, 2]"):
    path = folder / "student.yaml"
    path.write_text(with_quantizer(section).replace("seeds: [0, 1]", f"seeds: {seeds}"))
    return path


def test_the_teacher_is_the_same_run_without_its_quantizer(registry):
    plans = load_manifest(STUDENT, registry=registry).runs()
    alone = STUDENT.replace("quantizer: {plugin: steps}\n", "").replace("decision_fidelity: {states: 50}, ", "")
    floats = load_manifest(alone, registry=registry).runs()
    assert [plan.quantization.teacher for plan in plans] == list(floats)
    assert [plan.quantization.teacher.identity for plan in plans] == [plan.identity for plan in floats]
    assert [plan.quantization.teacher.seed for plan in plans] == [0, 1]
    assert plans[0].quantization.teacher.name == "student-teacher"
    assert plans[0].quantization.teacher.quantization is None
    for plan in plans:
        again = RunPlan.from_canonical(plan.canonical, registry)
        assert again == plan
        assert again.quantization.teacher == plan.quantization.teacher


def test_quantizers_share_their_teacher(registry):
    text = STUDENT + "sweep: {quantizer: [round, {plugin: steps, bits: 4}], agent.learning_rate: [0.1, 0.2]}\n"
    plans = load_manifest(text.replace("seeds: [0, 1]", "seeds: [3]"), registry=registry).runs()
    teachers = [plan.quantization.teacher for plan in plans]
    assert teachers[0] == teachers[2] != teachers[1] == teachers[3]
    assert [teacher.sweep_point for teacher in teachers[:2]] == [
        {"agent.learning_rate": 0.1},
        {"agent.learning_rate": 0.2},
    ]
    assert [plan.quantization.fine_tuning is None for plan in plans] == [True, True, False, False]


def test_a_manifest_names_the_teacher(registry, folder):
    plans = load_manifest(student(folder), registry=registry).runs()
    floats = load_manifest(TEACHER, registry=registry).runs()
    assert [plan.quantization.teacher for plan in plans] == list(floats)
    assert [plan.quantization.teacher.name for plan in plans] == ["teacher", "teacher"]
    embedded = json.loads(plans[0].canonical)["quantizer"]["teacher"]
    assert embedded == {"run": None, "manifest": json.loads(floats[0].canonical)}
    again = RunPlan.from_canonical(plans[0].canonical, registry)
    assert (again.identity, again.quantization.teacher) == (plans[0].identity, floats[0])


def test_what_the_teacher_computes_enters_the_identity_and_its_path_does_not(registry, folder):
    before = [plan.identity for plan in load_manifest(student(folder), registry=registry).runs()]
    (folder / "elsewhere.yaml").write_text(TEACHER.replace("name: teacher", "name: renamed"))
    section = "{plugin: steps, teacher: {manifest: elsewhere.yaml}}"
    assert [plan.identity for plan in load_manifest(student(folder, section), registry=registry).runs()] == before
    (folder / "elsewhere.yaml").write_text(TEACHER.replace("900", "901"))
    after = [plan.identity for plan in load_manifest(student(folder, section), registry=registry).runs()]
    assert not set(after) & set(before)


def refusal(source, registry):
    with pytest.raises(ManifestError) as caught:
        load_manifest(source, registry=registry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("teacher", "seeds", "message"),
    [
        (TEACHER, "[0]", "has no run of seed 0: its seeds are 1, 2; add 0 to them"),
        (
            TEACHER + "sweep: {agent.total_steps: [5, 6]}\n",
            "[1]",
            "has 2 runs of seed 1, a teacher is one: remove its sw",
        ),
        (TEACHER + "quantizer: round\n", "[1]", "has a quantizer, a teacher is a float policy: name the manifest that"),
        (TEACHER + "sweep: {quantizer.plugin: [round]}\n", "[1]", "has a quantizer"),
        (
            TEACHER.replace("environment: {plugin: codes, n: 7}", "environment: both"),
            "[1]",
            "the teacher is from another environment (its environment.plugin is 'both', this run's is 'codes')",
        ),
        (
            TEACHER.replace("n: 7", "n: 7, noise: {high: 0.5}, masked: true"),
            "[1]",
            "(its environment.masked is true, this run's is false): name a teacher that was trained in this one",
        ),
        (
            TEACHER.replace("n: 7", "n: 7, noise: {high: 0.5}"),
            "[1]",
            "(its environment.noise is {high: 0.5, low: 0.0}, this run's is 'none'): name",
        ),
        (TEACHER.replace("scale: 10", "scale: 9.5"), "[1]", "(its reward.scale is 9.5, this run's is 10.0): name"),
    ],
)
def test_teachers_that_cannot_be_one(registry, folder, teacher, seeds, message):
    (folder / "teachers" / "float.yaml").write_text(teacher)
    path = student(folder, seeds=seeds)
    said = refusal(path, registry)
    assert message in said
    assert said.startswith(f"{path}:6:48 quantizer.teacher.manifest: ")


def test_what_is_wrong_in_the_teachers_manifest_is_said_there(registry, folder):
    path = folder / "teachers" / "float.yaml"
    path.write_text(TEACHER.replace("n: 7", "n: 1"))
    assert refusal(student(folder), registry) == (
        f"{path}:3:33 environment.n: got 1, expected 2 or more (Physical qubits)"
    )


def test_a_manifest_that_names_itself_is_refused(registry, folder):
    assert "has a quantizer" in refusal(student(folder, "{plugin: steps, teacher: {manifest: student.yaml}}"), registry)


def test_fine_tuning_has_the_agents_settings_but_those_that_it_changes(registry):
    section = "{plugin: steps, fine_tune: {total_steps: 1e3, learning_rate: 3.0e-4, layers: [8]}}"
    plan = load_manifest(with_quantizer(section), registry=registry).runs()[0]
    assert plan.agent.config.total_steps == 500_000
    assert (plan.quantization.fine_tuning.total_steps, plan.quantization.fine_tuning.layers) == (1000, (8,))
    kept = json.loads(plan.canonical)["quantizer"]["fine_tune"]
    assert kept == {"layers": [8], "total_steps": 1000}, "what is as the agent has it changes nothing"
    again = RunPlan.from_canonical(plan.canonical, registry)
    assert (again, again.quantization.fine_tuning) == (plan, plan.quantization.fine_tuning)
    assert plan.quantization.teacher == load_manifest(STUDENT, registry=registry).runs()[0].quantization.teacher


def test_fine_tuning_that_changes_nothing_is_the_same_run(registry):
    plans = load_manifest(STUDENT, registry=registry).runs()
    same = with_quantizer("{plugin: steps, fine_tune: {total_steps: 500_000}}")
    assert load_manifest(same, registry=registry).runs() == plans
    assert plans[0].quantization.fine_tuning == plans[0].agent.config


def test_fine_tuning_is_swept_and_set(registry):
    swept = load_manifest(STUDENT + "sweep: {quantizer.fine_tune.total_steps: [7, 8]}\n", registry=registry)
    assert [plan.quantization.fine_tuning.total_steps for plan in swept.runs()] == [7, 7, 8, 8]
    chosen = load_manifest(STUDENT, registry=registry, overrides=["quantizer.fine_tune.total_steps=9"])
    assert {plan.quantization.fine_tuning.total_steps for plan in chosen.runs()} == {9}


def test_float_manifests_are_what_they_were(registry):
    plan = load_manifest(MANIFEST, registry=registry).runs()[0]
    assert plan.quantization is None
    assert set(json.loads(plan.canonical)["evaluation"]) == {"logical_error_rate"}
