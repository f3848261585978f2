"""Noise models: how strong each kind of fault is, as a function of one strength p.

Every model gives a `Channels`: Pauli channels for the places where a circuit goes wrong.

- `gate1`: after a single-qubit gate, on its qubit.
- `gate2`: after a two-qubit gate, on its two qubits.
- `idle`: on each qubit that waits while others are operated on, once per layer of the circuit.
- `measurement`: the recorded bit of a measurement is flipped.
- `reset`: a reset prepares the orthogonal state.
- `data`: the code-capacity channel, once on each data qubit.

Each model has one factor per place, which multiplies p there (0 turns it off).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from qecforge.contracts.config import PluginConfig
from qecforge.errors import ConfigurationError

__all__ = [
    "TWO_QUBIT_PAULIS",
    "AmplitudeDampingNoise",
    "BiasedNoise",
    "Channels",
    "CustomNoise",
    "DepolarizingNoise",
    "Noise",
    "PauliChannel",
    "canonical_noise",
    "data_channels",
]

PauliChannel: TypeAlias = tuple[float, float, float]
"""Probabilities of X, Y and Z; the identity has the rest."""

TWO_QUBIT_PAULIS = tuple(a + b for a in "IXYZ" for b in "IXYZ")[1:]
"""IX, IY, IZ, XI, ..., ZZ: the order of stim's PAULI_CHANNEL_2."""

Factor: TypeAlias = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Channels:
    """A noise model at one strength. Probabilities, all in [0, 1].

    Attributes:
        gate1, idle, data: Probabilities of X, Y, Z.
        gate2: Probabilities of the 15 Paulis in the order of `TWO_QUBIT_PAULIS`.
        measurement, reset: Probability of a flip.
    """

    gate1: PauliChannel
    gate2: tuple[float, ...]
    idle: PauliChannel
    measurement: float
    reset: float
    data: PauliChannel

    def __post_init__(self) -> None:
        for name in ("gate1", "gate2", "idle", "data", "measurement", "reset"):
            value = getattr(self, name)
            parts = (value,) if isinstance(value, float) else value
            if min(parts) < 0.0 or math.fsum(parts) > 1.0 + 1e-12:
                raise ConfigurationError(
                    f"noise.{name}: got {value}, expected probabilities that sum to at most 1; lower p or its factor"
                )


class _Factors(PluginConfig):
    gate1: Factor = Field(1.0, description="Factor on p after single-qubit gates.")
    gate2: Factor = Field(1.0, description="Factor on p after two-qubit gates.")
    measurement: Factor = Field(1.0, description="Factor on p for a flip of a measured bit.")
    reset: Factor = Field(1.0, description="Factor on p for a reset into the orthogonal state.")
    idle: Factor = Field(
        0.1, description="Factor on p for each qubit that waits through a layer of the circuit (ours)."
    )


class DepolarizingNoise(_Factors):
    """Each location has an error with probability factor * p; the 3 (or 15) Paulis are equally likely."""

    model: Literal["depolarizing"] = Field("depolarizing", description="The name of this model.")

    def channels(self, p: float) -> Channels:
        """The channels at strength p."""
        return Channels(
            gate1=_depolarizing(self.gate1 * p),
            gate2=(self.gate2 * p / 15,) * 15,
            idle=_depolarizing(self.idle * p),
            measurement=self.measurement * p,
            reset=self.reset * p,
            data=_depolarizing(p),
        )


class BiasedNoise(_Factors):
    """Z is eta times as likely as X, and Y as likely as X.

    After a two-qubit gate the three Paulis made of I and Z alone are eta times as likely as each of the other
    twelve (ours); eta = 1 is `depolarizing`. Flips of measurements and resets have probability factor * p.
    """

    model: Literal["biased"] = Field("biased", description="The name of this model.")
    eta: float = Field(5.0, gt=0.0, allow_inf_nan=False, description="Z : X.")

    def channels(self, p: float) -> Channels:
        """The channels at strength p."""
        unit = 3 * self.eta + 12
        gate2 = tuple(
            self.gate2 * p * (self.eta if set(pauli) <= {"I", "Z"} else 1.0) / unit for pauli in TWO_QUBIT_PAULIS
        )
        return Channels(
            gate1=self._single(self.gate1 * p),
            gate2=gate2,
            idle=self._single(self.idle * p),
            measurement=self.measurement * p,
            reset=self.reset * p,
            data=self._single(p),
        )

    def _single(self, p: float) -> PauliChannel:
        unit = self.eta + 2
        return (p / unit, p / unit, p * self.eta / unit)


class AmplitudeDampingNoise(_Factors):
    """Pauli-twirled amplitude damping with gamma = factor * p, and readout that is worse than gates.

    p_X = p_Y = gamma / 4 and p_Z = 1/2 - gamma / 4 - sqrt(1 - gamma) / 2, on each qubit of a gate independently.
    Readout never enters the code-capacity channel.
    """

    model: Literal["amplitude_damping"] = Field("amplitude_damping", description="The name of this model.")
    measurement: Factor = Field(5.0, description="Factor on p for a readout flip.")
    reset: Factor = Field(0.0, description="Factor on p for a reset into the orthogonal state.")

    def channels(self, p: float) -> Channels:
        """The channels at strength p. Raises `ConfigurationError` where a gamma exceeds 1."""
        one = {"I": 1.0} | dict(zip("XYZ", self._twirled(self.gate2 * p), strict=True))
        one["I"] -= math.fsum(self._twirled(self.gate2 * p))
        return Channels(
            gate1=self._twirled(self.gate1 * p),
            gate2=tuple(one[pair[0]] * one[pair[1]] for pair in TWO_QUBIT_PAULIS),
            idle=self._twirled(self.idle * p),
            measurement=self.measurement * p,
            reset=self.reset * p,
            data=self._twirled(p),
        )

    @staticmethod
    def _twirled(gamma: float) -> PauliChannel:
        if not 0.0 <= gamma <= 1.0:
            raise ConfigurationError(f"noise: got gamma {gamma}, expected at most 1; lower p or its factor")
        root = math.sqrt(1.0 - gamma)
        # The same as 1/2 - gamma/4 - root/2, without its cancellation at small gamma.
        return (gamma / 4, gamma / 4, (gamma / (1.0 + root)) ** 2 / 4)


class CustomNoise(PluginConfig):
    """Any Pauli noise: each number is multiplied by p."""

    model: Literal["custom"] = Field("custom", description="The name of this model.")
    gate1: dict[Literal["X", "Y", "Z"], Factor] = Field(
        default_factory=dict, description="Factor on p of each Pauli after a single-qubit gate."
    )
    gate2: dict[str, Factor] = Field(
        default_factory=dict,
        description="Factor on p of each two-qubit Pauli (`XI`, `ZZ`, ...) after a two-qubit gate.",
    )
    idle: dict[Literal["X", "Y", "Z"], Factor] = Field(
        default_factory=dict, description="Factor on p of each Pauli on a qubit that waits through a layer."
    )
    data: dict[Literal["X", "Y", "Z"], Factor] = Field(
        default_factory=dict, description="Factor on p of each Pauli of the code-capacity channel."
    )
    measurement: Factor = Field(0.0, description="Factor on p for a flip of a measured bit.")
    reset: Factor = Field(0.0, description="Factor on p for a reset into the orthogonal state.")

    @field_validator("gate2")
    @classmethod
    def _known_paulis(cls, value: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(value) - set(TWO_QUBIT_PAULIS)):
            raise ValueError(f"got {unknown}, expected two-qubit Paulis such as XI, IZ or ZZ (not II)")
        return value

    @model_validator(mode="after")
    def _not_empty(self) -> CustomNoise:
        if not any((*self.gate1.values(), *self.gate2.values(), *self.idle.values(), *self.data.values())) and not (
            self.measurement or self.reset
        ):
            raise ValueError(
                "this custom noise has no fault at all; give at least one of gate1, gate2, idle, data, "
                "measurement, reset"
            )
        return self

    def channels(self, p: float) -> Channels:
        """The channels at strength p."""

        def single(factors: dict[Literal["X", "Y", "Z"], float]) -> PauliChannel:
            return (p * factors.get("X", 0.0), p * factors.get("Y", 0.0), p * factors.get("Z", 0.0))

        return Channels(
            gate1=single(self.gate1),
            gate2=tuple(p * self.gate2.get(pauli, 0.0) for pauli in TWO_QUBIT_PAULIS),
            idle=single(self.idle),
            measurement=self.measurement * p,
            reset=self.reset * p,
            data=single(self.data),
        )


def _named(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Noise: TypeAlias = Annotated[
    Annotated[DepolarizingNoise | BiasedNoise | AmplitudeDampingNoise | CustomNoise, Field(discriminator="model")],
    BeforeValidator(_named, json_schema_input_type=str | dict[str, Any]),
]
"""A noise model as a manifest gives it: a name, or a mapping with `model` and its options."""


def canonical_noise(noise: DepolarizingNoise | BiasedNoise | AmplitudeDampingNoise | CustomNoise) -> str:
    """The model without its strength, as canonical JSON (sorted keys, no spaces): equal models, equal text."""
    return json.dumps(noise.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def data_channels(noise: DepolarizingNoise | BiasedNoise | AmplitudeDampingNoise | CustomNoise, p: float) -> Channels:
    """The channels at strength p with faults on the data qubits alone, as at code capacity.

    Places that never enter may then have a factor that would make them too probable. Raises `ConfigurationError` where
    the data channel itself is.
    """
    custom = isinstance(noise, CustomNoise)
    places: dict[str, Any] = {name: {} if custom else 0.0 for name in ("gate1", "gate2", "idle")}
    return noise.model_copy(update=places | {"measurement": 0.0, "reset": 0.0}).channels(p)


def _depolarizing(p: float) -> PauliChannel:
    return (p / 3, p / 3, p / 3)
