"""How gates err: each has a floor, and an excess that grows with the distance of its parameters from their optimum.

    p_g = p_max (1 - exp(-(floor_g + curvature_g mean_i (x_gi - x*_gi)²) / p_max))

The floor is what control cannot mend. p_max is complete depolarization, 3/4 or 15/16, and is approached smoothly: a
flat clip would leave nothing to learn from where controls are far off [ours]; for readouts and resets it is 1/2.
Parameters are ordered gate after gate: number g·P + i is parameter i of gate g. A gate may have fewer than P: the
others count for nothing.

Source: arXiv 2511.08493, simulations ("irreducible control-independent physical error rates"); the form is ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator, Discriminator, Field, field_validator

from qecforge.contracts import PluginConfig
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.families import READOUT, RESET

__all__ = [
    "Calibrated",
    "Landscape",
    "Miscalibrated",
    "PerGate",
    "Randomised",
    "Start",
    "matching",
    "parameter_kinds",
    "parameter_names",
    "some_of",
]

FloatArray: TypeAlias = NDArray[np.float64]

_KINDS = {
    1: ("amplitude", "frequency", "drag"),
    2: ("strength", "frequency", "phase"),
    READOUT: ("power", "frequency", "duration"),
    RESET: ("power", "frequency", "duration"),
}


def parameter_kinds(family: int, parameters_per_gate: int) -> tuple[str, ...]:
    """P kinds: amplitude, frequency, drag (one qubit), strength, frequency, phase (two) or power, frequency, duration
    (readout, reset); p3, p4, … from there on."""
    return tuple((*_KINDS[family], *(f"p{i}" for i in range(3, parameters_per_gate)))[:parameters_per_gate])


def parameter_names(gates: Sequence[str], family: ArrayLike, parameters_per_gate: int) -> tuple[str, ...]:
    """G·P names such as `cz1-9.strength`."""
    families = np.asarray(family).tolist()
    return tuple(
        f"{gate}.{kind}"
        for gate, n in zip(gates, families, strict=True)
        for kind in parameter_kinds(n, parameters_per_gate)
    )


class PerGate(PluginConfig):
    """A positive number for each gate: by its qubits, spread around that, or given."""

    single_qubit: float = Field(gt=0, description="Of gates of one qubit; the median where there is a spread.")
    two_qubit: float = Field(gt=0, description="Of gates of two qubits; the median where there is a spread.")
    readout: float = Field(default=5e-3, gt=0, description="Of readouts, where they are gates (`readout`).")
    reset: float = Field(default=2e-3, gt=0, description="Of resets, likewise.")
    spread: float = Field(default=0.0, ge=0, description="Standard deviation of the natural logarithm, drawn per gate.")
    gates: dict[str, float] = Field(
        default_factory=dict, description="Exact values for some gates: name or pattern (`cz*-9`) -> number."
    )

    @field_validator("gates")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        for pattern, number in value.items():
            if not (np.isfinite(number) and number > 0):
                raise ValueError(f"{pattern!r} is {number:g}: give a number above 0")
        return value

    def check(self, names: Sequence[str]) -> None:
        """Raises `ValueError` where a pattern matches no gate, or two match the same one."""
        owner: dict[str, str] = {}
        for pattern in self.gates:
            for name in matching(pattern, names, "gate"):
                if owner.setdefault(name, pattern) != pattern:
                    raise ValueError(f"{owner[name]!r} and {pattern!r} both give a value to {name}: keep one")

    def resolve(self, names: Sequence[str], family: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
        """(G,) float64. Draws G normals whether there is a spread or not."""
        self.check(names)
        values = np.array([np.nan, self.single_qubit, self.two_qubit, self.readout, self.reset])[family]
        values = values * np.exp(self.spread * rng.standard_normal(len(names)))
        for pattern, number in self.gates.items():
            values[[fnmatchcase(name, pattern) for name in names]] = number
        return values


def matching(pattern: str, names: Sequence[str], what: str) -> list[str]:
    """Names that a pattern with `*` and `?` matches. Raises `ValueError` where there are none."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ValueError(f"{pattern!r} matches no {what}: there are {some_of(names)}")
    return found


def some_of(names: Sequence[str]) -> str:
    """Names for people: two of each family, such as `xy0, xy1, …, cz0-9, cz0-10, …`, of six families at most."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(re.split(r"\d", name, maxsplit=1)[0], []).append(name)
    shown = [each for members in list(families.values())[:6] for each in [*members[:2], *(["…"] * (len(members) > 2))]]
    return ", ".join([*shown, *(["…"] * (len(families) > 6))])


@dataclass(frozen=True, eq=False)
class Landscape:
    """The gates' errors as a function of the control parameters. Arrays are not to be written to.

    Attributes:
        floor: (G,) float64, > 0.
        curvature: (G,) float64, > 0: excess where all parameters of a gate are one unit off.
        p_max: (G,) float64.
        optimum: (G·P,) float64, before any drift.
        parameters_per_gate: P.
        counts: (G,) int64, 1..P: how many of them each gate has, the first ones; None: P each. The mean is over these;
            the others have to be where their optimum is.

    Raises:
        ConfigurationError: Shapes that do not fit, a floor outside (0, 1/2), or a curvature that is not positive.
    """

    floor: FloatArray
    curvature: FloatArray
    p_max: FloatArray
    optimum: FloatArray
    parameters_per_gate: int
    counts: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        gates, expected = len(self.floor), len(self.floor) * self.parameters_per_gate
        for name, size in (("floor", gates), ("curvature", gates), ("p_max", gates), ("optimum", expected)):
            shape = getattr(self, name).shape
            if shape != (size,):
                raise ConfigurationError(f"landscape: {name} has shape {shape}: give ({size},)")
        for name, values, high in (("floor", self.floor, 0.5), ("curvature", self.curvature, np.inf)):
            wrong = np.flatnonzero(~((values > 0) & (values < high)))
            if len(wrong):
                raise ConfigurationError(
                    f"{name}: {values[wrong[0]]:g} of gate {wrong[0]} leaves (0, {high:g}): lower it, or its spread"
                )
        if not np.isfinite(self.optimum).all():
            raise ConfigurationError("landscape: optimum is not finite everywhere: give finite numbers")

    @property
    def natural_scale(self) -> FloatArray:
        """(G,) float64: so far off, in all parameters of a gate, the excess equals the floor."""
        return np.sqrt(self.floor / self.curvature)

    @property
    def sizes(self) -> NDArray[np.int64] | int:
        """Parameters that a gate's mean is over: P, or (G,)."""
        return self.parameters_per_gate if self.counts is None else self.counts

    def errors(self, x: ArrayLike, optimum: FloatArray | None = None) -> FloatArray:
        """Error probability of each gate.

        Args:
            x: (..., G·P) parameters.
            optimum: (G·P,) where the optimum is now; None for `self.optimum`.

        Returns:
            (..., G) float64 in (0, p_max]. A plain reference: engines have faster ways.
        """
        return -self.p_max * np.expm1(-self._exponent(self._offset(x, optimum)))

    def slopes(self, x: ArrayLike, optimum: FloatArray | None = None) -> FloatArray:
        """(..., G·P) float64: derivative of each parameter's own gate error with respect to it."""
        offset = self._offset(x, optimum)
        per_gate = 2 * self.curvature / self.sizes * np.exp(-self._exponent(offset))
        return (offset * per_gate[..., None]).reshape(*offset.shape[:-2], -1)

    def _offset(self, x: ArrayLike, optimum: FloatArray | None) -> FloatArray:
        off = np.asarray(x, dtype=np.float64) - (self.optimum if optimum is None else optimum)
        return off.reshape(*off.shape[:-1], len(self.floor), self.parameters_per_gate)

    def _exponent(self, offset: FloatArray) -> FloatArray:
        mean = np.mean(offset**2, axis=-1) * (self.parameters_per_gate / self.sizes)
        exponent: FloatArray = (self.floor + self.curvature * mean) / self.p_max
        return exponent


class Calibrated(PluginConfig):
    """Control starts at the optimum of epoch 0."""

    kind: Literal["calibrated"] = "calibrated"

    def place(self, optimum: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(G·P,) where control starts."""
        return optimum.copy()


class Miscalibrated(PluginConfig):
    """Control starts at a normal distance from the optimum of epoch 0."""

    kind: Literal["miscalibrated"] = "miscalibrated"
    sigma: float = Field(gt=0, allow_inf_nan=False, description="Standard deviation, in units of the parameters.")

    def place(self, optimum: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(G·P,) where control starts."""
        return optimum + self.sigma * rng.standard_normal(len(optimum))


class Randomised(PluginConfig):
    """Control starts anywhere, knowing nothing of the optimum."""

    kind: Literal["randomised"] = "randomised"
    half_width: float = Field(
        gt=0, allow_inf_nan=False, description="Parameters are drawn uniformly from [-half_width, half_width]."
    )

    def place(self, optimum: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(G·P,) where control starts."""
        return rng.uniform(-self.half_width, self.half_width, len(optimum))


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Start: TypeAlias = Annotated[
    Annotated[Calibrated | Miscalibrated | Randomised, Discriminator("kind")], BeforeValidator(_named)
]
"""`calibrated`, `{kind: miscalibrated, sigma: 0.5}` or `{kind: randomised, half_width: 10}`."""
