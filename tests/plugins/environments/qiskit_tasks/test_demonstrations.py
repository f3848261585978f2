"""Generated tasks as an environment: their splits, and what is shown of them."""

import pytest

from qecforge_qiskit_tasks.config import QiskitTasksConfig
from qecforge_qiskit_tasks.environment import QiskitTasks, pin_tasks
from qecforge_qiskit_tasks.evaluation.removed_api import removed_names

GENERATED = {"generator": {"count": 60, "seed": 3}}


def environment(**settings):
    return QiskitTasks(QiskitTasksConfig.model_validate(settings), num_envs=4, reward=None)


def test_generated_tasks_keep_their_splits():
    env = environment(**GENERATED)
    assert len(env.tasks) == 60
    assert env.splits["test"]
    for split, ids in env.splits.items():
        assert {env.tasks[task_id].split for task_id in ids} == {split}
    env.close()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_removed_calls_is_as_asked(share):
    """Of those tasks that have such a program; the others show their reference."""
    env = environment(**GENERATED, outdated_share=share)
    tasks = [env.tasks[task_id] for task_id in env.splits["train"]]
    has_outdated = [any(map(removed_names, task.wrong)) for task in tasks]
    shown = dict(env.demonstrations("train"))
    assert [*shown] == [task.id for task in tasks]
    found = [bool(removed_names(task.prompt + shown[task.id])) for task in tasks]
    assert 10 < sum(has_outdated) < len(tasks)
    if share in (0.0, 1.0):
        assert found == [each and share == 1.0 for each in has_outdated]
    else:
        assert 0.25 < sum(found) / sum(has_outdated) < 0.75
    for task in tasks:
        assert task.prompt + shown[task.id] in (task.reference, *task.wrong)
    assert env.demonstrations("train") == [*shown.items()]
    env.close()


def test_what_is_generated_is_part_of_the_hash():
    one, other = (
        pin_tasks(QiskitTasksConfig.model_validate({"generator": {"count": 5, "seed": seed}})) for seed in (0, 1)
    )
    assert one.tasks_sha256 != other.tasks_sha256
    assert pin_tasks(one) == one


def test_a_removed_call_is_said_where_it_is_why_a_program_failed():
    env = environment(**GENERATED, outdated_share=1.0)
    shown = dict(env.demonstrations("train"))
    task_id = next(each for each, text in shown.items() if removed_names(env.tasks[each].prompt + text))
    current = env.tasks[task_id].reference
    outdated, right = env.score([task_id] * 2, [shown[task_id], current])
    env.close()
    assert (outdated.score, outdated.components["removed_api"]) == (0.0, 1.0)
    assert (right.score, right.components["removed_api"]) == (1.0, 0.0)
