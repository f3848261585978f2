"""Generated tasks: the same ones by seed, right by construction, and split by what is composed."""

from itertools import combinations
from random import Random

import pytest
from isolation import needs_isolation
from pydantic import ValidationError
from typer.testing import CliRunner

from qecforge.cli import _app
from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.generator import GeneratorConfig, generate_tasks
from qecforge_qiskit_tasks.generator.families import FAMILIES
from qecforge_qiskit_tasks.judging import JudgeConfig, TaskJudge
from qecforge_qiskit_tasks.tasks import load_tasks
from qecforge_qiskit_tasks.transcripts import Transcripts

CONFIG = GeneratorConfig(count=120, seed=3)


@pytest.fixture(scope="module")
def generated():
    return generate_tasks(CONFIG)


def pairs_of(tasks):
    return {pair for task in tasks for pair in combinations(sorted(task.tags[1:]), 2)}


def test_there_are_at_least_twenty_families_each_with_its_own_call():
    assert len(FAMILIES) >= 20
    codes = {family.code for family in FAMILIES.values()}
    assert len(codes) == len(FAMILIES)


def test_the_seed_decides(generated):
    assert generate_tasks(CONFIG).tasks == generated.tasks
    assert generate_tasks(GeneratorConfig(count=10, seed=4)).tasks[0] != generated.tasks[0]


def test_ids_and_prompts_are_unique(generated):
    for name in ("id", "prompt", "hard_prompt"):
        assert len({getattr(task, name) for task in generated.tasks}) == CONFIG.count


def test_each_task_has_different_families_of_the_wanted_number(generated):
    for task in generated.tasks:
        families = task.tags[1:]
        assert len(set(families)) == len(families)
        assert len(families) in (2, 3)
        assert task.reference.startswith(task.prompt)


def test_every_task_of_test_has_a_pair_that_train_never_has(generated):
    by_split = {split: [t for t in generated.tasks if t.split == split] for split in ("train", "test")}
    assert {split: tuple(t.id for t in tasks) for split, tasks in by_split.items()} == generated.splits
    assert 5 < len(by_split["test"]) < 35
    seen = pairs_of(by_split["train"])
    assert all(pairs_of([task]) - seen for task in by_split["test"])


@pytest.mark.parametrize("number", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_references_pass_and_wrong_solutions_fail_from_outside(generated, number):
    sample = Random(1).sample(generated.tasks, number)
    ids = [task.id for task in sample for _ in (task.reference, *task.wrong)]
    programs = [program for task in sample for program in (task.reference, *task.wrong)]
    right = [program is task.reference for task in sample for program in (task.reference, *task.wrong)]
    with TaskJudge(sample, JudgeConfig(cells=2)) as judge:
        judged = judge.judge_programs(ids, programs)
    assert [each.passed for each in judged] == right
    assert all(each.judged for each in judged if each.passed)


def test_a_removed_call_fails_when_it_is_run():
    for family in FAMILIES.values():
        if family.outdated:
            operation = family.draw(Random(2))
            lines = [*operation.imports, "from qiskit import QuantumCircuit", "qc = QuantumCircuit(3)"]
            exec("\n".join([*lines, *operation.code]), {})
            with pytest.raises(AttributeError):
                exec("\n".join([*lines, *operation.outdated]), {})


def test_the_file_can_be_read_again(tmp_path, generated):
    out = tmp_path / "tasks.jsonl"
    given = ["tasks", "generate", "--count", "120", "--seed", "3", "--out", str(out)]
    shown = CliRunner().invoke(_app.app, given)
    assert shown.exit_code == 0, shown.output
    assert load_tasks(out) == list(generated.tasks)


def test_more_than_there_are_is_refused():
    with pytest.raises(ConfigurationError, match="0 tasks can be composed, but count is 50,000; lower `count`"):
        generate_tasks(GeneratorConfig(count=50_000, operations=(2, 2), held_out=0.999, test_share=0.001))
    with pytest.raises(ValidationError, match="from 2 to 5"):
        GeneratorConfig(operations=(3, 2))


@needs_isolation
def test_a_completion_that_is_the_reference_is_run_once(tmp_path):
    """Its gates are compared with the reference's, which is no other program for a line's end."""
    (task,) = generate_tasks(GeneratorConfig(count=1)).tasks
    with TaskJudge([task], JudgeConfig(cells=1, transcripts=tmp_path / "t.db")) as judge:
        (judged,) = judge.judge([task.id], [task.reference.removeprefix(task.prompt)])
    assert judged.components["gates"] == 1
    assert len(Transcripts(tmp_path / "t.db").keys()) == 1
