"""What the store gives back: frozen records, without a connection behind them.

`row()` of each is a flat mapping of JSON scalars in reading order, for tables, CSV and data frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.records import ErrorCounts, ErrorRateTask

__all__ = [
    "Artifact",
    "CodeRecord",
    "Comparison",
    "Discovery",
    "DistanceKind",
    "ErrorRate",
    "Event",
    "Interval",
    "PolicyEvaluation",
    "Run",
    "RunStatus",
    "Series",
]

RunStatus: TypeAlias = Literal["pending", "running", "interrupted", "failed", "finished"]
DistanceKind: TypeAlias = Literal["exact", "lower_bound", "upper_bound"]
Row: TypeAlias = dict[str, Any]


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: what was asked for, with what it was carried out, how it ended.

    Attributes:
        id: The first 12 hexadecimal digits of `identity` (more where two runs share them).
        identity: SHA-256 of the canonical manifest.
        phase: What it was doing when its status was last set, such as `train`.
        error: One line, for `failed` and `interrupted`.
        reward: None for the environment's native one.
        manifest: Canonical JSON of the resolved manifest; `manifest_source` is the file as the user wrote it.
        sweep_point: The values of this run in its manifest's sweep, by dotted path.
        provenance: Versions, git revision, machine, threads.
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

    @property
    def seconds(self) -> float | None:
        """From first start to last end, pauses between attempts included; None before both are known."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def group(self) -> str:
        """The name, with the sweep point where there is one: what differs by the seed alone shares it."""
        point = ", ".join(f"{path}={value}" for path, value in sorted(self.sweep_point.items()))
        return f"{self.name} [{point}]" if point else self.name

    def row(self) -> Row:
        """Flat, without manifest and provenance."""
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
            "sweep_point": ", ".join(f"{path}={value}" for path, value in sorted(self.sweep_point.items())),
            "created_at": _iso(self.created_at),
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "seconds": self.seconds,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """That a run found a code, and the shortest encoder that it found for it (then the earliest).

    Attributes:
        encoder: Text of a stim circuit; qubits 0..k-1 carry the logical input, the others start in |0>.
        step: Environment steps until then; `wall_time`: seconds since the run began.
        attributes: The environment's own words.
        proof: How distance and encoder were checked.
    """

    run_id: str
    code_id: str
    encoder: str
    gate_count: int
    two_qubit_gate_count: int
    target_distance: int
    step: int
    wall_time: float
    attributes: Mapping[str, Any]
    proof: Mapping[str, Any]
    found_at: datetime

    def row(self) -> Row:
        """Flat; the encoder on one line."""
        return {
            "run_id": self.run_id,
            "code_id": self.code_id,
            "gate_count": self.gate_count,
            "two_qubit_gate_count": self.two_qubit_gate_count,
            "target_distance": self.target_distance,
            "step": self.step,
            "wall_time": self.wall_time,
            "found_at": _iso(self.found_at),
            "encoder": "; ".join(self.encoder.split("\n")),
        }


@dataclass(frozen=True, kw_only=True)
class CodeRecord:
    """One stabilizer group in the store, with all that is known of it.

    Attributes:
        id: The first 12 hexadecimal digits of `digest` (more where two codes share them).
        digest: `StabilizerCode.digest`.
        distance_kind: `exact` only where it was proved; else which of the bounds `distance` is.
        distance_lower, distance_upper: The best bounds that were proved (the upper one None where there is none); equal
            where the distance is exact. `distance_witness`: a logical operator of weight `distance_upper`.
        definition: The code as JSON, with the generators it was first filed with.
        discoveries: One for each run that found it, shortest encoder first; empty for an imported code. Where the
            query named a run, that run's alone.
        source: Where an imported code came from; None for one that was only discovered.
    """

    id: str
    digest: str
    n: int
    k: int
    distance_kind: DistanceKind
    distance_lower: int
    distance_lower_method: str
    distance_upper: int | None
    distance_upper_method: str | None
    distance_witness: str | None
    definition: str
    source: str | None
    discoveries: tuple[Discovery, ...]
    created_at: datetime

    @cached_property
    def code(self) -> StabilizerCode:
        """The code itself. Raises `StoreError` where the row was altered since it was written."""
        code = StabilizerCode.from_json(self.definition)
        if code.digest != self.digest:
            raise StoreError(f"code {self.id}: its definition does not match its digest: the store was altered")
        return code

    @property
    def distance(self) -> int:
        """The exact distance, or the bound that `distance_kind` names."""
        if self.distance_kind == "upper_bound" and self.distance_upper is not None:
            return self.distance_upper
        return self.distance_lower

    @property
    def distance_method(self) -> str:
        """How `distance` was found."""
        lower, upper = self.distance_lower_method, self.distance_upper_method or ""
        if self.distance_kind == "exact" and lower != upper:
            return f"{lower} (lower bound), {upper} (upper bound)"
        return upper if self.distance_kind == "upper_bound" else lower

    @property
    def best(self) -> Discovery | None:
        """The discovery with the shortest encoder."""
        return self.discoveries[0] if self.discoveries else None

    @property
    def encoder(self) -> str | None:
        """Text of the shortest stim encoding circuit that was found; `code.encoder()` computes one for any code."""
        return self.best.encoder if self.best else None

    @property
    def gate_count(self) -> int | None:
        """Gates of `encoder`."""
        return self.best.gate_count if self.best else None

    @property
    def two_qubit_gate_count(self) -> int | None:
        """Two-qubit gates of `encoder`."""
        return self.best.two_qubit_gate_count if self.best else None

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Runs that found it, shortest encoder first."""
        return tuple(found.run_id for found in self.discoveries)

    @property
    def first_found_at(self) -> datetime:
        """When a run first found it, or it was imported."""
        return min((found.found_at for found in self.discoveries), default=self.created_at)

    def row(self) -> Row:
        """Flat, without the encoder's text."""
        return {
            "id": self.id,
            "n": self.n,
            "k": self.k,
            "distance": self.distance,
            "distance_kind": self.distance_kind,
            "distance_method": self.distance_method,
            "distance_lower": self.distance_lower,
            "distance_upper": self.distance_upper,
            "gate_count": self.gate_count,
            "two_qubit_gate_count": self.two_qubit_gate_count,
            "step": self.best.step if self.best else None,
            "wall_time": self.best.wall_time if self.best else None,
            "run_id": self.best.run_id if self.best else None,
            "runs": len(self.discoveries),
            "source": self.source,
            "first_found_at": _iso(self.first_found_at),
            "digest": self.digest,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
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

    @property
    def last(self) -> float:
        """The value at the largest step; NaN for an empty series."""
        return float(self.value[-1]) if len(self) else math.nan


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a probability or a mean."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """What was counted for one task, all its chunks together.

    Attributes:
        counts: The sum; `counts.exact_rate` where the rate was computed without sampling.
        chunks: How many chunks were added up.
    """

    code_id: str
    task: ErrorRateTask
    counts: ErrorCounts
    chunks: int

    @property
    def p(self) -> float:
        """The noise's strength."""
        return self.task.p

    @property
    def shots(self) -> int:
        """Shots drawn, the discarded ones included."""
        return self.counts.shots

    @property
    def errors(self) -> int:
        """Kept shots with a logical error."""
        return self.counts.errors

    @property
    def discards(self) -> int:
        """Shots thrown away by post-selection."""
        return self.counts.discards

    @property
    def seconds(self) -> float:
        """Core seconds spent."""
        return self.counts.seconds

    @property
    def rate(self) -> float:
        """Errors over kept shots, or the exact rate; NaN where no shot was kept."""
        return self.counts.rate

    @property
    def interval(self) -> Interval:
        """Wilson score interval at 95 %."""
        return self.wilson()

    def wilson(self, confidence: float = 0.95) -> Interval:
        """Wilson score interval of the rate.

        Returns:
            Limits in [0, 1]; both the rate itself where it is exact; (0, 1) where no shot was kept.

        Source: Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
        """
        from statistics import NormalDist

        if not 0 < confidence < 1:
            raise ConfigurationError(f"confidence: got {confidence}, expected a number between 0 and 1")
        if self.counts.exact_rate is not None:
            return Interval(self.rate, self.rate)
        kept = self.counts.kept
        if kept == 0:
            return Interval(0.0, 1.0)
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        center = (self.errors + z * z / 2) / (kept + z * z)
        spread = z / (kept + z * z) * math.sqrt(self.errors * (kept - self.errors) / kept + z * z / 4)
        low = 0.0 if self.errors == 0 else max(0.0, center - spread)
        high = 1.0 if self.errors == kept else min(1.0, center + spread)
        return Interval(low, high)

    def likelihood(self, max_likelihood_factor: float = 1000.0) -> Interval:
        """Rates whose likelihood is within a factor of the best one's: sinter's interval (`sinter.fit_binomial`)."""
        if self.counts.exact_rate is not None:
            return Interval(self.rate, self.rate)
        import sinter

        fit = sinter.fit_binomial(
            num_shots=self.counts.kept, num_hits=self.errors, max_likelihood_factor=max_likelihood_factor
        )
        return Interval(float(fit.low or 0.0), float(1.0 if fit.high is None else fit.high))

    def row(self) -> Row:
        """Flat, with the 95 % Wilson interval."""
        interval = self.interval
        return {
            "code_id": self.code_id,
            "experiment": self.task.experiment,
            "noise": self.task.noise,
            "p": self.task.p,
            "rate": self.rate,
            "low": interval.low,
            "high": interval.high,
            "shots": self.shots,
            "errors": self.errors,
            "discards": self.discards,
            "extraction": self.task.extraction,
            "rounds": self.task.rounds,
            "basis": self.task.basis,
            "decoder": self.task.decoder,
            "circuit_distance": self.task.circuit_distance,
            "circuit_distance_kind": self.task.circuit_distance_kind,
            "seconds": self.seconds,
            "task_id": self.task.task_id,
        }


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """Named numbers of one evaluation of a run's policy; a single number stands under the evaluation's name."""

    run_id: str
    name: str
    values: Mapping[str, float]
    payload: Mapping[str, Any] | None
    created_at: datetime

    def row(self) -> Row:
        """Flat, a column for each number."""
        return {"run_id": self.run_id, "name": self.name, **self.values, "created_at": _iso(self.created_at)}


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
            "created_at": _iso(self.created_at),
        }


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a run."""

    id: int
    run_id: str
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime

    def row(self) -> Row:
        """Flat; the payload as it is."""
        return {
            "id": self.id,
            "run_id": self.run_id,
            "kind": self.kind,
            "payload": self.payload,
            "created_at": _iso(self.created_at),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One group of runs (same name and sweep point, different seeds) under one metric.

    Attributes:
        values: The metric's last value in each run, by run id; runs without it are left out and listed in `missing`.
        std: Sample standard deviation (n - 1); NaN for a single run.
        low, high: Bootstrap percentile interval of the mean; NaN for a single run.
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
        }
