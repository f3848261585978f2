"""What a run reports while it lasts and afterwards: metrics, evaluations, events; and runs compared by them."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from qecforge.errors import ConfigurationError, one_line
from qecforge.evaluation.statistics import mean_interval
from qecforge.machine.masking import masked_values
from qecforge.store import _sql
from qecforge.store._rows import checked, checked_column
from qecforge.store._runs import RunStore
from qecforge.store.models import EventRow, MetricRow, PolicyEvaluationRow, RunRow
from qecforge.store.records import Comparison, Event, PolicyEvaluation, Run, Series

__all__ = ["MetricStore"]

_Form = Mapping[str, Any]
"""A canonical manifest without seeds, flat: dotted path -> value."""


class MetricStore(RunStore):
    """The part of `Store` that keeps metrics, policy evaluations and events."""

    def add_metrics(
        self, run_id: str, values: Iterable[tuple[str, int, float, float]], *, anew: Collection[str] = ()
    ) -> None:
        """Append (name, step, value, wall_time) to a run's series. A step that a series has already is passed over.

        Args:
            anew: Series that begin anew: what was filed of them without a wall time, by an evaluation, goes first.
        """
        rows = [
            {
                "name": name,
                "step": int(step),
                "value": None if math.isnan(value) else float(value),
                "wall_time": float(wall_time),
            }
            for name, step, value, wall_time in values
        ]
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            if anew:
                of_series = (MetricRow.run_id == run_id, MetricRow.name.in_(anew), MetricRow.wall_time == 0.0)
                connection.execute(delete(MetricRow).where(*of_series))
            _sql.insert_ignore(connection, MetricRow, [{**row, "run_id": run_id} for row in rows])

    def metrics(self, run_id: str, name: str) -> Series:
        """One series of a run, in order of step; empty where the run has none of this name (`metric_names`)."""
        with self._database.reading() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            return _series(connection, run_id, name)

    def metric_names(self, run_id: str) -> list[str]:
        """Names of a run's series, sorted."""
        with self._database.reading() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            names = select(MetricRow.name).where(MetricRow.run_id == run_id).distinct().order_by(MetricRow.name)
            return checked_column(MetricRow, "name", connection.scalars(names), {"run_id": run_id})

    def _metric_columns(self, run_id: str | None = None, *, metric: str | None = None) -> dict[str, list[Any]]:
        """The table of metrics by column, ordered by run, name and step."""
        table = MetricRow.__table__
        query = select(table).order_by(MetricRow.run_id, MetricRow.name, MetricRow.step)
        if metric is not None:
            query = query.where(MetricRow.name == metric)
        with self._database.reading() as connection:
            if run_id is not None:
                query = query.where(MetricRow.run_id == _sql.find_id(connection, RunRow, run_id))
            rows = [tuple(checked(MetricRow, row).values()) for row in connection.execute(query).all()]
        columns = zip(*rows, strict=True) if rows else ((),) * len(table.columns)
        named = {column.name: list(values) for column, values in zip(table.columns, columns, strict=True)}
        named["value"] = [math.nan if value is None else value for value in named["value"]]
        return named

    def add_policy_evaluation(
        self,
        run_id: str,
        name: str,
        value: float | Mapping[str, float],
        *,
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """File one number, or several by name, about a run's policy. The same name again replaces what was there."""
        named = value if isinstance(value, Mapping) else {name: value}
        row = {
            "values": _sql.json_object({key: float(number) for key, number in named.items()}, f"evaluation {name}"),
            "payload": None if payload is None else _sql.json_object(payload, f"evaluation {name}"),
            "created_at": _sql.now(),
        }
        with self._database.writing() as connection:
            key = {"run_id": _sql.find_id(connection, RunRow, run_id), "name": name}
            _sql.upsert(connection, PolicyEvaluationRow, key, row)

    def policy_evaluations(self, run_id: str | None = None) -> list[PolicyEvaluation]:
        """Evaluations of a run, or of all, by run and name."""
        query = select(PolicyEvaluationRow.__table__).order_by(PolicyEvaluationRow.run_id, PolicyEvaluationRow.name)
        with self._database.reading() as connection:
            if run_id is not None:
                query = query.where(PolicyEvaluationRow.run_id == _sql.find_id(connection, RunRow, run_id))
            return [PolicyEvaluation(**checked(PolicyEvaluationRow, row)) for row in connection.execute(query).all()]

    def add_event(self, run_id: str, kind: str, payload: Mapping[str, Any] | None = None) -> None:
        """Append something that happened to a run now. Each call is an event of its own."""
        row = {"kind": kind, "payload": masked_values(_sql.json_object(payload or {}, f"event {kind}"))}
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            connection.execute(insert(EventRow), {**row, "run_id": run_id, "created_at": _sql.now()})

    def events(self, run_id: str | None = None, *, kind: str | None = None) -> list[Event]:
        """Events of a run, or of all, oldest first."""
        query = select(EventRow.__table__).order_by(EventRow.id)
        if kind is not None:
            query = query.where(EventRow.kind == kind)
        with self._database.reading() as connection:
            if run_id is not None:
                query = query.where(EventRow.run_id == _sql.find_id(connection, RunRow, run_id))
            return [Event(**checked(EventRow, row)) for row in connection.execute(query).all()]

    def compare(
        self,
        runs: Sequence[str | Run],
        metric: str,
        *,
        confidence: float = 0.95,
        resamples: int | None = None,
        seed: int | None = None,
    ) -> list[Comparison]:
        """Mean, deviation and interval of a metric in each group of runs.

        Runs whose canonical manifests differ by the seed alone are a group, whatever they are called. A run's value is
        the last of its series `metric`, else the number of this name in its policy evaluations. Unfinished runs and
        repeated seeds count like others, and are named.

        Args:
            runs: Ids, unique prefixes of ids, or `Run`s; one that is given twice counts once.
            confidence: Of Student's interval of the mean.
            resamples, seed: Of the bootstrap, which it was before. Without effect; they warn.

        Raises:
            ConfigurationError: no run has the metric; the message names those that there are.
        """
        if resamples is not None or seed is not None:
            warnings.warn("compare: resamples and seed have no effect any more", DeprecationWarning, stacklevel=2)
        if not 0 < confidence < 1:
            raise ConfigurationError(f"compare: got confidence={confidence}, expected a number between 0 and 1")
        found: dict[str, Run] = {}
        values: dict[str, float | None] = {}
        names: set[str] = set()
        with self._database.reading() as connection:
            for reference in runs:
                run_id = reference.id if isinstance(reference, Run) else reference
                run = self._load_run(connection, _sql.find_id(connection, RunRow, run_id))
                last = _last_values(connection, run.id)
                names.update(last)
                found[run.id], values[run.id] = run, last.get(metric)
        if metric not in names:
            known = one_line(", ".join(sorted(names))) or "no metrics"
            raise ConfigurationError(f"metric {metric!r}: none of these runs has it; they have: {known}")
        return _comparisons(list(found.values()), values, metric, confidence)


def _series(connection: Connection, run_id: str, name: str) -> Series:
    query = (
        select(MetricRow.step, MetricRow.value, MetricRow.wall_time)
        .where(MetricRow.run_id == run_id, MetricRow.name == name)
        .order_by(MetricRow.step)
    )
    columns = tuple(zip(*connection.execute(query), strict=True)) or ((), (), ())
    key = {"run_id": run_id, "name": name}
    steps, values, wall_times = (
        checked_column(MetricRow, column, found, key)
        for column, found in zip(("step", "value", "wall_time"), columns, strict=True)
    )
    return Series(
        run_id=run_id,
        name=name,
        step=np.array(steps, dtype=np.int64),
        value=np.array(values, dtype=np.float64),  # None, which stands for NaN, becomes it
        wall_time=np.array(wall_times, dtype=np.float64),
    )


def _last_values(connection: Connection, run_id: str) -> dict[str, float]:
    """The last value of each series of a run, and the numbers of its evaluations."""
    last = select(MetricRow.name, func.max(MetricRow.step).label("step")).where(MetricRow.run_id == run_id)
    last_steps = last.group_by(MetricRow.name).subquery()
    query = (
        select(MetricRow.name, MetricRow.value)
        .join(last_steps, (MetricRow.name == last_steps.c.name) & (MetricRow.step == last_steps.c.step))
        .where(MetricRow.run_id == run_id)
    )
    evaluated = select(PolicyEvaluationRow.name, PolicyEvaluationRow.values).where(PolicyEvaluationRow.run_id == run_id)
    values: dict[str, float] = {}
    for row in connection.execute(evaluated).all():
        values.update(checked(PolicyEvaluationRow, {**row._mapping, "run_id": run_id})["values"])
    for row in connection.execute(query).all():
        value = checked(MetricRow, {**row._mapping, "run_id": run_id})["value"]
        values[row.name] = math.nan if value is None else value
    return values


def _comparisons(
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
