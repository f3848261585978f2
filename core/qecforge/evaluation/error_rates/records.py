"""What a logical-error-rate measurement is (`ErrorRateTask`) and what it counted (`ErrorCounts`).

Light on purpose: the store imports this module, and nothing here needs stim, sinter or scipy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, TypeAlias, get_args

from qecforge.errors import ConfigurationError

__all__ = [
    "Basis",
    "Boundary",
    "CircuitDistanceKind",
    "ErrorCounts",
    "ErrorRateTask",
    "Experiment",
    "Extraction",
    "chunk_shots",
]

Experiment: TypeAlias = Literal["memory", "code_capacity"]
Extraction: TypeAlias = Literal["bare", "flag", "shor", "none"]
Basis: TypeAlias = Literal["x", "z", "both", "none"]
Boundary: TypeAlias = Literal["ideal", "transversal", "none"]
CircuitDistanceKind: TypeAlias = Literal["exact", "upper_bound", "lower_bound"]


def chunk_shots(index: int) -> int:
    """Shots of chunk `index` (0, 1, ...) of every sampled task.

    1000, 1000, 3000, 5000, then 10 000 each up to 100 000 in all, then 100 000 each: the totals pass through 1e3, 2e3,
    5e3, 1e4, 2e4, ..., 1e5, 2e5, ... so that short measurements stay short and long ones have few chunks.
    """
    if index < 0:
        raise ConfigurationError(f"chunk index: got {index}, expected 0 or more")
    first = (1000, 1000, 3000, 5000)
    if index < len(first):
        return first[index]
    return 10_000 if index < 13 else 100_000


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """What was counted in some shots. Additive: `a + b` is what both together counted.

    Attributes:
        shots: Shots drawn, the discarded ones included.
        errors: Shots kept in which at least one logical observable was wrong after decoding.
        discards: Shots thrown away by post-selection (a cat state that failed its verification, say).
        seconds: Time of one core spent on sampling and decoding.
        exact_rate: None where shots were drawn. Else the logical error rate itself, computed without sampling;
            `shots`, `errors` and `discards` are then 0, the counts are chunk 0 and the only chunk of their task.
    """

    shots: int = 0
    errors: int = 0
    discards: int = 0
    seconds: float = 0.0
    exact_rate: float | None = None

    def __post_init__(self) -> None:
        if min(self.discards, self.errors) < 0 or self.errors + self.discards > self.shots:
            raise ConfigurationError(
                f"error counts: got shots={self.shots}, errors={self.errors}, discards={self.discards}; "
                "expected 0 <= errors, 0 <= discards and errors + discards <= shots"
            )
        if self.exact_rate is not None and (self.shots or not 0.0 <= self.exact_rate <= 1.0):
            raise ConfigurationError(
                f"error counts: got exact_rate={self.exact_rate} with shots={self.shots}; "
                "expected a probability, and no shots beside it"
            )

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        if not isinstance(other, ErrorCounts):
            return NotImplemented
        return ErrorCounts(
            shots=self.shots + other.shots,
            errors=self.errors + other.errors,
            discards=self.discards + other.discards,
            seconds=self.seconds + other.seconds,
            exact_rate=self.exact_rate if self.exact_rate is not None else other.exact_rate,
        )

    @property
    def kept(self) -> int:
        """Shots that were not discarded."""
        return self.shots - self.discards

    @property
    def rate(self) -> float:
        """The exact rate, else errors over kept shots; nan where no shot was kept."""
        if self.exact_rate is not None:
            return self.exact_rate
        return self.errors / self.kept if self.kept else float("nan")


@dataclass(frozen=True, kw_only=True)
class ErrorRateTask:
    """One point of a logical-error-rate measurement: all that decides what its shots are.

    Attributes:
        code_digest: `StabilizerCode.digest`.
        experiment: `memory` (circuit level) or `code_capacity` (noise on the data qubits alone, perfect syndromes).
        noise: The noise model without its strength, as canonical JSON.
        p: The noise model's strength.
        extraction: How stabilizers are measured; `none` for code capacity.
        rounds: Rounds of syndrome extraction; 0 for code capacity.
        basis: Which logical operators are kept: `z`, `x`, `both` (each shot is one of the two, half of them each; the
            rate is their mean); `none` for code capacity, where any logical error counts.
        boundary: How a memory experiment begins and ends: `ideal` (noiseless measurement of stabilizers and logical
            operators before and after the noisy rounds) or `transversal` (noisy reset and readout of every data qubit,
            CSS codes only); `none` for code capacity.
        decoder: The decoder in use, resolved: never `auto`.
        sampled: False where the rate is computed exactly (`ErrorCounts.exact_rate`).
        circuit_distance: Fewest faults that flip a logical observable and no detector, or None where not searched;
            over both bases the lesser. For code capacity None: the code's distance is that number.
        circuit_distance_kind: How far the circuit distance is known; None where it is None.
        circuit_digest: SHA-256 of the stim circuit(s), so that counts of different circuits never mix.
    """

    code_digest: str
    experiment: Experiment
    noise: str
    p: float
    extraction: Extraction
    rounds: int
    basis: Basis
    boundary: Boundary
    decoder: str
    sampled: bool = True
    circuit_distance: int | None = None
    circuit_distance_kind: CircuitDistanceKind | None = None
    circuit_digest: str = ""

    @property
    def task_id(self) -> str:
        """SHA-256 (hex) of the fields that decide the shots.

        The circuit distance is left out: it is knowledge about the circuit, and a better search may raise or lower it.
        """
        known = {key: value for key, value in asdict(self).items() if not key.startswith("circuit_distance")}
        text = json.dumps(known, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def lost_distance(self, distance: int) -> str | None:
        """One line where the circuit is known to have less than the code's `distance`; else None.

        A rate falls as p^((d + 1) // 2) at best, d being the circuit distance.
        """
        reached = self.circuit_distance
        if reached is None or self.circuit_distance_kind == "lower_bound" or reached >= distance:
            return None
        power, best = (reached + 1) // 2, (distance + 1) // 2
        law = f"the rate falls as p^{power}" + (f", not p^{best}" if power < best else " all the same")
        words = "" if self.circuit_distance_kind == "exact" else "at most "
        return f"extraction {self.extraction}: circuit distance {words}{reached}, below the code's {distance}; {law}"

    def checked(self) -> Self:
        """Itself. Raises `ConfigurationError` where a field is of another type, as one from a file may be."""
        right = {
            "code_digest": isinstance(self.code_digest, str),
            "experiment": self.experiment in get_args(Experiment),
            "noise": _is_object(self.noise),
            "p": type(self.p) in (int, float) and math.isfinite(self.p),
            "extraction": self.extraction in get_args(Extraction),
            "rounds": type(self.rounds) is int and self.rounds >= 0,
            "basis": self.basis in get_args(Basis),
            "boundary": self.boundary in get_args(Boundary),
            "decoder": isinstance(self.decoder, str),
            "sampled": isinstance(self.sampled, bool),
            "circuit_distance": self.circuit_distance is None or type(self.circuit_distance) is int,
            "circuit_distance_kind": self.circuit_distance_kind in (None, *get_args(CircuitDistanceKind)),
            "circuit_digest": isinstance(self.circuit_digest, str),
        }
        if wrong := [name for name, holds in right.items() if not holds]:
            raise ConfigurationError(f"error-rate task: {', '.join(wrong)} cannot be what is given")
        return self

    def to_json(self) -> dict[str, Any]:
        """All fields by name; JSON scalars only. `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The task with these fields. Raises `ConfigurationError` where a name is unknown or missing."""
        names = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ConfigurationError(f"error-rate task: got unknown fields {unknown}, expected some of {sorted(names)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigurationError(f"error-rate task: {error}; expected the fields {sorted(names)}") from error


def _is_object(text: object) -> bool:
    """Whether it is the JSON text of an object."""
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
