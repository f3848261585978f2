"""How optima drift: profiles that move some of them, each a pure function of the epoch.

    drift:
      - {profile: step, begins: 200, amplitude: 1.0, gates: [xy3], kinds: [amplitude]}
      - {profile: sinusoid, frequency: 0.002, amplitude: 0.8, kinds: [strength]}
      - {profile: one_over_f, amplitude: 0.3}

An offset depends on configuration, seed and epoch alone, never on what was asked before: a resumed run meets the drift
of the uninterrupted one, bit for bit, and any epoch can be looked up.

Source: arXiv 2511.08493, figure 4 (step, sinusoid, stroboscopic; natural drift); the random profiles are ours.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, field_validator

from qecforge.contracts import PluginConfig, read_named_file
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device._paths import Normals, Octaves, Path, Walk
from qecforge_surface_steering.device.landscape import matching, parameter_kinds, some_of

__all__ = ["CompiledDrift", "Drift", "OneOverF", "RandomWalk", "Sinusoid", "Step", "Stroboscopic", "Table"]

FloatArray: TypeAlias = NDArray[np.float64]
Direction: TypeAlias = Literal["equal", "random_sign", "normal"]


@dataclass(frozen=True)
class _Deterministic(Path):
    profile: _Shared
    weights: FloatArray
    phases: FloatArray

    def at(self, t: int) -> FloatArray:
        return self.weights * self.profile.value(t, self.phases)


class _Shared(PluginConfig, ABC):
    """What all profiles say: which parameters, and from when on."""

    gates: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Gates whose parameters drift: names or patterns such as cz*."
    )
    kinds: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Kinds of parameters that drift, such as amplitude or strength."
    )
    begins: int = Field(default=0, ge=0, description="Epoch at which the profile's own clock starts; no offset before.")
    direction: Direction = Field(
        default="equal",
        description="Offset of each parameter: equal for all, with a random sign, or times a standard normal number.",
    )

    def value(self, t: int, phases: FloatArray) -> FloatArray | float:
        """Offset of a parameter of weight 1, `t` epochs after the beginning."""
        raise NotImplementedError(f"{type(self).__name__} is random")

    def compile(self, size: int, entropy: tuple[int, ...]) -> Path:
        """The path of `size` parameters."""
        rng = np.random.default_rng((*entropy, 1))
        normal = rng.standard_normal(size)
        phases = rng.uniform(0, 2 * np.pi, size)
        weights = {"equal": np.ones(size), "random_sign": np.sign(normal), "normal": normal}[self.direction]
        return _Deterministic(self, weights, phases)

    def select(self, gates: Sequence[str], family: NDArray[np.int64], parameters_per_gate: int) -> NDArray[np.int64]:
        """Numbers of the parameters that drift, ascending.

        Raises:
            ValueError: A pattern that matches nothing, or gates and kinds that have nothing in common.
        """
        kinds = {n: parameter_kinds(n, parameters_per_gate) for n in {int(value) for value in family}}
        all_kinds = sorted({kind for names in kinds.values() for kind in names})
        wanted_gates = {name for pattern in self.gates for name in matching(pattern, gates, "gate")}
        wanted_kinds = {name for pattern in self.kinds for name in matching(pattern, all_kinds, "kind of parameter")}
        chosen = [
            g * parameters_per_gate + i
            for g, name in enumerate(gates)
            if name in wanted_gates
            for i, kind in enumerate(kinds[int(family[g])])
            if kind in wanted_kinds
        ]
        if not chosen:
            families = {int(n) for n, name in zip(family, gates, strict=True) if name in wanted_gates}
            theirs = some_of(list(dict.fromkeys(kind for n in sorted(families) for kind in kinds[n])))
            raise ValueError(
                f"gates {', '.join(self.gates)} have no parameters of kind {', '.join(self.kinds)}: "
                f"give kinds among {theirs}, or other gates"
            )
        return np.array(chosen, dtype=np.int64)


class Step(_Shared):
    """Nothing before an epoch, a constant offset from it on."""

    profile: Literal["step"] = "step"
    begins: int = Field(ge=1, description="Epoch of the step.")
    amplitude: float = Field(allow_inf_nan=False, description="Offset, in units of the parameters.")

    def value(self, t: int, phases: FloatArray) -> FloatArray | float:
        """The amplitude."""
        return self.amplitude


class Sinusoid(_Shared):
    """amplitude · sin(2π frequency t + phase)."""

    profile: Literal["sinusoid"] = "sinusoid"
    frequency: float = Field(gt=0, allow_inf_nan=False, description="Periods per epoch.")
    amplitude: float = Field(allow_inf_nan=False, description="Largest offset, in units of the parameters.")
    phase: float | Literal["random"] = Field(default=0.0, description="In radians; random: each parameter has its own.")

    def value(self, t: int, phases: FloatArray) -> FloatArray | float:
        """The sine."""
        phase = phases if self.phase == "random" else self.phase
        turns = np.fmod(self.frequency * t, 1.0)
        wave: FloatArray | float = self.amplitude * np.sin(2 * np.pi * turns + phase)
        return wave


class Stroboscopic(_Shared):
    """Off, then on, again and again."""

    profile: Literal["stroboscopic"] = "stroboscopic"
    period: int = Field(ge=2, description="Period in epochs.")
    duty: float = Field(
        default=0.5, gt=0, lt=1, description="Fraction of the period, its last part, with the offset on."
    )
    amplitude: float = Field(allow_inf_nan=False, description="Offset while on, in units of the parameters.")

    def value(self, t: int, phases: FloatArray) -> FloatArray | float:
        """The amplitude, or nothing."""
        return self.amplitude if t % self.period >= self.period * (1 - self.duty) else 0.0


class RandomWalk(_Shared):
    """Independent normal steps, one an epoch; each parameter walks on its own."""

    profile: Literal["random_walk"] = "random_walk"
    step: float = Field(gt=0, allow_inf_nan=False, description="Standard deviation of one step.")
    direction: Literal["normal"] = Field(default="normal", description="Each parameter has its own offset.")

    def compile(self, size: int, entropy: tuple[int, ...]) -> Path:
        """A walk that can be looked up anywhere."""
        return Walk(self.step, Normals(entropy, size))


class OneOverF(_Shared):
    """Noise of power spectrum 1/f, each parameter its own: octaves that are drawn anew every 1, 2, 4, … epochs."""

    profile: Literal["one_over_f"] = "one_over_f"
    amplitude: float = Field(gt=0, allow_inf_nan=False, description="Standard deviation of the offset.")
    octaves: int = Field(
        default=14, ge=1, le=40, description="Octaves n: 1/f holds between frequencies 2^-n and 1/2 per epoch."
    )
    direction: Literal["normal"] = Field(default="normal", description="Each parameter has its own offset.")

    def compile(self, size: int, entropy: tuple[int, ...]) -> Path:
        """Its octaves."""
        return Octaves(self.amplitude, self.octaves, Normals(entropy, size))


class Table(_Shared):
    """Offsets that are given."""

    profile: Literal["table"] = "table"
    values: tuple[tuple[float, ...], ...] = Field(
        min_length=1,
        description="Rows of one number for all parameters or of one for each; or the path of a CSV file, seen from "
        "the manifest's folder.",
    )
    every: int = Field(default=1, ge=1, description="Epochs that a row holds for.")
    beyond: Literal["refuse", "hold", "repeat"] = Field(
        default="refuse", description="After the last row: an error, the last row again, or from the first row again."
    )

    @field_validator("values", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        if isinstance(value, str):
            return _read_table(value)
        if isinstance(value, (list, tuple)):
            return [row if isinstance(row, (list, tuple)) else (row,) for row in value]
        return value

    @field_validator("values")
    @classmethod
    def _even(cls, value: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        lengths = sorted({len(row) for row in value})
        if len(lengths) > 1 or not lengths[0]:
            raise ValueError(f"rows have {' and '.join(map(str, lengths))} numbers: give each row the same")
        if not np.isfinite(value).all():
            raise ValueError("not all offsets are finite: give finite numbers")
        return value

    @property
    def ends(self) -> int:
        """The epoch after the last row."""
        return self.begins + len(self.values) * self.every

    def check(self, size: int, horizon: int) -> None:
        """Raises `ValueError` where the table is too narrow for `size` parameters, or ends before `horizon`."""
        if len(self.values[0]) not in (1, size):
            raise ValueError(f"rows have {len(self.values[0])} numbers, but {size} parameters drift: give 1 or {size}")
        if self.beyond == "refuse" and self.ends < horizon:
            rows = -(-(horizon - self.begins) // self.every)
            raise ValueError(
                f"{len(self.values)} rows end at epoch {self.ends} of {horizon}: give {rows} rows, or set beyond"
            )

    def value(self, t: int, phases: FloatArray) -> FloatArray | float:
        """The row. Raises `ConfigurationError` after the last one, where nothing else was chosen."""
        row, rows = t // self.every, len(self.values)
        if row >= rows and self.beyond == "refuse":
            raise ConfigurationError(
                f"drift: the table ends at epoch {self.ends}, asked was {self.begins + t}: "
                "add rows, or set beyond to hold or repeat"
            )
        return np.array(self.values[row % rows if self.beyond == "repeat" else min(row, rows - 1)])


def _read_table(name: str) -> list[list[float]]:
    """Rows of a file of numbers with commas between them; `#` begins a comment."""
    rows = []
    for number, line in enumerate(read_named_file(name).text.splitlines(), 1):
        numbers = line.partition("#")[0].strip()
        if numbers:
            try:
                rows.append([float(each) for each in numbers.split(",")])
            except ValueError:  # which quotes the file
                raise ValueError(
                    f"the table {name!r}: line {number} is no row of numbers with commas between them: correct it"
                ) from None
    return rows


Drift: TypeAlias = Annotated[Step | Sinusoid | Stroboscopic | RandomWalk | OneOverF | Table, Discriminator("profile")]


class CompiledDrift:
    """All profiles together, for the parameters of given gates.

    Args:
        profiles: Their offsets add up.
        gates: G names.
        family: (G,) of each, 1 or 2 qubits, readout or reset.
        parameters_per_gate: P.
        seed: What random profiles are drawn from.

    Raises:
        ConfigurationError: A profile that selects no parameter, or a table whose rows do not fit.
    """

    def __init__(
        self,
        profiles: Sequence[Drift],
        gates: Sequence[str],
        family: NDArray[np.int64],
        parameters_per_gate: int,
        seed: int,
    ) -> None:
        self.num_parameters = len(gates) * parameters_per_gate
        self._ends = [profile.ends for profile in profiles if isinstance(profile, Table) and profile.beyond == "refuse"]
        self._paths: list[tuple[int, NDArray[np.int64] | slice, Path]] = []
        for number, profile in enumerate(profiles):
            try:
                chosen = profile.select(gates, family, parameters_per_gate)
                if isinstance(profile, Table):
                    profile.check(len(chosen), 0)
            except ValueError as error:
                raise ConfigurationError(f"drift[{number}]: {error}") from error
            moved = slice(None) if len(chosen) == self.num_parameters else chosen
            self._paths.append((profile.begins, moved, profile.compile(len(chosen), (seed, number, 0xD81F7))))

    @property
    def ends(self) -> int | None:
        """The first epoch that a table does not know; None where all epochs are known."""
        return min(self._ends, default=None)

    @property
    def constant(self) -> bool:
        """Whether nothing ever drifts."""
        return not self._paths

    def drifting(self) -> NDArray[np.bool_]:
        """(G·P,) bool: parameters that some profile moves."""
        moved = np.zeros(self.num_parameters, dtype=np.bool_)
        for _, chosen, _ in self._paths:
            moved[chosen] = True
        return moved

    def moved_by(self, number: int) -> NDArray[np.int64]:
        """Numbers of the parameters that the profile `number` moves, ascending."""
        return np.arange(self.num_parameters)[self._paths[number][1]]

    def offset(self, epoch: int) -> FloatArray:
        """(G·P,) float64, fresh: how far each optimum is from where the landscape has it.

        Raises:
            ConfigurationError: An epoch below 0, or after the end of a table.
        """
        if epoch < 0:
            raise ConfigurationError(f"drift: there is no epoch {epoch}: give 0 or more")
        total = np.zeros(self.num_parameters)
        for begins, chosen, path in self._paths:
            if epoch >= begins:
                total[chosen] += path.at(epoch - begins)
        return total
