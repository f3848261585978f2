"""Plugins of every kind under fixed names and versions, so that manifests can be checked without the real ones."""

from __future__ import annotations

import sys
import types
from importlib.metadata import Distribution, EntryPoint
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig
from qecforge.errors import PluginError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, QuantizerSpec, RewardSpec, hookimpl
from qecforge.registry import Registry


class Range(PluginConfig):
    low: float = Field(0.0, description="Least value.")
    high: float = Field(1.0, description="Greatest value.")


class CodeConfig(PluginConfig):
    n: int = Field(ge=2, description="Physical qubits.")
    k: int = Field(1, ge=1, description="Logical qubits.")
    gates: frozenset[Literal["h", "s", "cx", "cz"]] = Field(frozenset({"h", "cx"}), description="Gate set.")
    edges: tuple[tuple[int, int], ...] | None = Field(None, description="Pairs of qubits; null: all to all.")
    noise: float | Range | Literal["none"] = Field("none", description="Strength of the noise.")
    masked: bool = Field(False, description="Whether useless gates are masked.")
    label: str = Field("", max_length=5, description="Free text.")
    weights: dict[str, float] = Field({}, description="Weight of each gate.")

    @field_validator("edges", mode="before")
    @classmethod
    def _untouched(cls, value: Any) -> Any:
        return value

    @model_validator(mode="after")
    def _room(self) -> CodeConfig:
        if self.k >= self.n:
            raise ValueError(f"k: {self.k} is too large: a code needs n > k (n is {self.n}). Set k below {self.n}")
        return self


class BodyConfig(PluginConfig):
    limbs: int = Field(4, ge=1, description="Limbs.")


class RewardConfig(PluginConfig):
    scale: float = Field(10.0, gt=0, description="Factor.")


class AgentConfig(PluginConfig):
    total_steps: int = Field(1000, ge=1, description="Environment steps.")
    learning_rate: float = Field(3e-4, gt=0, lt=1, description="Step size.")
    layers: tuple[int, ...] = Field((64, 64), min_length=1, description="Widths.")


class QuantizerConfig(PluginConfig):
    bits: Literal[4, 8] = Field(8, description="Width of the integers.")


class AgreementConfig(PluginConfig):
    episodes: int = Field(10, ge=1, description="Episodes.")


class CrashingConfig(PluginConfig):
    value: int = Field(0, description="A value.")

    @field_validator("value")
    @classmethod
    def _crash(cls, value: int) -> int:
        return value // 0


class RefusingConfig(PluginConfig):
    value: int = Field(0, description="A value.")

    @field_validator("value")
    @classmethod
    def _refuse(cls, value: int) -> int:
        raise PluginError("the value\nis not to be had")


class EndlessConfig(PluginConfig):
    value: float = Field(float("inf"), description="No JSON has this.")


class ForgetfulConfig(PluginConfig):
    value: int = Field(0, exclude=True, description="Not in the JSON form.")
    other: int = Field(0, description="In it.")

    @model_validator(mode="after")
    def _needed(self) -> ForgetfulConfig:
        if self.value == 0 and self.other:
            raise ValueError("value is needed")
        return self


class DriftingConfig(PluginConfig):
    value: int = Field(0, description="Grows with each reading.")

    @field_validator("value")
    @classmethod
    def _grow(cls, value: int) -> int:
        return value + 1


def make(*args: object, **kwargs: object) -> Any:
    raise NotImplementedError


def _environment(name: str, **more: Any) -> EnvironmentSpec:
    return EnvironmentSpec(**({"name": name, "summary": f"{name}.", "config": BodyConfig, "make": make} | more))


def _agent(name: str, *kinds: Any, config: type[PluginConfig] = AgentConfig) -> AgentSpec:
    return AgentSpec(name=name, summary=f"{name}.", config=config, make=make, trains_on=frozenset(kinds))


def check_agreement(environment: Any, agent: Any, config: AgreementConfig) -> None:
    if config.episodes > 10**6:
        raise ValueError(f"episodes: {config.episodes} is too many for {type(agent).__name__}: give fewer")


AGREEMENT = EvaluationSpec(
    name="agreement", summary="Agreement.", config=AgreementConfig, evaluate=make, check=check_agreement
)


def check_coach(environment: Any, agent: AgentConfig) -> None:
    if agent.total_steps == 13:
        raise ZeroDivisionError("13 is no number")
    if agent.total_steps < environment.limbs:
        raise ValueError(
            f"total_steps: {agent.total_steps} is too few for {environment.limbs} limbs:\ngive a step to each"
        )


COACH = AgentSpec(
    name="coach",
    summary="Trains whatever has limbs.",
    config=AgentConfig,
    make=make,
    trains_on=frozenset({"discrete", "continuous", "parameters"}),
    check=check_coach,
    evaluations=(
        EvaluationSpec(name="posture", summary="Posture.", config=AgreementConfig, evaluate=make),
        EvaluationSpec(name="agreement", summary="The coach's.", config=AgreementConfig, evaluate=make),
    ),
)


class Science:
    """What manifests in tests name."""

    @hookimpl
    def qecforge_environments(self) -> list[EnvironmentSpec]:
        return [
            _environment("codes", config=CodeConfig, actions="discrete", shows="tableau", finds_codes=True),
            _environment("both", actions="discrete", shows="tableau", native_reward=True, evaluations=(AGREEMENT,)),
            _environment("body", actions="continuous", native_reward=True),
            _environment("treadmill", actions="continuous", native_reward=True, endless=True),
            _environment("field", actions="parameters", native_reward=True),
        ]

    @hookimpl
    def qecforge_rewards(self) -> list[RewardSpec]:
        return [
            RewardSpec(name="knill", summary="On tableaus.", config=RewardConfig, make=make, scores="tableau"),
            RewardSpec(name="pose", summary="On poses.", config=RewardConfig, make=make, scores="pose"),
        ]

    @hookimpl
    def qecforge_agents(self) -> list[AgentSpec]:
        return [
            _agent("chooser", "discrete"),
            _agent("mover", "continuous", "parameters"),
            COACH,
            _agent("crashing", "discrete", config=CrashingConfig),
            _agent("refusing", "discrete", config=RefusingConfig),
            _agent("endless", "discrete", config=EndlessConfig),
            _agent("forgetful", "discrete", config=ForgetfulConfig),
            _agent("drifting", "discrete", config=DriftingConfig),
        ]

    @hookimpl
    def qecforge_quantizers(self) -> list[QuantizerSpec]:
        return [
            QuantizerSpec(name="round", summary="Rounds.", config=QuantizerConfig, make=make, kind="post_training"),
            QuantizerSpec(name="steps", summary="Learns.", config=QuantizerConfig, make=make, kind="training_aware"),
            QuantizerSpec(
                name="round_body",
                summary="Rounds.",
                config=QuantizerConfig,
                make=make,
                kind="post_training",
                quantizes=frozenset({"continuous"}),
            ),
        ]


class _Fixed(Distribution):
    """A distribution that is nowhere on disk."""

    def __init__(self, name: str, version: str) -> None:
        self.text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


def science_registry(version: str = "1.2.3") -> Registry:
    """A registry that holds `Science` alone, as distribution `fake-science` of this version."""
    module = sys.modules.setdefault("manifest_fakes_plugin", types.ModuleType("manifest_fakes_plugin"))
    module.science = Science()  # type: ignore[attr-defined]
    point = EntryPoint("science", "manifest_fakes_plugin:science", "qecforge")
    vars(point).update(dist=_Fixed("fake-science", version))
    registry = Registry.load([point])
    assert not registry.broken, registry.broken[0].traceback
    return registry


MANIFEST = """\
qecforge: 1
name: steane
environment: {plugin: codes, n: 7, gates: [h, cx, s]}
reward: {plugin: knill, scale: 10}
agent:
  plugin: chooser
  total_steps: 500_000
evaluation:
  logical_error_rate: {p: [1.0e-3, 1e-2], shots: 1000}
seeds: [0, 1]
sweep: {agent.learning_rate: [3.0e-4, 1.0e-3]}
"""
