"""One run of a manifest, resolved and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.files import files_of_stored_run
from qecforge.errors import ManifestError, PluginError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, QuantizerSpec, RewardSpec
from qecforge.manifest._choice import Choice, Gathered
from qecforge.manifest._evaluation import Evaluation
from qecforge.manifest._resolve import Resolved, resolve
from qecforge.manifest._sections import MANIFEST_VERSION, Budget
from qecforge.manifest._sweep import overridden
from qecforge.manifest._validation import canonical_json
from qecforge.manifest._yaml import Entry, Node, Place, mapping, shown
from qecforge.registry import Registry

__all__ = ["Label", "Quantization", "RunPlan", "identity_of", "plan_of"]


@dataclass(frozen=True)
class RunPlan:
    """One run: everything resolved, one seed. Two plans are equal when their canonical texts are.

    Attributes:
        name: Of the manifest; a label.
        reward: None for the environment's own.
        quantization: How the policy becomes integers; None where it stays in floating point.
        sweep_point: What the sweep set, by dotted path; empty without a sweep.
        canonical: Canonical JSON; `from_canonical` rebuilds the plan from it.
        identity: SHA-256 in hexadecimal of `canonical` without its evaluations: what is trained, whatever is measured
            of it afterwards.
        source_text: The manifest as it was given.
    """

    canonical: str
    name: str = field(compare=False)
    seed: int = field(compare=False)
    environment: Choice[EnvironmentSpec] = field(compare=False)
    reward: Choice[RewardSpec] | None = field(compare=False)
    agent: Choice[AgentSpec] = field(compare=False)
    quantization: Quantization | None = field(compare=False)
    evaluation: Evaluation = field(compare=False)
    budget: Budget = field(compare=False)
    sweep_point: Mapping[str, Any] = field(compare=False)
    source_text: str = field(compare=False)

    @cached_property
    def identity(self) -> str:
        """SHA-256 in hexadecimal of `canonical` without its evaluations."""
        return identity_of(self.canonical)

    @classmethod
    def from_canonical(
        cls,
        canonical: str,
        registry: Registry,
        *,
        name: str = "run",
        source_text: str = "",
        sweep_point: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
        overrides: Sequence[str] = (),
        any_version: bool = False,
    ) -> RunPlan:
        """The plan that a canonical text stands for.

        Args:
            environment: Keys of the environment's configuration to replace, such as `{"noise": {...}}`.
            overrides: `path=value` texts for its evaluations, as in `load_manifest`.
            any_version: Take the plugins that are installed, whatever the run was planned with: to build its policy,
                not to carry it out.

        Raises:
            ManifestError: it is not a canonical text, or what is replaced does not fit.
            PluginError: a plugin is missing or of another version than the run was planned with.
        """
        content, seed, planned = _read_canonical(canonical)
        content["environment"] |= environment or {}
        if not any_version:
            _check_versions(planned, content, registry)
        teacher = _embedded_teacher(content, registry, name)
        label = Label(name, source_text, sweep_point or {})
        gathered = Gathered()
        root = overridden(_node(content), overrides, gathered)
        gathered.refuse()
        with files_of_stored_run():
            return plan_of(resolve(root, registry), seed, label, teacher)


@dataclass(frozen=True)
class Quantization:
    """How a run's policy becomes integers.

    Attributes:
        teacher: The run whose float policy is quantized: its plan, or the id by which the manifest names a run of the
            store.
        fine_tuning: The agent's configuration while a student is fine-tuned; None where the quantizer does not train.
    """

    quantizer: Choice[QuantizerSpec]
    teacher: RunPlan | str
    fine_tuning: PluginConfig | None


@dataclass(frozen=True)
class Label:
    """What people call a run."""

    name: str
    source_text: str
    sweep_point: Mapping[str, Any]

    def of_teacher(self) -> Label:
        """Of the same run without its quantizer."""
        point = {path: value for path, value in self.sweep_point.items() if path.partition(".")[0] != "quantizer"}
        return Label(f"{self.name[:92]}-teacher", self.source_text, point)


def plan_of(resolved: Resolved, seed: int, label: Label, teacher: RunPlan | None = None) -> RunPlan:
    """The run of one seed.

    Args:
        teacher: The run that the manifest named by its quantizer's teacher describes; None where it names none.
    """
    return RunPlan(
        canonical=resolved.canonical(seed, None if teacher is None else json.loads(teacher.canonical)),
        name=label.name,
        seed=seed,
        environment=resolved.environment,
        reward=resolved.reward,
        agent=resolved.agent,
        quantization=_quantization(resolved, seed, label, teacher),
        evaluation=resolved.evaluation,
        budget=resolved.budget,
        sweep_point=dict(label.sweep_point),
        source_text=label.source_text,
    )


def _quantization(resolved: Resolved, seed: int, label: Label, named: RunPlan | None) -> Quantization | None:
    """Where no teacher is named, it is the run without the quantizer."""
    if resolved.quantizer is None:
        return None
    teacher: RunPlan | str | None = named
    if resolved.teacher is None:
        teacher = plan_of(resolved.without_quantizer(), seed, label.of_teacher())
    elif resolved.teacher.run is not None:
        teacher = resolved.teacher.run
    if teacher is None:
        raise _damaged("its teacher's manifest is not a run's")
    return Quantization(resolved.quantizer, teacher, resolved.fine_tuning)


def identity_of(canonical: str) -> str:
    """Identity of the run that a canonical text describes."""
    return hashlib.sha256(canonical_json(_without_evaluations(json.loads(canonical))).encode()).hexdigest()


def _without_evaluations(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a canonical text, and of that of the teacher that it describes, without evaluations."""
    found = {name: section for name, section in content.items() if name != "evaluation"}
    teacher = content["quantizer"].get("teacher") if isinstance(content.get("quantizer"), dict) else None
    if isinstance(teacher, dict) and isinstance(teacher.get("manifest"), dict):
        described = {**teacher, "manifest": _without_evaluations(teacher["manifest"])}
        found["quantizer"] = {**content["quantizer"], "teacher": described}
    return found


def _embedded_teacher(content: Mapping[str, Any], registry: Registry, name: str) -> RunPlan | None:
    """The run that stands in a canonical text in the place of a teacher's manifest."""
    section = content.get("quantizer")
    teacher = section.get("teacher") if isinstance(section, dict) else None
    embedded = teacher.get("manifest") if isinstance(teacher, dict) else None
    if not isinstance(embedded, dict) or not isinstance(teacher, dict):
        return None
    plan = RunPlan.from_canonical(canonical_json(embedded), registry, name=f"{name[:92]}-teacher")
    teacher["manifest"] = plan.identity
    return plan


def _read_canonical(canonical: str) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Sections, seed and plugin versions of a canonical text."""
    try:
        content = json.loads(canonical)
    except ValueError as error:
        raise _damaged(str(error)) from error
    if not isinstance(content, dict):
        raise _damaged("it is no JSON object")
    if content.get("qecforge") != MANIFEST_VERSION:
        raise ManifestError(
            f"the canonical form is of manifest version {shown(content.get('qecforge'))}, this qecforge reads version "
            f"{MANIFEST_VERSION}: use the qecforge that wrote it"
        )
    missing = {"agent", "budget", "environment", "evaluation", "plugins", "reward", "seed"} - content.keys()
    if missing:
        raise _damaged(f"{', '.join(sorted(missing))} is missing")
    planned, seed = content.pop("plugins"), content.pop("seed")
    if not isinstance(content["environment"], dict) or not isinstance(planned, dict) or not isinstance(seed, int):
        raise _damaged("environment, plugins or seed is of the wrong type")
    return content, seed, planned


def _damaged(what: str) -> ManifestError:
    return ManifestError(f"the canonical form of a run is damaged: {what}. Run its manifest anew")


def _check_versions(planned: Mapping[str, Any], content: Mapping[str, Any], registry: Registry) -> None:
    """Across versions nothing is promised, so a plan is carried out with those that it was made with."""
    for kind, wanted in planned.items():
        try:
            name, distribution, version = content[kind]["plugin"], wanted["distribution"], wanted["version"]
        except (KeyError, TypeError) as error:
            raise _damaged(f"{kind} names no plugin or version") from error
        installed = registry.get(kind, name)
        if (installed.distribution, installed.version) != (distribution, version):
            raise PluginError(
                f"{kind} {name} was planned with {distribution} {version}, installed is "
                f"{installed.distribution} {installed.version}: install the former, or run the manifest anew"
            )


def _node(values: Any) -> Node:
    """JSON values as a node without a place."""
    if isinstance(values, dict):
        return mapping({key: Entry(Place(), _node(value)) for key, value in values.items()}, Place())
    if isinstance(values, list):
        return Node(tuple(_node(value) for value in values), Place())
    return Node(values, Place())
