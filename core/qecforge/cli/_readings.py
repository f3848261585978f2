"""What a run that holds a device calibrated says of itself: a few numbers, their history, their words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from qecforge.reporting.tables import number

__all__ = ["READINGS", "History", "Reading", "Readings", "sparkline"]

_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*#@"


class History:
    """The course of a number from its beginning, in bounded memory: neighbours are averaged as it grows.

    Args:
        size: It is kept as `size` to 2 * `size` means of equally many values, once there are so many.
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


def _per_second(value: float) -> str:
    return number(round(value) if value >= 100 else value)


@dataclass(frozen=True)
class Reading:
    """A metric that is watched.

    Attributes:
        metric: Its name in the log.
        label: What people call it.
        show: How its values are written.
        words: The sentence's part about it, `{}` for the value.
    """

    metric: str
    label: str
    show: Callable[[float], str] = number
    words: str = ""

    def say(self, value: float) -> str:
        """In words, such as `detection rate 0.08`."""
        return (self.words or f"{self.label} {{}}").format(self.show(value))


READINGS = (
    Reading("detection_rate", "detection rate"),
    Reading("logical_error_rate", "logical error rate"),
    Reading("sigma", "sigma"),
    Reading("time/epochs_per_second", "epochs/s", _per_second, "{} epochs/s"),
)
"""In the order shown; a run that reports the first of them is one that is watched."""


@dataclass
class Readings:
    """The history of each number that one run has reported."""

    histories: dict[Reading, History] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Take what a report holds of them; what is not finite is passed over."""
        for reading in READINGS:
            value = metrics.get(reading.metric)
            if value is not None and math.isfinite(value):
                self.histories.setdefault(reading, History()).add(float(value))

    def __bool__(self) -> bool:
        return READINGS[0] in self.histories

    def rows(self) -> list[tuple[Reading, History]]:
        """Those known, in the order shown."""
        return [(reading, self.histories[reading]) for reading in READINGS if reading in self.histories]

    def words(self) -> str:
        """Latest values, such as `detection rate 0.08, sigma 0.4`; empty before the first report."""
        return ", ".join(reading.say(history.last) for reading, history in self.rows()) if self else ""
