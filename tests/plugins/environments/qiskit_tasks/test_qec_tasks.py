"""The shipped QEC tasks: references pass and wrong solutions fail, judged from outside."""

import pytest

from qecforge_qiskit_tasks.judging import JudgeConfig, TaskJudge
from qecforge_qiskit_tasks.tasks.loading import load_shipped

AREAS = ("qec_encoders", "qec_logicals", "qec_syndromes", "qec_gadgets", "qec_memory")
TASKS = load_shipped(*AREAS)
QUICK = {
    "qec_encoders/five_qubit",
    "qec_logicals/four_two_two_gates",
    "qec_syndromes/matching_in_time",
    "qec_gadgets/flag",
    "qec_memory/surface_code",
}
"""One of each area in the default run."""


@pytest.fixture(scope="module")
def judge():
    with TaskJudge(TASKS, JudgeConfig(cells=1, compare=False)) as judge:
        yield judge


def marked():
    return [pytest.param(each, id=each.id, marks=() if each.id in QUICK else pytest.mark.slow) for each in TASKS]


@pytest.mark.parametrize("task", marked())
def test_references_pass_and_wrong_solutions_fail(judge, task):
    programs = [task.reference] * 3 + list(task.wrong)
    judged = judge.judge_programs([task.id] * len(programs), programs)
    reasons = [(each.verdict.value, each.detail, [test.detail for test in each.tests]) for each in judged[:3]]
    assert all(each.passed and each.judged for each in judged[:3]), reasons
    assert {each.verdict.value for each in judged[3:]} <= {"failed", "error"}


def test_there_are_enough_of_them():
    assert len(TASKS) >= 32
    assert {each.id.partition("/")[0] for each in TASKS} == set(AREAS)
    assert {each.level for each in TASKS} == {"basic", "intermediate", "difficult"}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_each_is_whole(task):
    """Both prompts, three tests, two wrong solutions, and the prompt's text is Python that a completion continues."""
    assert len(task.test_names) >= 3
    assert len(task.wrong) >= 2
    assert not task.in_process
    assert "qec" in task.tags
    assert task.entry_point in task.hard_prompt
    compile(task.prompt + "    pass\n", task.id, "exec")
    assert f"def {task.entry_point}(" in task.prompt
