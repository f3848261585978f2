"""Two reports on the same tasks, by paired tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qecforge.errors import ConfigurationError
from qecforge.reporting.tables import Column, Table, percent
from qecforge_qiskit_tasks.evaluation.report import Report, TaskResult
from qecforge_qiskit_tasks.evaluation.statistics import paired_difference, pass_at_k

__all__ = ["comparison_table"]

COLUMNS = (
    Column("tests"),
    Column("attempts"),
    Column("k", "pass@k"),
    Column("tasks"),
    Column("first", show=percent),
    Column("second", show=percent),
    Column("difference", show=lambda value: f"{100 * value:+.1f} %"),
    Column("low", "95 % from", show=lambda value: f"{100 * value:+.1f} %"),
    Column("high", "to", show=lambda value: f"{100 * value:+.1f} %"),
    Column("p_value", "p", show=lambda value: f"{value:.2g}"),
    Column("higher", "first higher in"),
    Column("lower", "second higher in"),
    Column("exact", detail=True),
)


def comparison_table(first: Report, second: Report, names: tuple[str, str]) -> Table:
    """A row for each kind of tests, number of attempts and k that both reports have.

    The difference is first - second with a bootstrap interval over tasks; p is of the permutation test that exchanges
    the two within tasks. Tasks that only one of them has, or has otherwise, are left out, and the title says how many.

    Args:
        names: What the two are called.

    Raises:
        ConfigurationError: they have no task in common.
    """
    theirs = {result.task_id: result for result in second.by_task}
    pairs = [(mine, theirs[mine.task_id]) for mine in first.by_task if mine.task_id in theirs]
    same = [(mine, other) for mine, other in pairs if mine.sha256 == other.sha256]
    if not same:
        raise ConfigurationError(
            f"--compare: {names[0]} and {names[1]} have no task in common ({len(pairs)} have the same id with other "
            "content): evaluate both on one set"
        )
    left_out = len(first.by_task) + len(second.by_task) - 2 * len(same)
    title = f"{names[0]} (first) against {names[1]} (second), {len(same)} tasks"
    if left_out:
        title += f"; {left_out} results left out, whose tasks the other has not, or has otherwise"
    ks = sorted({figure.k for figure in first.figures} | {figure.k for figure in second.figures})
    if {first.profile, second.profile} != {"bubblewrap"}:
        title += f"; sandbox profiles {first.profile} and {second.profile}"
    return Table(COLUMNS, list(_rows(same, ks)), title)


def _rows(pairs: Sequence[tuple[TaskResult, TaskResult]], ks: Sequence[int]) -> Iterator[dict[str, object]]:
    for tests in ("judged", "in_process"):
        of_kind = [pair for pair in pairs if pair[0].tests == tests]
        if not of_kind:
            continue
        fewest = min(result.completions for pair in of_kind for result in pair)
        attempts = min(len(result.passed) for pair in of_kind for result in pair)
        for attempt in range(1, attempts + 1):
            for k in ks or [1]:
                if k <= fewest:
                    yield {"tests": tests, "attempts": attempt, "k": k, **_row(of_kind, attempt, k)}


def _row(pairs: Sequence[tuple[TaskResult, TaskResult]], attempt: int, k: int) -> dict[str, object]:
    first, second = (
        [pass_at_k(pair[side].completions, pair[side].passed[attempt - 1], k) for pair in pairs] for side in (0, 1)
    )
    found = paired_difference(first, second)
    return {
        "tasks": found.tasks,
        "first": sum(first) / len(first),
        "second": sum(second) / len(second),
        "difference": found.interval.estimate,
        "low": found.interval.low,
        "high": found.interval.high,
        "p_value": found.p_value,
        "higher": found.higher,
        "lower": found.lower,
        "exact": found.exact,
    }
