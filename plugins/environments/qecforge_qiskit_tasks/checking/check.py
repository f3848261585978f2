"""The check of a set of tasks, in a sandbox: what `qecforge tasks check` does."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qecforge.errors import ConfigurationError, one_line
from qecforge.sandbox import Limits, Verdict
from qecforge_qiskit_tasks.checking.mutants import Mutant, empty_program, mutants_of
from qecforge_qiskit_tasks.checking.report import LEAST_SCORE, SetCheck, TaskCheck
from qecforge_qiskit_tasks.judging import JudgeConfig, JudgedCompletion, TaskJudge
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["CheckConfig", "check_tasks"]

OTHER_WAY = " (the other way)"
SHORTEST, TIMES = 1.0, 4.0
"""A mutant may take as many seconds and as many times what the reference took, in powers of two: many never end."""
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """How much is checked.

    Attributes:
        repeats: How often each reference must pass.
        mutants: At most so many of a task; None for all.
        least: Mutation score that the set needs.
        cells: Programs at once; None for the cores that may be used.
        profile: Of the sandbox.
        transcripts, read_transcripts: As of `JudgeConfig`: what was run before is not run again.
    """

    repeats: int = 20
    mutants: int | None = None
    least: float = LEAST_SCORE
    cells: int | None = None
    profile: str = "bubblewrap"
    transcripts: str | Path | None = None
    read_transcripts: bool = True


def check_tasks(
    tasks: Sequence[Task],
    config: CheckConfig | None = None,
    *,
    judge: TaskJudge | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SetCheck:
    """Prove a set: references pass, wrong solutions and a program that does nothing fail, mutants are killed.

    Args:
        judge: What judges; its tasks and its seed are set here. None for one of this function's own.
        progress: Told how many tasks are done, and of how many.

    Raises:
        SandboxUnavailable: programs cannot be isolated here.
        InfrastructureError: the sandbox is out of order.
    """
    config = config or CheckConfig()
    if judge is not None:
        return _Checking(tasks, config, judge).run(progress)
    judging = JudgeConfig(
        cells=config.cells,
        profile=config.profile,
        compare=False,
        transcripts=config.transcripts,
        read_transcripts=config.read_transcripts,
    )
    with TaskJudge([], judging) as own:
        return _Checking(tasks, config, own).run(progress)


class _Checking:
    def __init__(self, tasks: Sequence[Task], config: CheckConfig, judge: TaskJudge) -> None:
        self.tasks, self.config, self.judge = tasks, config, judge
        self.checks = {task.id: TaskCheck(id=task.id, judged=not task.in_process) for task in tasks}
        others = [
            task.model_copy(update={"id": task.id + OTHER_WAY, "in_process": not task.in_process}) for task in tasks
        ]
        judge.tasks = {task.id: task for task in (*tasks, *others)}

    def run(self, progress: Callable[[int, int], None] | None) -> SetCheck:
        done = 0
        for start in range(0, len(self.tasks), BATCH):
            batch = self.tasks[start : start + BATCH]
            passing = self._references(batch)
            for task in batch:
                if task.id in passing:
                    self._others(task, passing[task.id])
                done += 1
                if progress is not None:
                    progress(done, len(self.tasks))
        sandbox = self.judge.circumstances()["sandbox"] if self.judge.ran else None
        return SetCheck(tasks=list(self.checks.values()), least=self.config.least, sandbox=sandbox)

    def _references(self, tasks: Sequence[Task]) -> dict[str, JudgedCompletion]:
        """Run references with one seed after another, and once the other way; first outcomes of those that pass."""
        self._seed(0)
        first = self._carefully([task for task in tasks if self._is_readable(task)])
        readable = [task for task in tasks if task.id in first]
        for task in readable:
            self._count(task, first[task.id])
        passing = [task for task in readable if first[task.id].passed]
        for seed in range(1, self.config.repeats):
            for task, outcome in zip(passing, self._run(passing, seed), strict=True):
                self._count(task, outcome)
        for task in passing:
            check = self.checks[task.id]
            if check.passes < check.repeats:
                failed = check.repeats - check.passes
                check.problems.append(
                    f"flaky: the reference failed {failed} times of {check.repeats}; seed what it draws"
                )
        self._seed(0)
        other = self._carefully(readable, OTHER_WAY)
        for task in readable:
            if task.id in other:
                self._compare(task, first[task.id], other[task.id])
        return {task.id: first[task.id] for task in passing}

    def _carefully(self, tasks: Sequence[Task], suffix: str = "") -> dict[str, JudgedCompletion]:
        """Outcomes of references, without those of tasks whose tests cannot be loaded: a problem of the task."""
        try:
            ids = [task.id + suffix for task in tasks]
            outcomes = self.judge.judge_programs(ids, _references(tasks))
            return dict(zip([task.id for task in tasks], outcomes, strict=True))
        except ConfigurationError as error:
            if len(tasks) == 1:
                if not suffix:
                    self.checks[tasks[0].id].problems.append(one_line(error, 300))
                return {}
        half = (len(tasks) + 1) // 2
        return self._carefully(tasks[:half], suffix) | self._carefully(tasks[half:], suffix)

    def _is_readable(self, task: Task) -> bool:
        problems = self.checks[task.id].problems
        try:
            tree = ast.parse(task.reference)
        except (SyntaxError, ValueError, RecursionError) as error:
            problems.append(f"the reference is no Python ({error})")
            return False
        if not any(_defines(each, task.entry_point) for each in tree.body):
            problems.append(f"the reference does not define {task.entry_point}, its entry point")
            return False
        return True

    def _run(self, tasks: Sequence[Task], seed: int) -> list[JudgedCompletion]:
        self._seed(seed)
        return self.judge.judge_programs([task.id for task in tasks], _references(tasks))

    def _seed(self, seed: int) -> None:
        self.judge.config = replace(self.judge.config, seed=seed)

    def _count(self, task: Task, outcome: JudgedCompletion) -> None:
        check = self.checks[task.id]
        check.repeats += 1
        check.passes += outcome.passed
        if check.repeats == 1 and not outcome.passed:
            check.problems.append(f"the reference fails: {_why(outcome)}")

    def _compare(self, task: Task, own: JudgedCompletion, other: JudgedCompletion) -> None:
        """What running the reference the other way shows: whether a task `in_process` need be."""
        check = self.checks[task.id]
        if task.in_process:
            check.outside = other.passed
            if other.passed:
                check.problems.append("its tests pass outside the program too: take `in_process` away")
        else:
            check.inside = other.passed
            if other.passed and not own.passed:
                check.problems.append("its tests pass in the program's own process alone: they need live objects")

    def _others(self, task: Task, reference: JudgedCompletion) -> None:
        """The program that does nothing, wrong solutions, mutants: all at once."""
        check = self.checks[task.id]
        mutants = mutants_of(task.reference, task.entry_point, most=self.config.mutants)
        empty = empty_program(task.reference, task.entry_point)
        short = f"{task.id} (mutants)"
        self.judge.tasks = {**self.judge.tasks, short: _shortened(task, reference)}
        self._seed(0)
        outcomes = self.judge.judge_programs(
            [task.id] * (1 + len(task.wrong)) + [short] * len(mutants),
            [empty, *task.wrong, *(each.source for each in mutants)],
        )
        if outcomes[0].passed:
            check.problems.append("the tests accept a program that does nothing")
        check.wrong = len(task.wrong)
        for number, outcome in enumerate(outcomes[1 : 1 + len(task.wrong)], 1):
            check.refused += not outcome.passed
            if outcome.passed:
                check.problems.append(f"wrong solution {number} passes: add a test that it fails")
        self._count_mutants(task, mutants, outcomes[1 + len(task.wrong) :])

    def _count_mutants(self, task: Task, mutants: Sequence[Mutant], outcomes: Sequence[JudgedCompletion]) -> None:
        check = self.checks[task.id]
        check.mutants = len(mutants)
        for mutant, outcome in zip(mutants, outcomes, strict=True):
            declared = mutant.change in task.equivalent
            if not outcome.passed:
                check.killed += 1
                if declared:
                    check.problems.append(f"declared equivalent, but a test notices it: {mutant.change}")
            elif declared:
                check.equivalent += 1
            else:
                check.survivors.append(mutant.change)
        known = {each.change for each in mutants_of(task.reference, task.entry_point)}
        for change in task.equivalent:
            if change not in known:
                check.problems.append(f"declared equivalent, but no mutant of the reference: {change}")


def _references(tasks: Sequence[Task]) -> list[str]:
    return [task.reference for task in tasks]


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == name
    return isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id == name for each in node.targets)


def _shortened(task: Task, reference: JudgedCompletion) -> Task:
    """The task with less time, for programs of which many never end."""
    seconds = SHORTEST
    while seconds < TIMES * reference.cpu_seconds:
        seconds *= 2
    limits = {**task.limits, "cpu_seconds": min(seconds, Limits(**task.limits).cpu_seconds)}
    return task.model_copy(update={"id": f"{task.id} (mutants)", "limits": limits})


def _why(outcome: JudgedCompletion) -> str:
    failed = next((f"{each.name}: {each.detail}" for each in outcome.tests if each.status != "passed"), "")
    said = " ".join((failed or outcome.detail).split())
    verdict = "" if outcome.verdict is Verdict.FAILED else f"{outcome.verdict.value}: "
    return verdict + (said if len(said) <= 200 else said[:199] + "…")
