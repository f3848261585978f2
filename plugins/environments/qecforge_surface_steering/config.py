"""What a manifest may say about `surface_steering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig, read_named_file
from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.config import DecoderName
from qecforge_surface_steering.device.controls import Controls, Limit, Shared, limits_of
from qecforge_surface_steering.device.crosstalk import Widen, crosstalk_pairs
from qecforge_surface_steering.device.drift import CompiledDrift, Drift, Table
from qecforge_surface_steering.device.families import FAMILIES
from qecforge_surface_steering.device.landscape import Calibrated, Landscape, PerGate, Start

if TYPE_CHECKING:
    import stim

    from qecforge_surface_steering.device.regions import DetectionModel
    from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["Assess", "SurfaceSteeringConfig"]

_LANDSCAPE, _START = 1, 2
"""Streams of the device's seed."""


class Assess(PluginConfig):
    """How the logical error rate is measured while an agent trains (its `assess_every`)."""

    shots: int = Field(default=500, ge=1, description="Shots, of all bases together.")
    decoder: DecoderName = Field(
        default="auto", description="Decodes them, with the nominal errors of the gates as its prior."
    )


class SurfaceSteeringConfig(PluginConfig):
    """A memory experiment whose gates drift, and the control parameters that hold it calibrated."""

    code: Literal["surface", "color", "circuit"] = Field(
        default="surface",
        description="surface: rotated surface code in CZ gates, a single-qubit layer on every qubit; color: stim's "
        "colour code, cycling through X, Y, Z; circuit: the one given as `circuit`.",
    )
    distance: int | None = Field(default=None, description="Distance of the code: odd, 3 or more. Not with `circuit`.")
    rounds: int = Field(
        default=25,
        ge=1,
        description="Cycles of one shot (25 on hardware, arXiv 2511.08493); with `circuit`: the number of its cycles.",
    )
    memory: Literal["x", "z", "both"] = Field(
        default="both", description="Basis of the memory experiment of the surface code; both: half the shots each."
    )
    circuit: str | None = Field(
        default=None,
        description="stim circuit whose gates are tagged, `CZ[cz{}] 0 1`; or the path of a .stim file, seen from the "
        "manifest's folder and read at once.",
    )
    parameters_per_gate: int = Field(default=10, ge=1, le=10_000, description="P (1, 10 and 30 in the paper).")
    parameters: dict[str, int] = Field(
        default_factory=dict,
        description="Gates that have fewer than P: name or pattern (`cz*`) -> their number, the first of their kinds.",
    )
    shared: tuple[Shared, ...] = Field(
        default=(), description="Parameters that several gates share; each gate keeps an optimum of its own."
    )
    readout: bool = Field(
        default=False,
        description="true: readout and reset of every qubit that is measured and reset are gates too, m7 and r7, with "
        "parameters and an error.",
    )
    widen: Widen = Field(
        default=Widen(),
        description="Gates that disturb each other: their parameters learn from each other's detectors.",
    )
    limits: tuple[Limit, ...] = Field(
        default=(), description="Bounds and largest steps of parameters, which the agent's candidates keep."
    )
    floor: PerGate = Field(
        default=PerGate(single_qubit=1e-3, two_qubit=4e-3),
        description="Error of each gate at its optimum, below 1/2 [ours: error suppression between 2 and 3].",
    )
    curvature: PerGate = Field(
        default=PerGate(single_qubit=1e-3, two_qubit=4e-3),
        description="Excess error with all of a gate's parameters one unit off [ours: that doubles the error].",
    )
    optimum_spread: float = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="Standard deviation of the optima, drawn around 0."
    )
    optimum: tuple[float, ...] | None = Field(
        default=None, description="Optima before drift, gate after gate, instead of drawn ones."
    )
    device_seed: int | None = Field(
        default=None, ge=0, description="Seed of floors, curvatures, optima, drift and start; none: the run's seed."
    )
    start: Start = Field(default=Calibrated(), description="Where control starts.")
    drift: tuple[Drift, ...] = Field(default=(), description="Profiles that move optima; their offsets add up.")
    measurement_error: float = Field(
        default=0.0, ge=0, lt=0.5, description="Probability of a measurement error; no parameter changes it."
    )
    reset_error: float = Field(
        default=0.0, ge=0, lt=0.5, description="Probability of a reset error; no parameter changes it."
    )
    engine: Literal["closed_form", "stim"] = Field(
        default="closed_form",
        description="closed_form: exact rates with independent shot noise for each objective, true covariance ignored; "
        "stim: every candidate's circuit sampled.",
    )
    cycles: int = Field(
        default=1000, ge=1, description="Cycles run with each candidate in an epoch, in whole shots, one at least."
    )
    objectives: Literal["stabilizer", "detector"] = Field(
        default="stabilizer",
        description="stabilizer: one entry of the reward for each, the mean over its detectors; detector: for each.",
    )
    bulk_only: bool = Field(
        default=True, description="Leave out detectors at the start and the end of the experiment, which differ."
    )
    reward: Literal["vector", "scalar"] = Field(
        default="vector", description="vector: minus the event rate of each objective; scalar: their mean."
    )
    horizon: int = Field(
        default=1000, ge=1, description="Number of epochs at which the observed fraction of time is 1."
    )
    max_memory_gib: float | None = Field(
        default=None, gt=0, description="Memory for candidates; none: the free memory of the machine."
    )
    assess: Assess = Field(
        default=Assess(), description="How a logical error rate is measured when the agent asks for one."
    )

    @field_validator("circuit", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str) and value.endswith(".stim") and "\n" not in value:
            from qecforge_surface_steering.device.circuits import read_circuit

            text = read_named_file(value).text
            try:
                read_circuit(text)
            except ConfigurationError:  # which quotes the file
                raise ValueError(f"{value!r} is no circuit that stim can read: correct it") from None
            return text
        return value

    @model_validator(mode="after")
    def _consistent(self) -> SurfaceSteeringConfig:
        from qecforge_surface_steering.device.circuits import check_rounds

        self._check_code()
        if self.code == "color":
            check_rounds(self.rounds, 2)
        gates = self._gates()
        names, family = [gate.name for gate in gates.gates], gates.family
        for field in ("floor", "curvature"):
            try:
                getattr(self, field).check(names)
            except ValueError as error:
                raise ValueError(f"{field}: gates: {error}") from error
        self._check_floor()
        if self.optimum is not None:
            _check_optimum(self.optimum, len(names) * self.parameters_per_gate)
        for number, profile in enumerate(self.drift):
            try:
                chosen = profile.select(names, family, self.parameters_per_gate)
                if isinstance(profile, Table):
                    profile.check(len(chosen), self.horizon)
            except ValueError as error:
                raise ValueError(f"drift[{number}]: {error}") from error
        limits_of(self.limits, self.controls().names)
        try:
            crosstalk_pairs(gates.gates, gates.coordinates, self.widen)
        except ValueError as error:
            raise ValueError(f"widen: {error}") from error
        if self.code == "circuit":
            _check_seen(self)
        return self

    def _check_code(self) -> None:
        if self.code == "circuit":
            if self.circuit is None:
                raise ValueError("circuit: missing, but code is circuit: give a circuit, or set code to surface")
            if self.distance is not None:
                raise ValueError("distance: your circuit has its own: leave it out")
            if "rounds" not in self.model_fields_set:
                raise ValueError("rounds: missing, but rates are per cycle: give the number of cycles of your circuit")
        else:
            if self.circuit is not None:
                raise ValueError(f"circuit: code is {self.code}, which brings its own: set code to circuit")
            if self.distance is None:
                raise ValueError(f"distance: the {self.code} code needs one: give an odd number from 3")
        if self.code != "surface" and self.memory != "both":
            raise ValueError(f"memory: {self.memory} is a choice for the surface code only: leave it out")

    def _check_floor(self) -> None:
        given = {name: getattr(self.floor, name) for name in FAMILIES.values()}
        for name, value in (given | {f"gates.{pattern}": value for pattern, value in self.floor.gates.items()}).items():
            if value >= 0.5:
                raise ValueError(f"floor: {name} is {value:g}, expected a probability inside (0, 1/2)")

    def check_epochs(self, epochs: int) -> None:
        """Raises `ValueError` if a table of the drift is shorter than a search of this many epochs."""
        for number, profile in enumerate(self.drift):
            if isinstance(profile, Table) and profile.beyond == "refuse" and profile.ends < epochs:
                raise ValueError(
                    f"the table of environment.drift[{number}] ends at epoch {profile.ends} of the agent's {epochs}: "
                    "add rows, or set beyond to hold or repeat"
                )

    @property
    def shots(self) -> int:
        """Shots of each circuit that a candidate is given in an epoch: `cycles`, in whole shots, one at least."""
        circuits = 2 if self.code == "surface" and self.memory == "both" else 1
        return max(1, round(self.cycles / (self.rounds * circuits)))

    def circuits(self) -> tuple[TaggedCircuit, ...]:
        """The memory experiments: one, or one for each basis, on the same gates."""
        from qecforge_surface_steering.device.circuits import surface_code

        if self.code == "surface" and self.distance is not None:
            bases: tuple[Literal["x", "z"], ...] = ("x", "z") if self.memory == "both" else (self.memory,)
            return tuple(self._tagged(surface_code(self.distance, self.rounds, basis)) for basis in bases)
        return (self._single(self.rounds),)

    def model(self, circuits: Sequence[TaggedCircuit] | None = None) -> DetectionModel:
        """Rates and factor graph of `circuits` (None: of `self.circuits()`).

        Raises:
            ConfigurationError: A gate that no detector sees, or noise that is no product of independent faults.
        """
        from qecforge_surface_steering.device.regions import DetectionModel

        chosen = self.circuits() if circuits is None else circuits
        return DetectionModel.from_circuits(chosen, objectives=self.objectives, bulk_only=self.bulk_only)

    def landscape(self, seed: int) -> Landscape:
        """Floors, curvatures and optima of the device; `seed` is the run's, used where there is no `device_seed`.

        Raises:
            ConfigurationError: A floor that was drawn above 1/2.
        """
        gates = self._gates()
        names = [gate.name for gate in gates.gates]
        rng = self._rng(seed, _LANDSCAPE)
        floor = self.floor.resolve(names, gates.family, rng)
        curvature = self.curvature.resolve(names, gates.family, rng)
        optimum = self.optimum_spread * rng.standard_normal(len(names) * self.parameters_per_gate)
        if self.optimum is not None:
            optimum = np.array(self.optimum)
        counts = self.controls().counts if self.parameters else None
        return Landscape(floor, curvature, gates.p_max, optimum, self.parameters_per_gate, counts)

    def compiled_drift(self, seed: int) -> CompiledDrift:
        """The drift of the device; `seed` as for `landscape`."""
        gates = self._gates()
        names = [gate.name for gate in gates.gates]
        return CompiledDrift(self.drift, names, gates.family, self.parameters_per_gate, self._device(seed))

    def initial_parameters(self, seed: int) -> NDArray[np.float64]:
        """(G·P,) where control of each gate starts, sharing aside; `seed` as for `landscape`."""
        optimum = self.landscape(seed).optimum + self.compiled_drift(seed).offset(0)
        return self.start.place(optimum, self._rng(seed, _START))

    def parameter_names(self) -> tuple[str, ...]:
        """Names of what is steered: G·P, `gate.kind`, as long as all gates have P of their own."""
        return self.controls().names

    def controls(self) -> Controls:
        """Which parameter reaches which gates. Raises `ValueError` where `parameters` or `shared` do not fit."""
        gates = self._gates()
        names = [gate.name for gate in gates.gates]
        return Controls.of(names, gates.family, self.parameters_per_gate, fewer=self.parameters, shared=self.shared)

    def crosstalk(self) -> NDArray[np.int64]:
        """(N, 2) pairs of gates that `widen` names."""
        gates = self._gates()
        return crosstalk_pairs(gates.gates, gates.coordinates, self.widen)

    def _device(self, seed: int) -> int:
        return seed if self.device_seed is None else self.device_seed

    def _rng(self, seed: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._device(seed), stream))

    def _gates(self) -> TaggedCircuit:
        """The shortest experiment on the same gates."""
        return self._single({"surface": 1, "color": 2, "circuit": self.rounds}[self.code])

    def _single(self, rounds: int) -> TaggedCircuit:
        from qecforge_surface_steering.device.circuits import color_code, read_circuit, surface_code

        if self.distance is None:
            return self._tagged(read_circuit(self.circuit or ""))
        if self.code == "color":
            return self._tagged(color_code(self.distance, rounds))
        return self._tagged(surface_code(self.distance, rounds, "z"))

    def _tagged(self, circuit: stim.Circuit) -> TaggedCircuit:
        from qecforge_surface_steering.device.tagged import TaggedCircuit
        from qecforge_surface_steering.device.tagging import name_readouts

        if self.readout:
            circuit = name_readouts(circuit)

        return TaggedCircuit(circuit, measurement_error=self.measurement_error, reset_error=self.reset_error)


def _check_seen(config: SurfaceSteeringConfig) -> None:
    """Whether some detector sees every gate, of which our own codes are known."""
    try:
        config.model()
    except ConfigurationError as error:
        raise ValueError(f"circuit: {error}") from error


def _check_optimum(optimum: tuple[float, ...], expected: int) -> None:
    if len(optimum) != expected:
        raise ValueError(f"optimum: it has {len(optimum)} numbers: give {expected}, one for each parameter")
    if not np.isfinite(optimum).all():
        raise ValueError("optimum: not all of it is finite: give finite numbers")
