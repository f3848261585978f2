"""The environment `qiskit_tasks`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any

from qecforge.contracts import (
    CompiledTextReward,
    Prompt,
    Reward,
    TextBatch,
    TextEnvironment,
    TextOutcome,
    TextSubject,
)
from qecforge.errors import ConfigurationError, InfrastructureError, SandboxUnavailable
from qecforge_qiskit_tasks.config import QiskitTasksConfig
from qecforge_qiskit_tasks.evaluation.removed_api import removed_names
from qecforge_qiskit_tasks.generator import GeneratorConfig, generate_tasks
from qecforge_qiskit_tasks.judging import JudgeConfig, JudgedCompletion, TaskJudge
from qecforge_qiskit_tasks.tasks import Task, load_tasks
from qecforge_qiskit_tasks.tasks.loading import load_named_tasks

__all__ = ["QiskitTasks", "chosen_tasks", "judge_all", "outcome_of", "pin_tasks", "shown", "splits_of"]

logger = logging.getLogger(__name__)

HARD = "Answer with one Python program, and nothing else.\n\n"
STANDARD = "Continue this Python program. Answer with code, and nothing else.\n\n"


class QiskitTasks(TextEnvironment):
    """Tasks of Qiskit: a completion scores 1 where every test passes, else 0; or what the reward of the run says.

    Rewards are shown `Task` by id.
    """

    def __init__(self, config: QiskitTasksConfig, *, num_envs: int, reward: Reward | None) -> None:
        self.num_envs, self.config = num_envs, config
        tasks = chosen_tasks(config)
        self.tasks: Mapping[str, Task] = MappingProxyType({task.id: task for task in tasks})
        self._splits = MappingProxyType(splits_of(tasks, config.test_share))
        self._judge: TaskJudge | None = None
        self._reward: CompiledTextReward | None = None
        if reward is None:
            self._judge = TaskJudge(tasks, judge_config(config))
            return
        compiled = reward.compile(TextSubject(self.tasks, num_envs))
        if not isinstance(compiled, CompiledTextReward):
            compiled.close()
            raise ConfigurationError(f"qiskit_tasks: {type(compiled).__name__} does not judge texts")
        self._reward = compiled

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """`train` and `test`, in the order of the tasks; where tasks say their splits, those."""
        return self._splits

    def demonstrations(self, split: str = "train") -> Sequence[tuple[str, str]]:
        """The reference of each task, or, for `outdated_share` of those that have one, a wrong program with removed
        calls; without the prompt that it begins with."""
        return [(task_id, shown(self.tasks[task_id], self.config)) for task_id in self._splits[split]]

    def prompt(self, task_id: str) -> Prompt:
        """One message with the task's prompt."""
        ask = HARD if self.config.prompt == "hard" else STANDARD
        return [{"role": "user", "content": ask + self.tasks[task_id].asked(self.config.prompt)}]

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> Sequence[TextOutcome]:
        """Pass or fail, or the reward's outcomes."""
        if self._judge is not None:
            return [outcome_of(each, fraction=False) for each in judge_all(self._judge, task_ids, completions)]
        assert self._reward is not None
        outcomes: list[TextOutcome] = []
        for at in range(0, len(task_ids), self.num_envs):
            rows = slice(at, at + self.num_envs)
            outcomes += self._reward.judge(TextBatch(task_ids[rows], completions[rows]))
        return outcomes

    def circumstances(self) -> Mapping[str, Any]:
        """What each layer of the sandbox does on this machine."""
        if self._judge is not None:
            return self._judge.circumstances()
        assert self._reward is not None
        return self._reward.circumstances()

    def close_extras(self, **kwargs: Any) -> None:
        """End the sandbox, or what the reward has running."""
        if self._judge is not None:
            self._judge.close()
        if self._reward is not None:
            self._reward.close()


def judge_config(config: QiskitTasksConfig) -> JudgeConfig:
    """How the environment judges by itself."""
    return JudgeConfig(
        prompt=config.prompt,
        cells=config.cells,
        profile=config.profile,
        in_process=config.in_process,
        transcripts=config.transcripts,
    )


def judge_all(
    judge: TaskJudge, task_ids: Sequence[str], completions: Sequence[str]
) -> list[JudgedCompletion | InfrastructureError]:
    """Judge a batch; where the sandbox is out of order for it, each completion alone, so that one takes no other along.

    Raises:
        SandboxUnavailable: programs cannot be isolated here.
        InfrastructureError: not one of several could be judged.
    """
    try:
        return [*judge.judge(task_ids, completions)]
    except SandboxUnavailable:
        raise
    except InfrastructureError as error:
        if len(task_ids) == 1:
            return [error]
        logger.warning("the sandbox is out of order (%s); %d completions are judged one by one", error, len(task_ids))
    found: list[JudgedCompletion | InfrastructureError] = []
    for task_id, completion in zip(task_ids, completions, strict=True):
        try:
            found += judge.judge([task_id], [completion])
        except SandboxUnavailable:
            raise
        except InfrastructureError as error:
            found.append(error)
            if len(found) >= 3 and all(isinstance(each, InfrastructureError) for each in found):
                raise
    return found


def outcome_of(judged: JudgedCompletion | InfrastructureError, *, fraction: bool) -> TextOutcome:
    """What the contract of texts calls an outcome; the score is 1 or 0, or the fraction of tests that passed."""
    if isinstance(judged, InfrastructureError):
        return TextOutcome.out_of_order(str(judged))
    score = judged.fraction if fraction and not judged.passed else float(judged.passed)
    return TextOutcome(verdict=judged.verdict, score=score, detail=judged.detail, components=dict(judged.components))


def shown(task: Task, config: QiskitTasksConfig) -> str:
    """A completion of the task that demonstrates it; which one depends on its id and the share alone."""
    program = task.reference
    if Random(f"outdated {task.id}").random() < config.outdated_share:
        program = next((each for each in task.wrong if removed_names(each)), program)
    prompt = task.asked(config.prompt)
    return program.removeprefix(prompt) if config.prompt == "standard" else program


def chosen_tasks(config: QiskitTasksConfig) -> list[Task]:
    """The tasks that a configuration asks for.

    Raises:
        ConfigurationError: there is none, one has no prompt of the kind, or its verdict could be forged.
    """
    return _chosen(config, load_tasks(config.tasks) if config.generator is None else _composed(config.generator))


def _chosen(config: QiskitTasksConfig, every: Sequence[Task]) -> list[Task]:
    tasks = [
        task
        for task in every
        if task.level in config.levels
        and (not config.tags or set(config.tags) & set(task.tags))
        and task.asked(config.prompt)
    ]
    if not tasks:
        raise ConfigurationError(
            f"tasks: {config.source} has {len(every)} tasks, but none with these levels and tags; choose others"
        )
    forged = [task.id for task in tasks if task.in_process]
    if forged and not config.in_process:
        raise ConfigurationError(
            f"tasks: {len(forged)} of {config.source}, such as {forged[0]}, are tested in the program's process, "
            "where a verdict can be forged; leave them out, or set in_process: true"
        )
    return tasks


@lru_cache(maxsize=2)
def _composed(config: GeneratorConfig) -> list[Task]:
    """Kept, because a run asks for the tasks when it is planned and when it is trained."""
    return [*generate_tasks(config).tasks]


def pin_tasks(config: QiskitTasksConfig) -> QiskitTasksConfig:
    """With the hash of the tasks, and the path of their file as seen from the current folder.

    Raises:
        ValueError: They are not those of the hash that stands there.
        ConfigurationError: As for `chosen_tasks`, or a manifest may not name such a file.
    """
    name = config.tasks
    if config.generator is None:
        name, every = load_named_tasks(config.tasks, pinned=config.tasks_sha256 is not None)
    else:
        every = _composed(config.generator)
    rows = [task.model_dump(mode="json") for task in _chosen(config, every)]
    found = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    if config.tasks_sha256 not in (None, found):
        raise ValueError(
            f"tasks_sha256: the tasks of {config.source} are of {found[:12]}..., not of {config.tasks_sha256[:12]}...: "
            "restore them, or remove the hash for a new run"
        )
    return config.model_copy(update={"tasks": name, "tasks_sha256": found})


def splits_of(tasks: Sequence[Task], test_share: float) -> dict[str, tuple[str, ...]]:
    """Ids by split: as the tasks say, where one of them does; else by a hash of the ids, so that a task stays in its
    split when others come.

    Raises:
        ConfigurationError: none is in `train`.
    """
    if any("split" in task.model_fields_set for task in tasks):
        names = ("train", *sorted({task.split for task in tasks} - {"train"}))
        splits = {name: tuple(task.id for task in tasks if task.split == name) for name in names}
        if not splits["train"]:
            raise ConfigurationError(
                f"tasks: all {len(tasks)} say that they are in the split {names[1]}, and none is in `train`; "
                "ask for other levels and tags, or add some"
            )
        return {"train": splits.pop("train"), "test": splits.pop("test", ()), **splits}

    def drawn(task_id: str) -> float:
        return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8], "big") / 2**64

    ids = [task.id for task in tasks]
    test = [each for each in ids if drawn(each) < test_share]
    if len(test) == len(ids):
        test = test[1:]
    held = set(test)
    return {"train": tuple(each for each in ids if each not in held), "test": tuple(test)}
