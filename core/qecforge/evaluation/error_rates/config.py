"""The manifest's `evaluation.logical_error_rate`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from qecforge.contracts.config import PluginConfig
from qecforge.evaluation.error_rates.noise import DepolarizingNoise, Noise, data_channels

__all__ = ["DECODERS", "LinearSpace", "LogSpace", "LogicalErrorRateConfig"]

DecoderName: TypeAlias = Literal["auto", "pymatching", "bposd", "bplsd", "tesseract", "ml_lookup"]
DECODERS: tuple[str, ...] = ("auto", "pymatching", "bposd", "bplsd", "tesseract", "ml_lookup")

Probability: TypeAlias = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


def _interval(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 3:
        return {"low": value[0], "high": value[1], "num": value[2]}
    return value


class _Interval(PluginConfig):
    low: Probability = Field(description="First value.")
    high: Probability = Field(description="Last value.")
    num: int = Field(ge=2, le=1000, description="How many values, both ends included.")

    @model_validator(mode="after")
    def _ordered(self) -> _Interval:
        if self.low >= self.high:
            raise ValueError(f"got low {self.low} and high {self.high}, expected low < high; swap them")
        return self


_Triple: TypeAlias = Annotated[_Interval, BeforeValidator(_interval, json_schema_input_type=list[float])]


class LogSpace(PluginConfig):
    """Values evenly spaced on a logarithmic axis: `{log_space: [low, high, num]}`."""

    log_space: _Triple = Field(description="[low, high, num]: first value, last value, how many.")

    def values(self) -> tuple[float, ...]:
        """The values, ascending; both ends exactly as given."""
        low, high, num = self.log_space.low, self.log_space.high, self.log_space.num
        step = math.log(high / low) / (num - 1)
        return (low, *(low * math.exp(step * i) for i in range(1, num - 1)), high)


class LinearSpace(PluginConfig):
    """Values evenly spaced: `{linear_space: [low, high, num]}`."""

    linear_space: _Triple = Field(description="[low, high, num]: first value, last value, how many.")

    def values(self) -> tuple[float, ...]:
        """The values, ascending; both ends exactly as given."""
        low, high, num = self.linear_space.low, self.linear_space.high, self.linear_space.num
        return (low, *(low + (high - low) * i / (num - 1) for i in range(1, num - 1)), high)


def _kind_of_strengths(value: Any) -> str:
    if isinstance(value, LinearSpace) or (isinstance(value, dict) and "linear_space" in value):
        return "linear_space"
    if isinstance(value, LogSpace | dict):
        return "log_space"
    return "list"


Strengths: TypeAlias = Annotated[
    Annotated[list[Probability], Field(min_length=1), Tag("list")]
    | Annotated[LogSpace, Tag("log_space")]
    | Annotated[LinearSpace, Tag("linear_space")],
    Discriminator(_kind_of_strengths),
]


class LogicalErrorRateConfig(PluginConfig):
    """How the logical error rate of discovered codes is measured."""

    experiment: Literal["memory", "code_capacity"] = Field(
        "memory",
        description="memory: circuit level, faulty syndrome extraction. code_capacity: one round of noise on the data "
        "qubits, perfect syndromes, maximum-likelihood decoding unless `decoder` says otherwise.",
    )
    noise: Noise = Field(
        default_factory=lambda: DepolarizingNoise.model_validate({}),
        description="Noise model: depolarizing, biased, amplitude_damping, custom; or a mapping with `model` and its "
        "options (factors on p per place).",
    )
    p: Strengths = Field(
        default_factory=lambda: LogSpace.model_validate({"log_space": [1e-4, 3e-3, 10]}),
        description="Strengths of the noise: a list, or {log_space: [low, high, num]}, or {linear_space: [low, high, "
        "num]}. Default: 10 values in 1e-4..3e-3.",
    )
    shots: int = Field(
        100_000,
        ge=1,
        description="Shots per value of p, rounded up to whole chunks (1e3, 2e3, 5e3, 1e4, 2e4, ...). Asking again for "
        "more adds to what the store holds.",
    )
    max_errors: int | None = Field(
        None,
        ge=1,
        description="Where set, sampling goes on beyond `shots` until this many logical errors were seen, or "
        "`max_shots` drawn. 200 gives a rate to about 14 %.",
    )
    max_shots: int = Field(
        100_000_000, ge=1, description="Upper limit on shots per value of p where `max_errors` is set."
    )
    extraction: Literal["bare", "flag", "shor"] = Field(
        "flag",
        description="Syndrome extraction of the memory experiment. bare: one ancilla per stabilizer, its CNOT order "
        "searched; keeps the distance of surface codes, not of most others. flag: the ancilla is guarded by flag "
        "qubits. shor: verified cat states.",
    )
    rounds: int | None = Field(
        None, ge=1, description="Rounds of syndrome extraction; null: as many as the code's distance."
    )
    basis: Literal["x", "z", "both"] = Field(
        "both", description="Which logical operators the memory keeps; both: half of the shots each, the mean rate."
    )
    boundary: Literal["ideal", "transversal"] = Field(
        "ideal",
        description="ideal: stabilizers and logical operators are measured without noise before and after the noisy "
        "rounds (any code). transversal: all data qubits are reset and read out with noise (CSS codes only).",
    )
    postselect: bool = Field(
        True,
        description="extraction shor: discard shots in which a cat state failed its verification (as if it had been "
        "prepared anew); false: the decoder is shown the verification instead.",
    )
    decoder: DecoderName = Field(
        "auto",
        description="auto: ml_lookup where its tables are all but complete (small circuits); else pymatching where "
        "every fault is an edge, or the circuit is large and its faults split into edges without loss; else tesseract "
        "where installed, else bposd. The one in use is recorded.",
    )
    generators: Literal["auto", "given", "lightest"] = Field(
        "auto",
        description="Which generators are measured. given: the code's own. lightest: those of least total weight, "
        "decided by the code's group alone. auto: given where they are as light as the lightest (plaquettes stay "
        "plaquettes), else lightest; of codes that a run discovered, whose generators no person chose, lightest.",
    )
    order: Literal["auto", "ascending"] | list[list[int]] = Field(
        "auto",
        description="Order in which a generator's qubits are coupled. auto: searched until no fault of the extraction "
        "costs distance; for surface codes the standard order in the shapes of Z and N, all generators side by side. "
        "ascending: by number. A list: the order of each generator's qubits (`generators: given`).",
    )
    schedule_seed: int = Field(0, ge=0, description="Seed of the search for a good CNOT order.")
    max_codes: int | None = Field(
        1,
        ge=1,
        description="Number of codes of a run that are measured, best first (greatest distance, then fewest gates); "
        "null: all codes.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> LogicalErrorRateConfig:
        if self.max_errors is not None and self.max_shots < self.shots:
            raise ValueError(f"got max_shots {self.max_shots} below shots {self.shots}; raise max_shots or lower shots")
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError("p: got the same value twice; remove the duplicate")
        if isinstance(self.order, list) and self.generators != "given":
            raise ValueError(
                f"order: got a list with generators {self.generators}, expected generators: given, since the list "
                "follows the code's own; add generators: given"
            )
        for p in self.strengths:
            if self.experiment == "code_capacity":
                data_channels(self.noise, p)
            else:
                self.noise.channels(p)
        return self

    @model_serializer(mode="wrap")
    def _choices_unsaid(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`generators` and `order` where they are not auto: canonical forms of runs from before there were others stay
        what they are."""
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key not in ("generators", "order") or value != "auto"}

    @property
    def strengths(self) -> tuple[float, ...]:
        """The values of p."""
        return self.p.values() if isinstance(self.p, LogSpace | LinearSpace) else tuple(self.p)
