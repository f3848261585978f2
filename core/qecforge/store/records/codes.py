"""Records of codes: who found them, what is known of their distance, their logical error rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

from qecforge.codes import StabilizerCode
from qecforge.codes.encoders import parsed_circuit
from qecforge.errors import CodeError, ConfigurationError, StoreError, one_line
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask

__all__ = ["CodeRecord", "Discovery", "DistanceKind", "ErrorRate", "Interval", "Row", "iso"]

DistanceKind: TypeAlias = Literal["exact", "lower_bound", "upper_bound"]
Row: TypeAlias = dict[str, Any]


def iso(time: datetime | None) -> str | None:
    """A time as text, to the second."""
    return None if time is None else time.isoformat(timespec="seconds")


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a probability or a mean."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """That a run found a code, and the shortest encoder that it found for it (then the earliest).

    Attributes:
        encoder: Text of a stim circuit; qubits 0..k-1 carry the logical input, the others start in |0>.
        step: Environment steps of the run until then; those of a search that follows the training are counted after the
            training's. `wall_time`: seconds that were spent on the run until then.
        attributes: The environment's own words.
        proof: How distance and encoder were checked.
    """

    run_id: str
    code_id: str
    encoder: str = field(repr=False)
    gate_count: int
    two_qubit_gate_count: int
    target_distance: int
    step: int
    wall_time: float
    attributes: Mapping[str, Any] = field(repr=False)
    proof: Mapping[str, Any] = field(repr=False)
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
            "found_at": iso(self.found_at),
            "encoder": "; ".join(self.encoder.split("\n")),
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class CodeRecord:
    """One stabilizer group in the store, with all that is known of it.

    Attributes:
        id: The first 12 hexadecimal digits of `digest` (more where two codes share them).
        digest: `StabilizerCode.digest`.
        distance_kind: `exact` only where it was proved; else which of the bounds `distance` is.
        distance_lower, distance_upper: The best bounds that were proved (the upper one None where there is none); equal
            where the distance is exact. `distance_witness`: a logical operator of weight `distance_upper`.
        definition: The code as JSON, with the generators that it was first filed with, and their signs then.
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
        """The code itself; where its signs are known, those that `encoder` prepares, so that both can be exported
        together. Raises `StoreError` where the row was altered since it was written."""
        code = self.filed
        if self.encoder is None:
            return code
        try:
            parsed_circuit(self.encoder)
            return code if code.signs is None else code.prepared_by(self.encoder)
        except (CodeError, ValueError) as error:
            raise StoreError(
                f"code {self.id}: its encoder was altered, it does not encode this code any more "
                f"({one_line(error)}): restore a copy of the store"
            ) from error

    @cached_property
    def filed(self) -> StabilizerCode:
        """The code as it was first filed, in the Pauli frame of that time. Raises `StoreError` as `code` does."""
        try:
            code = StabilizerCode.from_json(self.definition)
        except CodeError as error:
            raise StoreError(f"code {self.id}: its row was altered, it is no code any more ({error})") from error
        if code.digest != self.digest:
            raise StoreError(f"code {self.id}: its row was altered, it is another code: restore a copy of the store")
        return code

    def __repr__(self) -> str:
        sign = {"exact": "", "upper_bound": "<=", "lower_bound": ">="}[self.distance_kind]
        gates = "" if self.best is None else f", {self.best.gate_count} gates"
        return f"<CodeRecord {self.id} [[{self.n},{self.k},{sign}{self.distance}]]{gates}>"

    def _repr_html_(self) -> str:
        """For notebooks: the code with what is known of it, and the shortest encoder that was found."""
        from qecforge.codes._pauli import format_pauli
        from qecforge.notebooks import code_html

        best = self.best
        found = None if best is None else f"{best.gate_count} gates, {best.two_qubit_gate_count} of them on two qubits"
        about = {"distance": f"{self.distance}, {self.distance_kind.replace('_', ' ')}: {self.distance_method}"}
        about |= {} if best is None else {"found by": f"run {best.run_id} at step {best.step:,}, {found}"}
        about |= {} if self.source is None else {"source": self.source}
        return code_html(
            f"code {self.id}, [[{self.n},{self.k}]]",
            about=about,
            stabilizers=self.code.stabilizers,
            logical_x=[format_pauli(row) for row in self.code.logical_x],
            logical_z=[format_pauli(row) for row in self.code.logical_z],
            encoder=None if best is None else parsed_circuit(best.encoder),
        )

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
            "first_found_at": iso(self.first_found_at),
            "digest": self.digest,
        }


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """What was counted for one task, all its chunks together.

    Attributes:
        task_id: As it was when the first chunk was filed.
        counts: The sum; `counts.exact_rate` where the rate was computed without sampling.
        chunks: How many chunks were added up.
    """

    task_id: str
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
            "boundary": self.task.boundary,
            "decoder": self.task.decoder,
            "circuit_distance": self.task.circuit_distance,
            "circuit_distance_kind": self.task.circuit_distance_kind,
            "seconds": self.seconds,
            "task_id": self.task_id,
        }
