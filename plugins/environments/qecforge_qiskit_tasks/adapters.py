"""The reward in other trainers, by one import.

    from trl import GRPOConfig, GRPOTrainer
    from qecforge_qiskit_tasks import load_tasks
    from qecforge_qiskit_tasks.adapters import trl_reward, trl_rows

    tasks = load_tasks("shipped")
    with trl_reward(tasks) as reward:
        GRPOTrainer(model, reward_funcs=reward, train_dataset=Dataset.from_list(trl_rows(tasks)), ...).train()

Both give a number for each completion, never None. What judges being out of order is no reward: it is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.completions import PromptKind
from qecforge_qiskit_tasks.judging import JudgeConfig, TaskJudge
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["TaskReward", "trl_reward", "trl_rows", "verl_reward"]

Score = Literal["pass", "fraction"]


class TaskReward:
    """A reward function that has a sandbox; `with`, or `close`, ends it.

    Its name, `__name__`, is by which trainers log it.
    """

    def __init__(self, tasks: Sequence[Task], config: JudgeConfig, score: Score) -> None:
        if score not in ("pass", "fraction"):
            raise ConfigurationError(f"score: got {score!r}, expected pass or fraction")
        self.__name__ = "qiskit_execution"
        self._fraction = score == "fraction"
        self._judge = TaskJudge(tasks, config)
        self._by_prompt = {task.asked(config.prompt): task.id for task in tasks}

    def __enter__(self) -> TaskReward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox. May be called twice."""
        self._judge.close()

    def scores(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[float]:
        """0..1 for each completion.

        Raises:
            ConfigurationError: as many ids as completions were expected, or an id is unknown.
            InfrastructureError: something could not be judged, so that there is no reward for it.
        """
        judged = self._judge.judge(task_ids, completions)
        return [each.fraction if self._fraction and not each.passed else float(each.passed) for each in judged]

    def task_of(self, prompt: Any) -> str:
        """Id of the task that a prompt is of. Raises `ConfigurationError` where it is of none."""
        text = said(prompt)
        found = self._by_prompt.get(text)
        if found is None:
            raise ConfigurationError(
                f"no task has the prompt {text[:60]!r}: give the data set a column task_id, as `trl_rows` does"
            )
        return found


class _Trl(TaskReward):
    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Any] = (),
        task_id: Sequence[str] | None = None,
        **columns: Any,
    ) -> list[float]:
        """As TRL calls it: `completions` are texts or chats, `task_id` is a column of the data set."""
        ids = [self.task_of(each) for each in prompts or ()] if task_id is None else [*task_id]
        return self.scores(ids, [said(each) for each in completions])


class _Verl(TaskReward):
    def __call__(
        self,
        data_sources: Sequence[str] | None = None,
        solution_strs: Sequence[str] = (),
        ground_truths: Sequence[str] = (),
        extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """As veRL's batch reward manager calls it: the ids of tasks are the ground truths, or `task_id` of the extra
        information."""
        ids = [str(each) for each in ground_truths]
        if extra_infos is not None:
            found = [(each or {}).get("task_id") for each in extra_infos]
            if any(each is not None for each in found) or not ids:
                ids = [str(each) for each in found]
        return self.scores(ids, [said(each) for each in solution_strs])


def trl_reward(
    tasks: Sequence[Task], config: JudgeConfig | None = None, *, score: Score = "pass", prompt: PromptKind | None = None
) -> _Trl:
    """A reward function for TRL's trainers. Give the data set a column `task_id`, as `trl_rows` does.

    Args:
        score: 1 where every test passed, else 0; or the fraction of tests.
        prompt: Which prompt is answered, if not that of `config`.
    """
    return _Trl(tasks, _config(config, prompt), score)


def verl_reward(
    tasks: Sequence[Task], config: JudgeConfig | None = None, *, score: Score = "pass", prompt: PromptKind | None = None
) -> _Verl:
    """A `compute_score` for veRL's batch reward manager (`reward_manager=batch`). See `trl_reward`."""
    return _Verl(tasks, _config(config, prompt), score)


def trl_rows(tasks: Sequence[Task], prompt: PromptKind = "standard", *, chat: bool = False) -> list[dict[str, Any]]:
    """Rows for a data set: `prompt`, as a text or a chat, and `task_id`."""
    rows: list[dict[str, Any]] = []
    for task in tasks:
        text = task.asked(prompt)
        rows.append({"prompt": [{"role": "user", "content": text}] if chat else text, "task_id": task.id})
    return rows


def said(completion: Any) -> str:
    """The text of a completion or prompt: it, or the content of the last message of a chat."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Mapping):
        content = completion.get("content")
        return content if isinstance(content, str) else ""
    if isinstance(completion, Sequence) and completion:
        return said(completion[-1])
    raise ConfigurationError(f"a completion is {type(completion).__name__}, expected a text or a chat")


def _config(config: JudgeConfig | None, prompt: PromptKind | None) -> JudgeConfig:
    found = config or JudgeConfig(compare=False, in_process=False)
    return found if prompt is None else replace(found, prompt=prompt)
