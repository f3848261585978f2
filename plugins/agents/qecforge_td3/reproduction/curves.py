"""Learning curves of the reproduction: figures, and Humanoid-v4's beside what others have published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from qecforge.reporting.tables import Column, Table
from qecforge_td3.reproduction.runs import Experiment, Training, experiments

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PUBLISHED_MEANS", "curves", "humanoid_table"]

PUBLISHED_MEANS = {
    "SAC": {100_000: 632, 200_000: 994, 300_000: 3_014, 1_000_000: 4_825},
    "CrossQ": {100_000: 2_602, 200_000: 6_347, 300_000: 9_038, 1_000_000: 10_480},
    "TD3": {1_000_000: 5_035},
}
"""Mean returns over seeds on Humanoid-v4, by environment steps: SAC and CrossQ (one update a step) as published with
CrossQ (Bhatt et al. 2024, arXiv:1902.05605), TD3 of CleanRL's benchmark. Between seeds of SAC the deviation at 300,000
steps is 1,646."""


def humanoid_table(trainings: Sequence[Training]) -> Table:
    """Tests of each arm on Humanoid-v4 beside what others have at the same step; of arms without a test no column."""
    ours = {
        arm: {step: value for each in group for step, value in zip(each.tests.step, each.tests.value, strict=True)}
        for arm, group in _by_arm(trainings, experiments()["humanoid"])
    }
    columns = {**PUBLISHED_MEANS, **ours}
    steps = sorted({int(step) for values in columns.values() for step in values}) if ours else []
    shown = [Column(name, name if name in ours else f"{name}, published", _returned) for name in columns]
    rows = [{"step": step, **{name: values.get(step) for name, values in columns.items()}} for step in steps]
    step = Column("step", "environment steps", lambda value: f"{value:,}")
    return Table((step, *shown), rows, "Humanoid-v4: test return while training, one seed, beside published means")


def _returned(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _by_arm(trainings: Sequence[Training], experiment: Experiment) -> list[tuple[str, list[Training]]]:
    """Those of an experiment that have been tested."""
    mine = [each for each in trainings if experiment.name in each.experiments and len(each.tests)]
    mine.sort(key=lambda each: experiment.arms.index(each.arm))
    return [(arm, list(group)) for arm, group in groupby(mine, key=lambda each: each.arm)]


def curves(trainings: Sequence[Training]) -> Mapping[str, Figure]:
    """A figure for each experiment that has tests: mean test return of each arm, and a deviation around it."""
    from qecforge.reporting.figures import add_legend, new_axes

    figures = {}
    for experiment in experiments().values():
        groups = _by_arm(trainings, experiment)
        if not groups:
            continue
        figure, axes = new_axes(experiment.title, "environment steps", "test return")
        for index, (arm, group) in enumerate(groups):
            _draw(axes, f"C{index}", arm, group)
        if experiment.name == "humanoid":
            for marker, (name, means) in zip("sdv", PUBLISHED_MEANS.items(), strict=True):
                label = f"{name}, published mean"
                axes.plot(list(means), list(means.values()), marker, color="grey", markersize=4, label=label)
        axes.axhline(experiment.goal, color="grey", linestyle=":", linewidth=1, label=f"goal {experiment.goal:,.0f}")
        add_legend(axes)
        figures[f"curves_{experiment.name}"] = figure
    return figures


def _draw(axes: Axes, color: str, arm: str, group: Sequence[Training]) -> None:
    """One arm, as far as the shortest of its trainings goes."""
    tests = [each.tests for each in group]
    steps = tests[0].step[: min(len(each) for each in tests)]
    values = np.stack([each.value[: len(steps)] for each in tests])
    mean, label = values.mean(axis=0), f"{arm}, {len(tests)} seed{'s' if len(tests) > 1 else ''}"
    axes.plot(steps, mean, color=color, linewidth=1.2, label=label)
    if len(tests) > 1:
        half = values.std(axis=0, ddof=1)
        axes.fill_between(steps, mean - half, mean + half, color=color, alpha=0.15, linewidth=0)
