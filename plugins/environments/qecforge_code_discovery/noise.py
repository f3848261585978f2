"""Noise of single qubits: the channels that rewards weigh errors with, and the parameters a noise-aware agent sees.

Every model comes down to the probabilities of (I, X, Y, Z) on each qubit. A parameter is a number, or a range from
which each episode draws its own value.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from qecforge.contracts import PluginConfig

__all__ = [
    "AmplitudeDamping",
    "Biased",
    "Depolarizing",
    "LogUniform",
    "Noise",
    "NoiseModel",
    "Parameter",
    "PerQubit",
    "Uniform",
]


class Uniform(PluginConfig):
    """Drawn uniformly from [lo, hi] at the start of each episode."""

    uniform: tuple[float, float] = Field(description="Lowest and highest value.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.uniform

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if not self.uniform[0] < self.uniform[1]:
            raise ValueError(f"range {list(self.uniform)} is empty: give [lowest, highest]")
        return self


class LogUniform(PluginConfig):
    """Drawn at the start of each episode, its logarithm uniform between those of lo and hi."""

    log_uniform: tuple[float, float] = Field(description="Lowest and highest value, both positive.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.log_uniform

    @model_validator(mode="after")
    def _ordered(self) -> LogUniform:
        if not 0 < self.log_uniform[0] < self.log_uniform[1]:
            raise ValueError(f"range {list(self.log_uniform)} has no logarithm or is empty: give [lowest, highest] > 0")
        return self


def _parameter_form(value: Any) -> str:
    if isinstance(value, Uniform) or (isinstance(value, dict) and "uniform" in value):
        return "uniform"
    if isinstance(value, LogUniform) or (isinstance(value, dict) and "log_uniform" in value):
        return "log_uniform"
    return "number"


Parameter: TypeAlias = Annotated[
    Annotated[float, Tag("number")] | Annotated[Uniform, Tag("uniform")] | Annotated[LogUniform, Tag("log_uniform")],
    Discriminator(_parameter_form),
]
"""A number, `{uniform: [lo, hi]}` or `{log_uniform: [lo, hi]}`."""


def _extremes(value: float | Uniform | LogUniform) -> tuple[float, float]:
    return value.bounds if isinstance(value, (Uniform, LogUniform)) else (value, value)


class NoiseModel(PluginConfig):
    """Base of the models.

    Attributes:
        code: Number of the model in the kernels.
        limits: Of each parameter, lowest and highest value that makes sense, in the order of the fields.
    """

    code: ClassVar[int]
    limits: ClassVar[dict[str, tuple[float, float]]]

    @property
    def parameters(self) -> dict[str, float | Uniform | LogUniform]:
        """Name -> number or range, in the order in which agents see them."""
        return {name: getattr(self, name) for name in self.limits}

    @property
    def varies(self) -> bool:
        """Whether some parameter is drawn anew for each episode."""
        return any(isinstance(value, (Uniform, LogUniform)) for value in self.parameters.values())

    def check(self, values: dict[str, float]) -> None:
        """Refuse values outside their limits. Raises `ValueError`, one line."""
        for name, value in values.items():
            low, high = self.limits[name]
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"noise parameter {name} = {value:g} leaves [{low:g}, {high:g}]: bring it inside")

    @model_validator(mode="after")
    def _within_limits(self) -> NoiseModel:
        for end in (0, 1):
            self.check({name: _extremes(value)[end] for name, value in self.parameters.items()})
        return self

    def channel(self, values: dict[str, float], n: int) -> NDArray[np.float64]:
        """Probabilities of (I, X, Y, Z), shape (n, 4), for given parameter values."""
        p_x, p_y, p_z = self.paulis(values)
        return np.tile(np.array([1 - p_x - p_y - p_z, p_x, p_y, p_z]), (n, 1))

    def paulis(self, values: dict[str, float]) -> tuple[float, float, float]:
        """Probabilities of X, Y and Z where every qubit has the same."""
        raise NotImplementedError(f"{type(self).__name__} has no channel common to all qubits")


class Depolarizing(NoiseModel):
    """X, Y and Z with probability p/3 each."""

    code: ClassVar[int] = 0
    limits: ClassVar[dict[str, tuple[float, float]]] = {"p": (0.0, 1.0)}

    model: Literal["depolarizing"] = "depolarizing"
    p: Parameter = Field(description="Probability of an error on a qubit.")

    def paulis(self, values: dict[str, float]) -> tuple[float, float, float]:
        """p/3 each."""
        return (values["p"] / 3,) * 3


class Biased(NoiseModel):
    """Z : X = eta : 1 and Y = X, together p. (Experiment E2 of the APQ paper: eta = 5.)"""

    code: ClassVar[int] = 1
    limits: ClassVar[dict[str, tuple[float, float]]] = {"p": (0.0, 1.0), "eta": (1e-6, 1e6)}

    model: Literal["biased"] = "biased"
    p: Parameter = Field(description="Probability of an error on a qubit.")
    eta: Parameter = Field(description="Probability of Z over that of X.")

    def paulis(self, values: dict[str, float]) -> tuple[float, float, float]:
        """p/(eta+2) for X and Y, p eta/(eta+2) for Z."""
        unit = values["p"] / (values["eta"] + 2)
        return unit, unit, unit * values["eta"]


class AmplitudeDamping(NoiseModel):
    """Pauli-twirled amplitude damping: X = Y = gamma/4, Z = 1/2 - gamma/4 - sqrt(1 - gamma)/2.

    Readout flips act on measurements alone: agents see them, the Knill-Laflamme conditions do not depend on them.
    """

    code: ClassVar[int] = 2
    limits: ClassVar[dict[str, tuple[float, float]]] = {"gamma": (0.0, 1.0), "readout": (0.0, 1.0)}

    model: Literal["amplitude_damping"] = "amplitude_damping"
    gamma: Parameter = Field(description="Probability that |1> decays.")
    readout: Parameter = Field(default=0.0, description="Probability that a measurement flips.")

    def paulis(self, values: dict[str, float]) -> tuple[float, float, float]:
        """The twirled channel."""
        gamma = values["gamma"]
        return gamma / 4, gamma / 4, max(0.0, 0.5 - gamma / 4 - math.sqrt(1 - gamma) / 2)


class PerQubit(NoiseModel):
    """Each qubit its own Pauli channel, all multiplied by one scale."""

    code: ClassVar[int] = 3
    limits: ClassVar[dict[str, tuple[float, float]]] = {"scale": (0.0, 1e6)}

    model: Literal["per_qubit"] = "per_qubit"
    probabilities: tuple[tuple[float, float, float], ...] = Field(
        min_length=1, description="Probabilities of X, Y and Z for each qubit; `noise_from_target` makes them."
    )
    scale: Parameter = Field(default=1.0, description="Multiplies every probability.")

    def check(self, values: dict[str, float]) -> None:
        """Also: no qubit may leave [0, 1]."""
        super().check(values)
        for q, paulis in enumerate(self.probabilities):
            if min(paulis) < 0 or not sum(paulis) * values["scale"] <= 1:
                scale = values["scale"]
                raise ValueError(f"noise of qubit {q}, {list(paulis)} times {scale:g}, leaves [0, 1]: lower it")

    def channel(self, values: dict[str, float], n: int) -> NDArray[np.float64]:
        """Each qubit's own."""
        paulis = np.array(self.probabilities, dtype=np.float64) * values["scale"]
        return np.concatenate([1 - paulis.sum(axis=1, keepdims=True), paulis], axis=1)


_MODELS = ("depolarizing", "biased", "amplitude_damping", "per_qubit")


def _known(value: Any) -> Any:
    if isinstance(value, NoiseModel) or (isinstance(value, dict) and value.get("model") in _MODELS):
        return value
    raise ValueError(f"noise cannot be {value!r}: give none, or {{model: {'|'.join(_MODELS)}, ...}}")


def _model_form(value: Any) -> Any:
    return value.get("model") if isinstance(value, dict) else value.model


Noise: TypeAlias = Annotated[
    Annotated[Depolarizing, Tag("depolarizing")]
    | Annotated[Biased, Tag("biased")]
    | Annotated[AmplitudeDamping, Tag("amplitude_damping")]
    | Annotated[PerQubit, Tag("per_qubit")],
    Discriminator(_model_form),
    BeforeValidator(_known),
]
"""Any of the models, told apart by `model`."""
