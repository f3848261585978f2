"""Where tasks come from, and which split they are in."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks import QiskitTasks, QiskitTasksConfig, load_tasks
from qecforge_qiskit_tasks.environment import pin_tasks, splits_of

SMALL = Path(__file__).parent / "assets" / "small.yaml"


def opened(**settings):
    return QiskitTasks(QiskitTasksConfig.model_validate(settings), num_envs=1, reward=None)


def test_generated_tasks_keep_the_generators_splits():
    env = opened(generator={"count": 200, "seed": 3})
    train, test = env.splits["train"], env.splits["test"]
    assert len(train) + len(test) == len(env.tasks) == 200
    assert test

    def pairs(ids):
        return {pair for each in ids for pair in combinations(sorted(env.tasks[each].tags[1:]), 2)}

    for task_id in test:
        assert pairs([task_id]) - pairs(train), "a test task has a pair that no task of train has"
    env.close()


def test_the_generators_tasks_are_part_of_the_identity():
    first, second, other = (
        pin_tasks(QiskitTasksConfig.model_validate({"generator": {"count": 30, "seed": seed}})) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.tasks_sha256 != other.tasks_sha256


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"generator": {"count": 5}, "tasks": "mine.yaml"}, "leave one of the two out"),
        ({"generator": {"count": 0}}, "generator.count"),
        ({"generator": {"seed": -1}}, "generator.seed"),
        ({"generator": {"number": 3}}, "generator.number"),
    ],
)
def test_what_cannot_be_generated(settings, said):
    with pytest.raises(ValidationError, match=said):
        QiskitTasksConfig.model_validate(settings)


def test_splits_of_a_file_are_its_own(tmp_path):
    rows = [json.loads(task.model_dump_json(exclude={"split"})) for task in load_tasks(SMALL)]
    splits = ["test", None, "validation", "train", None]
    rows = [{**row, **({"split": split} if split else {})} for row, split in zip(rows, splits, strict=True)]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = opened(tasks=str(path), test_share=0.9)
    ids = [row["id"] for row in rows]
    assert dict(env.splits) == {"train": (ids[1], ids[3], ids[4]), "test": (ids[0],), "validation": (ids[2],)}
    env.close()


def test_a_file_without_splits_is_split_by_its_ids():
    tasks = load_tasks(SMALL)
    assert splits_of(tasks, 0.0) == {"train": tuple(task.id for task in tasks), "test": ()}
    first, second = splits_of(tasks, 0.4), splits_of(tasks[::-1], 0.4)
    assert {name: set(ids) for name, ids in first.items()} == {name: set(ids) for name, ids in second.items()}


def test_nothing_to_train_on_is_refused():
    tasks = [task.model_copy(update={"split": "test"}) for task in load_tasks(SMALL)]
    with pytest.raises(ConfigurationError, match=r"all 5 say that they are in the split test, and none is in `train`"):
        splits_of(tasks, 0.2)
