"""Deadlines of long computations, by `time.perf_counter()`."""

from __future__ import annotations

import time

__all__ = ["OutOfTime", "check_deadline"]


class OutOfTime(Exception):
    """The deadline passed before the answer was known."""


def check_deadline(deadline: float) -> None:
    """Raise `OutOfTime` once the clock is past `deadline`."""
    if time.perf_counter() > deadline:
        raise OutOfTime
