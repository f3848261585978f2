"""Runs that differ by the seed alone, and a number of theirs: its mean, deviation and interval."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qecforge.errors import one_line
from qecforge.evaluation.statistics import mean_interval
from qecforge.store.records import Comparison, Run

__all__ = ["comparisons"]

_Form = Mapping[str, Any]
"""A canonical manifest without seeds, flat: dotted path -> value."""


def comparisons(
    runs: Sequence[Run], values: Mapping[str, float | None], metric: str, confidence: float
) -> list[Comparison]:
    """One for each group, in the order of its first run.

    Args:
        runs: Each once.
        values: Of the metric, by run id; None where a run has none.
    """
    groups: dict[str, list[Run]] = {}
    forms: dict[str, _Form] = {}
    for run in runs:
        form = _form(run)
        key = json.dumps(form, sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
        forms[key] = form
    names = _names(groups, forms)
    return [
        _comparison(names[key], metric, members, {run.id: values[run.id] for run in members}, confidence)
        for key, members in groups.items()
    ]


def _form(run: Run) -> _Form:
    """What the run computes, but for its seed. Of a text that is no run's canonical form, what people call the run."""
    try:
        content = json.loads(run.manifest)
    except ValueError:
        content = None
    if not isinstance(content, dict) or "seed" not in content:
        return {"name": run.group}
    return dict(_flat(content, ()))


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        yield ".".join(path), value
        return
    for key, below in value.items():
        if key != "seed" or (path and path[-1] != "manifest"):  # its own, or that of the teacher that it describes
            yield from _flat(below, (*path, key))


def _names(groups: Mapping[str, Sequence[Run]], forms: Mapping[str, _Form]) -> dict[str, str]:
    """What people call each group; where two are called alike, with what they compute otherwise."""
    called = {key: " and ".join(sorted({run.group for run in members})) for key, members in groups.items()}
    names = dict(called)
    for name, times in Counter(called.values()).items():
        if times == 1:
            continue
        alike = [key for key, other in called.items() if other == name]
        paths = sorted({path for key in alike for path in forms[key]})
        told = [path for path in paths if len({repr(forms[key].get(path)) for key in alike}) > 1]
        for key in alike:
            words = (f"{path}={one_line(json.dumps(forms[key].get(path)), 40)}" for path in told)
            names[key] = f"{name} [{', '.join(words)}]"
    return names


def _comparison(
    group: str, metric: str, runs: Sequence[Run], values: Mapping[str, float | None], confidence: float
) -> Comparison:
    present = {run_id: value for run_id, value in values.items() if value is not None}
    sample = np.array(list(present.values()), dtype=np.float64)
    mean, std, low, high = float(sample.mean()) if len(sample) else math.nan, math.nan, math.nan, math.nan
    if len(sample) > 1 and np.isfinite(sample).all():
        interval = mean_interval(sample, confidence=confidence)
        std, low, high = float(sample.std(ddof=1)), interval.low, interval.high
    seeds = Counter(run.seed for run in runs)
    return Comparison(
        group=group,
        metric=metric,
        values=present,
        mean=mean,
        std=std,
        low=low,
        high=high,
        confidence=confidence,
        missing=tuple(run_id for run_id, value in values.items() if value is None),
        unfinished={run.id: run.status for run in runs if run.status != "finished"},
        repeated_seeds={seed: tuple(run.id for run in runs if run.seed == seed) for seed in seeds if seeds[seed] > 1},
    )
