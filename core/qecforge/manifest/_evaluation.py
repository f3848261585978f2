"""The section `evaluation`: what is measured after training, by the core, the environment and the agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qecforge.contracts.config import PluginConfig
from qecforge.evaluation.built_in import BUILT_IN, BuiltInEvaluation, C
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec
from qecforge.manifest._choice import Gathered, Named, listed, refusals
from qecforge.manifest._complaints import unknown_key
from qecforge.manifest._validation import validated
from qecforge.manifest._yaml import Entry, Node, plain, shown

__all__ = ["Evaluation", "evaluation_of"]


@dataclass(frozen=True)
class Evaluation:
    """What is measured after training.

    Attributes:
        built_in: Those of the core that the manifest asks for, with their configurations, in the order in which they
            run.
        others: Those that the environment brings, then the agent's, each by name; likewise.
    """

    built_in: tuple[tuple[BuiltInEvaluation[Any], PluginConfig], ...] = ()
    others: tuple[tuple[EvaluationSpec, PluginConfig], ...] = ()

    def of(self, evaluation: BuiltInEvaluation[C]) -> C | None:
        """How one of the core's is asked for; None where it is not."""
        return next((config for _, config in self.built_in if isinstance(config, evaluation.config)), None)

    @property
    def names(self) -> list[str]:
        """As the manifest names them."""
        return [*(each.name for each, _ in self.built_in), *(each.name for each, _ in self.others)]

    def without_quantizer(self, environment: EnvironmentSpec) -> Evaluation:
        """What of it applies to the run that trains the float policy."""
        fitting = tuple(each for each in self.built_in if each[0].unfit(environment, False) is None)
        return Evaluation(fitting, self.others)


@dataclass(frozen=True)
class _Brought:
    """An evaluation that the environment or the agent brings."""

    spec: EvaluationSpec
    owner: str


def evaluation_of(
    root: Node,
    environment: Named[EnvironmentSpec],
    agent: Named[AgentSpec],
    configs: tuple[PluginConfig, PluginConfig] | None,
    *,
    quantizes: bool,
    swept: bool = False,
) -> Evaluation:
    """What a manifest asks for.

    Args:
        swept: Where it has no quantizer, other points of its sweep have one: what is of quantized policies alone is
            theirs, and is left out here.
        configs: The environment's and the agent's; None where one of them cannot be used, and plugins are not asked
            about their evaluations.
        quantizes: Whether it has a quantizer.

    Raises:
        ManifestError: evaluations that are not known here, do not apply, or whose settings do not fit.
        PluginError: an evaluation's own check failed.
    """
    section = root.get("evaluation")
    if section is None or section.value is None:
        return Evaluation()
    if not isinstance(section.value, dict):
        raise section.place.error(f"got {shown(plain(section))}, expected a mapping", "evaluation")
    brought = [
        _Brought(spec, choice.owner)
        for choice in (environment, agent)
        for spec in sorted(choice.spec.evaluations, key=lambda each: each.name)
    ]
    asked: dict[str, PluginConfig] = {}
    gathered = Gathered()
    for name, entry in section.entries.items():
        path = f"evaluation.{name}"
        if swept and _of_quantized_alone(name, environment.spec):
            continue
        with gathered:
            if (reason := _refusal(name, environment.spec, agent.spec, quantizes)) is not None:
                raise entry.key_place.error(reason, path)
            if entry.node.value is None:
                raise entry.node.place.error("got null, expected a mapping: {} takes the defaults", path)
            asked[name] = _configured(name, entry, brought, configs)
    gathered.refuse()
    return Evaluation(
        tuple((each, asked[each.name]) for each in BUILT_IN if each.name in asked),
        tuple((each.spec, asked[each.spec.name]) for each in brought if each.spec.name in asked),
    )


def _of_quantized_alone(name: str, environment: EnvironmentSpec) -> bool:
    known = (each for each in BUILT_IN if each.name == name)
    return any(each.unfit(environment, False) is not None and each.unfit(environment, True) is None for each in known)


def _refusal(name: str, environment: EnvironmentSpec, agent: AgentSpec, quantizes: bool) -> str | None:
    """Why an evaluation cannot be had, and what can; None where it can."""
    unfit = {each.name: each.unfit(environment, quantizes) for each in BUILT_IN}
    own = [[each.name for each in spec.evaluations] for spec in (environment, agent)]
    known = [*(each for each, reason in unfit.items() if reason is None), *own[0], *own[1]]
    if (reason := unfit.get(name)) is not None:
        return f"{reason}: {f'use {listed(known)}' if known else 'remove it'}"
    if name not in known:
        return f"environment {environment.name}: {unknown_key(name, known)}"
    if all(name in names for names in own):
        return (
            f"environment {environment.name} and agent {agent.name} both bring an evaluation of this name: remove it, "
            "or use another agent"
        )
    return None


def _configured(
    name: str, entry: Entry, brought: Sequence[_Brought], configs: tuple[PluginConfig, PluginConfig] | None
) -> PluginConfig:
    """The settings of an evaluation; those of a plugin's are shown to its own check."""
    path = ("evaluation", name)
    for core in BUILT_IN:
        if core.name == name:
            settings: PluginConfig = validated(core.config, entry.node, path, "qecforge")
            return settings
    (own,) = (each for each in brought if each.spec.name == name)
    config: PluginConfig = validated(own.spec.config, entry.node, path, own.owner)
    if own.spec.check is not None and configs is not None:
        with refusals(entry.key_place, ".".join(path), own.owner):
            own.spec.check(*configs, config)
    return config
