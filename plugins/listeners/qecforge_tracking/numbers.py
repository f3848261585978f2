"""What trackers are told of codes and error rates: a name, a step and a number."""

from __future__ import annotations

from collections.abc import Iterator

from qecforge.evaluation import ErrorCounts, ErrorRateTask
from qecforge.store import CodeRecord

__all__ = ["RatesSoFar", "code_numbers"]


def code_numbers(record: CodeRecord) -> Iterator[tuple[str, float]]:
    """Distance and gates of a code."""
    yield "code/distance", float(record.distance)
    if record.gate_count is not None:
        yield "code/gates", float(record.gate_count)


class RatesSoFar:
    """Logical error rates of a run, over all shots that it was told of."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, task: ErrorRateTask, counts: ErrorCounts) -> tuple[str, int, float]:
        """Name of the series, shots so far, and the rate."""
        shots, errors = self._counts.get(task.task_id, (0, 0))
        shots, errors = shots + counts.shots, errors + counts.errors
        self._counts[task.task_id] = shots, errors
        return f"error_rate/{task.code_digest[:12]}/p={task.p:g}", shots, errors / shots if shots else 0.0
