"""The environment and the reward keep their contracts, on small tasks."""

from pathlib import Path

import numpy as np
import pytest
from isolation import needs_isolation

import qecforge_qiskit_execution
import qecforge_qiskit_tasks
from qecforge.contracts import TextBatch, TextSubject, Verdict
from qecforge.errors import ConfigurationError, InfrastructureError, SandboxUnavailable
from qecforge.testing.text import TextEnvironmentContract
from qecforge_qiskit_tasks import QiskitTasksConfig, load_tasks
from qecforge_qiskit_tasks.environment import judge_all, pin_tasks
from qecforge_qiskit_tasks.judging import TaskJudge

SMALL = Path(__file__).parent / "assets" / "small.yaml"
(SPEC,) = qecforge_qiskit_tasks.qecforge_environments()
(REWARD,) = qecforge_qiskit_execution.qecforge_rewards()
HALF = "def add(a, b):\n    return 5\n"


@needs_isolation
class TestQiskitTasks(TextEnvironmentContract):
    spec = SPEC
    settings = {"tasks": str(SMALL), "test_share": 0.4, "cells": 1}  # noqa: RUF012
    sample = 2

    def solution(self, env, task_id):
        return env.tasks[task_id].reference


@needs_isolation
class TestQiskitTasksWithReward(TextEnvironmentContract):
    spec = SPEC
    settings = {"tasks": str(SMALL), "test_share": 0.4}  # noqa: RUF012
    reward = REWARD.make(REWARD.config(score="fraction", cells=1))
    sample = 2

    def solution(self, env, task_id):
        return env.tasks[task_id].reference


@needs_isolation
def test_pass_or_fail_by_default_and_the_fraction_by_option():
    tasks = {task.id: task for task in load_tasks(SMALL)}
    scores = []
    for config in (REWARD.config(cells=1), REWARD.config(cells=1, score="fraction")):
        compiled = REWARD.make(config).compile(TextSubject(tasks, 4))
        batch = TextBatch(["small/adds", "small/adds", "small/bell"], [tasks["small/adds"].reference, HALF, "x = ("])
        buffers = compiled.score(batch)
        compiled.close()
        assert buffers.solved.tolist() == [True, False, False]
        assert buffers.components["tests_passed"].tolist() == [1, 0.5, 0]
        assert buffers.components["parses"].tolist() == [1, 1, 0]
        scores.append(buffers.values.tolist())
    assert scores == [[1, 0, 0], [1, 0.5, 0]]


@needs_isolation
def test_gates_are_compared_with_the_reference():
    task = load_tasks(SMALL)[0]
    twice = task.reference.replace("    return", "    circuit.x(0)\n    circuit.x(0)\n    return")
    with TaskJudge([task]) as judge:
        same, more = judge.judge([task.id] * 2, [task.reference, twice])
    assert (same.components["gates"], same.components["depth"]) == (1, 1)
    assert (more.components["gates"], more.components["depth"]) == (0.5, 0.5)
    assert more.passed
    assert same.components["constraints"] == 1


class Broken(TaskJudge):
    """A sandbox that is out of order for some completions."""

    def __init__(self, tasks, out_of_order, error=InfrastructureError):
        super().__init__(tasks)
        self.out_of_order, self.error = out_of_order, error

    def judge_programs(self, task_ids, sources):
        if any(self.out_of_order in source for source in sources):
            raise self.error("no core")
        return [
            qecforge_qiskit_tasks.JudgedCompletion(
                task_id=task_id, program="", verdict=Verdict.FAILED, detail="", judged=True
            )
            for task_id in task_ids
        ]


def test_one_completion_without_a_verdict_takes_no_other_along():
    judge = Broken(load_tasks(SMALL), "STALLS")
    found = judge_all(judge, ["small/adds"] * 3, [HALF, HALF + "# STALLS", HALF])
    outcomes = [qecforge_qiskit_tasks.outcome_of(each, fraction=False) for each in found]
    assert [each.verdict for each in outcomes] == [Verdict.FAILED, Verdict.INFRASTRUCTURE, Verdict.FAILED]
    assert np.isnan(outcomes[1].score)
    assert not outcomes[1].valid


def test_where_nothing_can_be_judged_it_is_raised():
    tasks = load_tasks(SMALL)
    with pytest.raises(InfrastructureError):
        judge_all(Broken(tasks, "def"), ["small/adds"] * 3, [HALF] * 3)
    with pytest.raises(SandboxUnavailable):
        judge_all(Broken(tasks, "STALLS", SandboxUnavailable), ["small/adds"] * 2, [HALF, HALF + "# STALLS"])


def test_the_tasks_are_part_of_the_identity(tmp_path):
    path = tmp_path / "tasks.yaml"
    path.write_text(SMALL.read_text())
    pinned = pin_tasks(QiskitTasksConfig(tasks=str(path)))
    assert pin_tasks(pinned) == pinned
    path.write_text(SMALL.read_text().replace("a + b", "b + a"))
    with pytest.raises(ValueError, match="tasks_sha256: the tasks of"):
        pin_tasks(pinned)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tags": ("nothing",)}, "none with these levels and tags"),
        ({"levels": ("difficult",)}, "none with these levels and tags"),
        ({"tasks": "no/such/file.yaml"}, "no such file"),
    ],
)
def test_bad_settings_are_one_line(settings, said):
    config = QiskitTasksConfig(**{"tasks": str(SMALL), **settings})
    with pytest.raises(ConfigurationError, match=said) as refused:
        SPEC.make(config, num_envs=1, seed=0, reward=None)
    assert "\n" not in str(refused.value)
