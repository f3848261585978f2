"""An evaluation: completions drawn where they are missing, judged, repaired, and counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qecforge.contracts.text import Prompt, Verdict
from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.completions import PromptKind
from qecforge_qiskit_tasks.evaluation.asking import first_prompt, question_seed, repair_prompt
from qecforge_qiskit_tasks.evaluation.journal import Drawn, Key
from qecforge_qiskit_tasks.evaluation.models import Model, Question, Sampling
from qecforge_qiskit_tasks.evaluation.report import Judged, Report, TaskFacts, build_report
from qecforge_qiskit_tasks.tasks import Task

__all__ = ["Judges", "Plan", "evaluate", "sha256_of"]

BATCH = 64
"""Completions that are judged between two reports of progress."""


class Judges(Protocol):
    """What judges completions, in order."""

    versions: Mapping[str, str]
    profile: str

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> Sequence[Judged]:
        """Raises `InfrastructureError` where nothing can be judged."""


class Keeps(Protocol):
    """Where completions are kept as they come."""

    completions: dict[Key, Drawn]

    def add(self, key: Key, drawn: Drawn) -> None:
        """Keep one."""


@dataclass(frozen=True)
class Plan:
    """What is evaluated.

    Attributes:
        name: What the set of tasks is called.
        samples: Completions of each task.
        ks: For pass@k.
        attempts: 1, or more: a completion that does not pass is asked for again with its error.
        seed: Of the completions that are drawn.
    """

    name: str
    tasks: Sequence[Task]
    samples: int
    ks: Sequence[int]
    kind: PromptKind = "standard"
    attempts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for option, value in (("-n", self.samples), ("--attempts", self.attempts)):
            if value < 1:
                raise ConfigurationError(f"{option}: got {value}, expected 1 or more")
        if not self.ks or min(self.ks) < 1 or max(self.ks) > self.samples:
            raise ConfigurationError(
                f"-k: got {','.join(map(str, self.ks)) or 'nothing'}, expected numbers from 1 to {self.samples}, which "
                "is how many completions each task has (-n)"
            )

    @property
    def sha256(self) -> str:
        """Of all tasks."""
        return hashlib.sha256("".join(sha256_of(task) for task in self.tasks).encode()).hexdigest()

    def identity(self, model: Mapping[str, Any], sampling: Sampling) -> dict[str, Any]:
        """What makes the completions: another one makes other completions. Their number does not."""
        drawing = {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
        return {
            "evaluation": "qiskit_tasks",
            "tasks": {"name": self.name, "count": len(self.tasks), "sha256": self.sha256},
            "model": dict(model),
            "sampling": {"prompt": self.kind, "attempts": self.attempts}
            | ({} if model.get("kind") == "file" else drawing),
            "seed": self.seed,
        }


def sha256_of(task: Task) -> str:
    """Of everything in a task that a verdict depends on."""
    content = task.model_dump(mode="json", exclude={"tags", "level", "reference", "wrong"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def evaluate(
    plan: Plan,
    model: Model | None,
    identity: Mapping[str, Any],
    sampling: Sampling,
    kept: Keeps,
    judges: Judges,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Report:
    """Draw what is missing, judge everything, and repair.

    Args:
        model: None where all completions are kept already.
        identity: As `Plan.identity` gives.
        progress: Told what is done, how much of it, and of how much.

    Raises:
        InfrastructureError: the model or what judges is out of order; what was drawn is kept.
    """
    tries: dict[tuple[str, int], list[Judged]] = {}
    prompts: dict[tuple[str, int], Prompt] = {}
    open_pairs = [(task.id, sample) for task in plan.tasks for sample in range(plan.samples)]
    if model is not None or plan.attempts > 1:
        instructed = model is not None and model.says_errors and identity["model"].get("kind") != "run"
        for task in plan.tasks:
            prompt = first_prompt(task, plan.kind, instructed=instructed)
            prompts |= {(task.id, sample): prompt for sample in range(plan.samples)}
    for attempt in range(1, plan.attempts + 1):
        keys = [(task_id, sample, attempt) for task_id, sample in open_pairs]
        _draw(keys, prompts, plan.seed, model, kept, progress)
        for key, found in zip(keys, _judged(keys, kept, judges, attempt, progress), strict=True):
            tries.setdefault(key[:2], []).append(found)
        open_pairs = [pair for pair in open_pairs if not tries[pair][-1].passed]
        if attempt < plan.attempts:
            for pair in open_pairs:
                said = kept.completions[(*pair, attempt)].text
                prompts[pair] = repair_prompt(prompts[pair], said, _told(tries[pair][-1]))
    first = [kept.completions[task.id, sample, 1] for task in plan.tasks for sample in range(plan.samples)]
    facts = [TaskFacts(task.id, sha256_of(task), task.level, tuple(task.tags), task.in_process) for task in plan.tasks]
    return build_report(
        facts,
        {task.id: [tries[task.id, sample] for sample in range(plan.samples)] for task in plan.tasks},
        ks=plan.ks,
        attempts=plan.attempts,
        cut=sum(drawn.cut for drawn in first),
        tasks=identity["tasks"],
        model=identity["model"],
        sampling={"n": plan.samples, **identity["sampling"], "seed": plan.seed},
        versions=judges.versions,
        profile=judges.profile,
    )


def _draw(
    keys: Sequence[Key],
    prompts: Mapping[tuple[str, int], Prompt],
    seed: int,
    model: Model | None,
    kept: Keeps,
    progress: Callable[[str, int, int], None],
) -> None:
    missing = [key for key in keys if key not in kept.completions]
    if not missing:
        return
    if model is None:
        raise ConfigurationError(f"there is no completion {missing[0][1] + 1} of {missing[0][0]}, and no model to ask")
    attempts = {(task_id, sample): attempt for task_id, sample, attempt in missing}
    questions = [Question(key[0], key[1], prompts[key[:2]], question_seed(seed, key)) for key in missing]
    for done, (question, answer) in enumerate(model.answers(questions), 1):
        pair = (question.task_id, question.sample)
        kept.add((*pair, attempts[pair]), Drawn(answer.text, answer.cut))
        progress("completions", done + len(keys) - len(missing), len(keys))


def _judged(
    keys: Sequence[Key],
    kept: Keeps,
    judges: Judges,
    attempt: int,
    progress: Callable[[str, int, int], None],
) -> Iterator[Judged]:
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        yield from judges.judge([key[0] for key in batch], [kept.completions[key].text for key in batch])
        progress("judged" if attempt == 1 else "repairs judged", start + len(batch), len(keys))


def _told(judged: Judged) -> str:
    if judged.verdict is Verdict.INVALID:
        return judged.detail or "there is no program in the answer"
    return judged.detail or judged.verdict.value
