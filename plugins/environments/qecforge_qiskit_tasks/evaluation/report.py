"""What an evaluation found: one document, for people and for programs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qecforge.contracts.text import Verdict
from qecforge.errors import ConfigurationError, one_line
from qecforge_qiskit_tasks.evaluation.removed_api import blamed_names, removed_names
from qecforge_qiskit_tasks.evaluation.removed_names import REMOVED
from qecforge_qiskit_tasks.evaluation.statistics import mean_pass_at_k, pass_at_k

__all__ = ["Figure", "Judged", "Report", "TaskFacts", "TaskResult", "build_report", "parse_report", "read_report"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Part):
    """A mean pass@k with its 95 % interval over tasks.

    Attributes:
        group, name: `all` of nothing, a `level` or a `tag`.
        tests: `judged` from outside; or `in_process`, where a program can forge the verdict.
        attempts: A completion counts as passed where one of so many attempts at it did.
        method: See `PassRate`.
    """

    group: Literal["all", "level", "tag"]
    name: str
    tests: Literal["judged", "in_process"]
    attempts: int
    k: int
    tasks: int
    completions: int
    passed: int
    estimate: float
    low: float
    high: float
    method: Literal["bootstrap", "wilson"]


class TaskResult(_Part):
    """One task.

    Attributes:
        sha256: Of the task; results of different tasks are not compared.
        passed: How many of its completions, after each attempt.
    """

    task_id: str
    sha256: str
    level: str
    tags: tuple[str, ...]
    tests: Literal["judged", "in_process"]
    completions: int
    passed: tuple[int, ...]
    verdicts: Mapping[str, int]


class RemovedUse(_Part):
    """How a name that Qiskit no longer has was used.

    Attributes:
        completions: First attempts that use it.
        failed_by_it: Of the first attempts, those whose error says that it is missing: it cost them the task.
        tasks_lost: Tasks in which that happened.
        repaired: Of `failed_by_it`, those that passed in a later attempt.
    """

    name: str
    since: str
    instead: str
    completions: int
    failed_by_it: int
    tasks_lost: int
    repaired: int


class Report(_Part):
    """Everything, in an order and with values that depend on tasks, completions and verdicts alone.

    Attributes:
        tasks: What the set is called, its SHA-256 and its size.
        model: What answered.
        sampling: How.
        versions: Of what the programs ran with; `profile` how they were isolated.
        cut: Completions that ended because of the limit of tokens.
    """

    qecforge_report: Literal[1] = 1
    tasks: Mapping[str, Any]
    model: Mapping[str, Any]
    sampling: Mapping[str, Any]
    versions: Mapping[str, str]
    profile: str
    completions: int
    cut: int
    verdicts: Mapping[str, int]
    figures: tuple[Figure, ...]
    removed_api: tuple[RemovedUse, ...]
    by_task: tuple[TaskResult, ...]

    def to_json(self) -> str:
        """Canonical: the same report is the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Judged:
    """What became of one attempt at a task.

    Attributes:
        program: What was run.
        detail: Everything that the judge said.
    """

    verdict: Verdict
    program: str
    detail: str

    @property
    def passed(self) -> bool:
        """Whether all tests did."""
        return self.verdict is Verdict.PASSED


@dataclass(frozen=True)
class TaskFacts:
    """What the report says of a task."""

    task_id: str
    sha256: str
    level: str
    tags: tuple[str, ...]
    in_process: bool


def build_report(
    facts: Sequence[TaskFacts],
    judged: Mapping[str, Sequence[Sequence[Judged]]],
    *,
    ks: Sequence[int],
    attempts: int,
    cut: int,
    tasks: Mapping[str, Any],
    model: Mapping[str, Any],
    sampling: Mapping[str, Any],
    versions: Mapping[str, str],
    profile: str,
) -> Report:
    """Count, estimate and blame.

    Args:
        judged: Of each task and each completion its attempts, the last of which decides.
        ks: For pass@k; none above the number of completions.

    Raises:
        ConfigurationError: a k is too large.
    """
    results = [_task_result(each, judged[each.task_id], attempts) for each in facts]
    last = Counter(tries[-1].verdict.value for samples in judged.values() for tries in samples)
    return Report(
        tasks=tasks,
        model=model,
        sampling=sampling,
        versions=versions,
        profile=profile,
        completions=sum(result.completions for result in results),
        cut=cut,
        verdicts={verdict.value: last[verdict.value] for verdict in Verdict if last[verdict.value]},
        figures=tuple(_figures(results, ks, attempts)),
        removed_api=_removed_uses(judged),
        by_task=tuple(results),
    )


def _task_result(facts: TaskFacts, samples: Sequence[Sequence[Judged]], attempts: int) -> TaskResult:
    passed = tuple(
        sum(any(each.passed for each in tries[:attempt]) for tries in samples) for attempt in range(1, attempts + 1)
    )
    verdicts = Counter(tries[-1].verdict.value for tries in samples)
    return TaskResult(
        task_id=facts.task_id,
        sha256=facts.sha256,
        level=facts.level,
        tags=facts.tags,
        tests="in_process" if facts.in_process else "judged",
        completions=len(samples),
        passed=passed,
        verdicts={verdict.value: verdicts[verdict.value] for verdict in Verdict if verdicts[verdict.value]},
    )


def _figures(results: Sequence[TaskResult], ks: Sequence[int], attempts: int) -> Iterator[Figure]:
    for group, name, members in _groups(results):
        for tests in ("judged", "in_process"):
            of_kind = [result for result in members if result.tests == tests]
            if of_kind:
                for attempt in range(1, attempts + 1):
                    yield from (_figure(group, name, of_kind, attempt, k) for k in ks)


def _groups(results: Sequence[TaskResult]) -> Iterator[tuple[str, str, Sequence[TaskResult]]]:
    yield "all", "all", results
    for level in _levels(results):
        yield "level", level, [result for result in results if result.level == level]
    for tag in sorted({tag for result in results for tag in result.tags}):
        yield "tag", tag, [result for result in results if tag in result.tags]


def _levels(results: Sequence[TaskResult]) -> list[str]:
    known = ("basic", "intermediate", "difficult")
    found = {result.level for result in results if result.level}
    return [level for level in known if level in found] + sorted(found - set(known))


def _figure(group: Any, name: str, results: Sequence[TaskResult], attempt: int, k: int) -> Figure:
    values = [pass_at_k(result.completions, result.passed[attempt - 1], k) for result in results]
    rate = mean_pass_at_k(values)
    return Figure(
        group=group,
        name=name,
        tests=results[0].tests,
        attempts=attempt,
        k=k,
        tasks=len(results),
        completions=sum(result.completions for result in results),
        passed=sum(result.passed[attempt - 1] for result in results),
        estimate=rate.estimate,
        low=rate.low,
        high=rate.high,
        method="wilson" if rate.method == "wilson" else "bootstrap",
    )


def _removed_uses(judged: Mapping[str, Sequence[Sequence[Judged]]]) -> tuple[RemovedUse, ...]:
    used: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    lost: dict[str, set[str]] = {}
    for task_id, samples in judged.items():
        for tries in samples:
            blamed = frozenset() if tries[0].passed else blamed_names(tries[0].detail)
            used.update(removed_names(tries[0].program) | blamed)
            failed.update(blamed)
            repaired.update(blamed if tries[-1].passed else ())
            for name in blamed:
                lost.setdefault(name, set()).add(task_id)
    names = sorted(used, key=lambda name: (-failed[name], -used[name], name))
    return tuple(
        RemovedUse(
            name=name,
            since=REMOVED[name].since,
            instead=REMOVED[name].instead,
            completions=used[name],
            failed_by_it=failed[name],
            tasks_lost=len(lost.get(name, ())),
            repaired=repaired[name],
        )
        for name in names
    )


def read_report(path: Path) -> Report:
    """A report that was written as JSON. Raises `ConfigurationError` where the file is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}), expected a report in JSON") from None
    return parse_report(str(path), content)


def parse_report(place: str, content: bytes) -> Report:
    """A report from its JSON.

    Raises:
        ConfigurationError: it is no report of this version.
    """
    try:
        report = Report.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise ConfigurationError(
            f"{place}: not a JSON report of `qecforge tasks eval` ({where}: {one_line(first['msg'], 120)})"
        ) from None
    for result in report.by_task:
        right = all(0 <= count <= result.completions for count in result.passed) and result.passed
        if not right or any(math.isnan(figure.estimate) for figure in report.figures):
            raise ConfigurationError(f"{place}: task {one_line(result.task_id, 60)} has impossible counts")
    return report
