"""What the store gives back: frozen records, without a connection behind them.

`row()` of each is a mapping of JSON values in reading order, for tables, CSV and data frames: scalars, but for the
point of a sweep and what an event carries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.machine.processes import ProcessName
from qecforge.store.records.codes import Row, iso

__all__ = ["Artifact", "Comparison", "Event", "PolicyEvaluation", "Run", "RunLock", "RunStatus", "Series"]


def _text(value: Any) -> str | None:
    """Of a row's value, in a notebook."""
    return None if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


RunStatus: TypeAlias = Literal["pending", "running", "interrupted", "failed", "finished"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """One run: what was asked for, with what it was carried out, how it ended.

    Attributes:
        id: The first 12 hexadecimal digits of `identity` (more where two runs share them; of a run from before schema
            0003 those of the identity that it had then).
        identity: SHA-256 of the canonical manifest without its evaluations.
        phase: What it was doing when its status was last set, such as `train`.
        error: One line, for `failed` and `interrupted`.
        reward: None for the environment's native one.
        manifest: Canonical JSON of the resolved manifest; `manifest_source` is the file as the user wrote it.
        sweep_point: The values of this run in its manifest's sweep, by dotted path.
        provenance: Versions, git revision, machine, threads.
        spent: Seconds that attempts at it took; None for runs from before schema 0003. What a killed attempt did
            after its last checkpoint is not in it.
        started_at: When it was first marked `running`; `ended_at`: when it last stopped, None while it runs. In UTC.
    """

    id: str
    identity: str
    name: str
    seed: int
    status: RunStatus
    phase: str | None
    error: str | None
    environment: str
    reward: str | None
    agent: str
    quantizer: str | None
    manifest: str
    manifest_source: str
    sweep_point: Mapping[str, Any]
    provenance: Mapping[str, Any]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    spent: float | None = None

    def __repr__(self) -> str:
        error = f": {self.error}" if self.error else ""
        return f"<Run {self.id} {self.group}, seed {self.seed}, {self.status}{error}>"

    def _repr_html_(self) -> str:
        """For notebooks: what it was and how it ended, its manifest below."""
        from qecforge.notebooks import run_html

        row = self.row()
        title = f"run {row.pop('id')}, {row.pop('name')}"
        return run_html(
            title, {name.replace("_", " "): _text(value) for name, value in row.items()}, self.manifest_source
        )

    @property
    def seconds(self) -> float | None:
        """How long it took, without the pauses between attempts; None while that is not known. Of a run from before
        schema 0003 from first start to last end."""
        if self.spent is not None:
            return self.spent
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def group(self) -> str:
        """The name, with the sweep point where there is one."""
        point = ", ".join(f"{path}={value}" for path, value in sorted(self.sweep_point.items()))
        return f"{self.name} [{point}]" if point else self.name

    def row(self) -> Row:
        """Without manifest and provenance; the point of the sweep as a mapping."""
        return {
            "id": self.id,
            "name": self.name,
            "seed": self.seed,
            "status": self.status,
            "phase": self.phase,
            "environment": self.environment,
            "reward": self.reward,
            "agent": self.agent,
            "quantizer": self.quantizer,
            "sweep_point": dict(sorted(self.sweep_point.items())),
            "created_at": iso(self.created_at),
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
            "seconds": self.seconds,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class RunLock:
    """That a process carries a run out.

    Attributes:
        token: What the holder knows it by.
        beats: How often the holder has said that it is still there: grows every few seconds as long as it is.
    """

    run_id: str
    token: str
    process: ProcessName
    beats: int
    taken_at: datetime


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Series:
    """One metric of one run, in order of step.

    Attributes:
        step: (T,) int64, environment steps.
        value: (T,) float64, NaN where it was NaN.
        wall_time: (T,) float64, seconds since the run began.
    """

    run_id: str
    name: str
    step: NDArray[np.int64]
    value: NDArray[np.float64]
    wall_time: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        ends = f", steps {self.step[0]} to {self.step[-1]}, last {self.last:g}" if len(self) else ""
        return f"<Series {self.name} of run {self.run_id}, {len(self)} values{ends}>"

    def _repr_html_(self) -> str:
        """For notebooks: its course as a small drawing."""
        from qecforge.notebooks import series_html

        return series_html(f"{self.name} of run {self.run_id}", self.step, self.value)

    @property
    def last(self) -> float:
        """The value at the largest step; NaN for an empty series."""
        return float(self.value[-1]) if len(self) else math.nan


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """Named numbers of one evaluation of a run's policy; a single number stands under the evaluation's name."""

    run_id: str
    name: str
    values: Mapping[str, float]
    payload: Mapping[str, Any] | None = field(repr=False)
    created_at: datetime

    def row(self) -> Row:
        """Flat, a column for each number."""
        return {"run_id": self.run_id, "name": self.name, **self.values, "created_at": iso(self.created_at)}


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that belongs to a run. `Store.read_artifact` gives its content."""

    run_id: str
    kind: str
    name: str
    sha256: str
    size: int
    created_at: datetime

    def row(self) -> Row:
        """Flat."""
        return {
            "run_id": self.run_id,
            "kind": self.kind,
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "created_at": iso(self.created_at),
        }


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a run."""

    id: int
    run_id: str
    kind: str
    payload: Mapping[str, Any] = field(repr=False)
    created_at: datetime

    def row(self) -> Row:
        """Flat; the payload as it is."""
        return {
            "id": self.id,
            "run_id": self.run_id,
            "kind": self.kind,
            "payload": self.payload,
            "created_at": iso(self.created_at),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One group of runs, which compute the same but for the seed, under one metric.

    Attributes:
        group: The runs' name and sweep point; where another group is called alike, with what they compute otherwise.
        values: The metric's last value in each run, by run id; runs without it are left out and listed in `missing`.
        std: Sample standard deviation (n - 1); NaN for a single run, and where a value is not finite.
        low, high: Student's interval of the mean; NaN as `std` is.
        unfinished: Status of the runs that are not finished, by run id.
        repeated_seeds: Ids of the runs that have a seed in common, by seed.
    """

    group: str
    metric: str
    values: Mapping[str, float]
    mean: float
    std: float
    low: float
    high: float
    confidence: float
    missing: tuple[str, ...] = field(default=())
    unfinished: Mapping[str, RunStatus] = field(default_factory=dict)
    repeated_seeds: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """One line for each reservation about the mean, such as a run that is not finished."""
        lines = [f"run {run_id} is {status}" for run_id, status in self.unfinished.items()]
        lines += [f"seed {seed} is there twice or more: {', '.join(ids)}" for seed, ids in self.repeated_seeds.items()]
        lines += [f"run {run_id} has no {self.metric}" for run_id in self.missing]
        lines += [
            f"run {run_id}: the last {self.metric} is {value}, and so is the mean: there is no interval"
            for run_id, value in self.values.items()
            if not math.isfinite(value)
        ]
        if not self.values:
            lines.append(f"no run has {self.metric}: there is no mean")
        elif len(self.values) == 1:
            lines.append("one run alone has no standard deviation and no interval: add seeds")
        return [f"{self.group}: {line}" for line in lines]

    def row(self) -> Row:
        """Flat."""
        return {
            "group": self.group,
            "metric": self.metric,
            "runs": len(self.values),
            "mean": self.mean,
            "std": self.std,
            "low": self.low,
            "high": self.high,
            "missing": len(self.missing),
            "unfinished": len(self.unfinished),
            "repeated_seeds": len(self.repeated_seeds),
        }
