"""The tasks we ship, those of codes apart: references pass and wrong programs fail, judged from outside."""

import ast
from collections import Counter

import pytest

from qecforge.sandbox import Verdict
from qecforge_qiskit_tasks.judging import JudgeConfig, TaskJudge
from qecforge_qiskit_tasks.tasks.loading import load_shipped

AREAS = ("circuits", "states", "operators", "primitives", "transpilation", "noise", "removed_api")
TASKS = {task.id: task for task in load_shipped(*AREAS)}
TIMES = 20
QUICK = {next(name for name, task in TASKS.items() if area == task.tags[0] and task.level == "basic") for area in AREAS}
"""One of each area in the default run."""


def marked():
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TASKS]


@pytest.fixture(scope="module")
def judge():
    with TaskJudge(list(TASKS.values()), JudgeConfig(compare=False)) as judge:
        yield judge


def described(judged):
    failed = [f"{each.name}: {each.detail}" for each in judged.tests if each.status != "passed"]
    return f"{judged.verdict.value} {judged.detail} {failed}"


def test_how_many_there_are():
    assert len(TASKS) >= 55
    levels = Counter(task.level for task in TASKS.values())
    assert all(levels[level] >= 0.1 * len(TASKS) for level in ("basic", "intermediate", "difficult")), levels
    for area in AREAS:
        assert sum(area in task.tags for task in TASKS.values()) >= 8, area


@pytest.mark.parametrize("name", TASKS)
def test_form(name):
    """Prompts are Python that a body completes and that says all of the signature; the reference has the same one."""
    task = TASKS[name]
    assert name.split("/")[0] == task.tags[0]
    assert len(task.test_names) >= 3
    assert len(task.wrong) >= 2
    assert not task.in_process
    exec(f"{task.prompt}    pass\n", {})
    asked, answered = (
        next(
            each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef) and each.name == task.entry_point
        )
        for text in (f"{task.prompt}    pass\n", task.reference)
    )
    assert ast.get_docstring(asked)
    arguments = [each.arg for each in asked.args.args]
    assert arguments == [each.arg for each in answered.args.args]
    assert f"`{task.entry_point}({', '.join(arguments)})`" in task.hard_prompt


@pytest.mark.parametrize("name", marked())
def test_shipped_general(judge, name):
    task = TASKS[name]
    programs = [task.reference, *task.wrong]
    right, *wrong = judge.judge_programs([name] * len(programs), programs)
    assert right.passed, described(right)
    assert right.judged
    assert len(right.tests) == len(task.test_names)
    for judged in wrong:
        assert judged.verdict in (Verdict.FAILED, Verdict.ERROR), judged.program
        assert "NotAValue" not in described(judged)
        assert "ProgramGone" not in described(judged)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_references_pass_every_time(judge, name):
    for judged in judge.judge_programs([name] * TIMES, [TASKS[name].reference] * TIMES):
        assert judged.passed, described(judged)
        assert judged.judged
