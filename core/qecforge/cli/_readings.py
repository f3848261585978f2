"""What runs say of themselves while they work: a few numbers, their history, their words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from qecforge.errors import printable
from qecforge.reporting.tables import number
from qecforge.reporting.views import PluginView, failed, readings, unit, views_of_specs

if TYPE_CHECKING:
    from qecforge.contracts.views import Reading
    from qecforge.manifest import RunPlan

__all__ = ["History", "Readings", "Watched", "sparkline"]

_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*#@"


class History:
    """The course of a number from its beginning, in bounded memory: neighbours are averaged as it grows.

    Args:
        size: From `size` values on it is kept as `size` to 2 * `size` means of equally many values.
    """

    def __init__(self, size: int = 64) -> None:
        self._size, self._stride = size, 1
        self._means: list[float] = []
        self._sum, self._count = 0.0, 0
        self.last, self.least, self.greatest = math.nan, math.inf, -math.inf

    def add(self, value: float) -> None:
        """Append a finite value."""
        self.last, self.least, self.greatest = value, min(self.least, value), max(self.greatest, value)
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._stride:
            return
        means = [*self._means, self._sum / self._count]
        self._sum, self._count = 0.0, 0
        if len(means) == 2 * self._size:
            means = [(means[i] + means[i + 1]) / 2 for i in range(0, len(means), 2)]
            self._stride *= 2
        self._means = means

    def values(self) -> list[float]:
        """The means, oldest first; the last one of the values since."""
        return [*self._means, self._sum / self._count] if self._count else list(self._means)


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A line of at most `width` characters whose heights are the values, each the mean of its share of them.

    Heights go from the least to the greatest mean; where all are equal the line is low.
    """
    columns = min(width, len(values))
    if columns < 1:
        return ""
    cuts = [round(i * len(values) / columns) for i in range(columns + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(cuts)]
    low, span = min(means), max(means) - min(means)
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    return "".join(levels[round((mean - low) / span * (len(levels) - 1)) if span > 0 else 0] for mean in means)


@dataclass
class Watched:
    """A reading and the history of its values.

    Attributes:
        reading: What is watched.
        of: Whose view has it; None for what is watched of every run.
        error: What its way of writing values has raised; from then on plain numbers stand in for it.
    """

    reading: Reading
    of: PluginView | None
    history: History = field(default_factory=History)
    error: Exception | None = None

    def show(self, value: float) -> str:
        """The value as the view writes it."""
        if self.reading.show is not None and self.error is None:
            try:
                return str(self.reading.show(value))
            except Exception as error:
                self.error = error
        return number(value)

    def add(self, value: float) -> str | None:
        """Append a finite value. Gives a line where the view fails to write it, the first time."""
        self.history.add(value)
        before = self.error
        self.show(value)
        return None if self.error is before else failed(f"the view of {self.of} ({self.reading.label})", self.error)

    def say(self) -> str:
        """Its latest value in words, such as `detection rate 0.08`."""
        value = self.show(self.history.last)
        words = self.reading.words.replace("{}", value) if self.reading.words else f"{self.reading.label} {value}"
        return printable(words, keep="")


class Readings:
    """What one run has reported of the numbers that are watched.

    Attributes:
        unit: Of its progress.
    """

    def __init__(self, plan: RunPlan) -> None:
        views = views_of_specs(plan.environment.spec, plan.agent.spec)
        self.unit = unit(views)
        self._watched = {reading.metric: Watched(reading, of) for of, reading in readings(views)}

    def add(self, metrics: Mapping[str, float]) -> list[str]:
        """Take what a report holds of them; what is not finite is passed over. Gives a line for each view that
        failed."""
        reported = [(each, float(metrics[name])) for name, each in self._watched.items() if name in metrics]
        lines = [each.add(value) for each, value in reported if math.isfinite(value)]
        return [line for line in lines if line is not None]

    def rows(self) -> list[Watched]:
        """Those known, in the order shown."""
        return [watched for watched in self._watched.values() if math.isfinite(watched.history.last)]

    @property
    def drawn(self) -> bool:
        """Whether a view has any of them: there is more to see than a number beside a bar."""
        return any(watched.of is not None for watched in self.rows())

    def words(self) -> str:
        """Latest values, such as `detection rate 0.08, sigma 0.4`; empty before the first report."""
        return ", ".join(watched.say() for watched in self.rows())
