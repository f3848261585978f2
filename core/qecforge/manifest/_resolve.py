"""The parts of a run: plugins looked up, configured, fitted together, and written down in canonical form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from qecforge.contracts.closing import closing
from qecforge.contracts.config import PluginConfig
from qecforge.errors import PluginError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, QuantizerSpec, RewardSpec
from qecforge.manifest._choice import Choice, Gathered, Named, listed, refusals
from qecforge.manifest._evaluation import Evaluation, evaluation_of
from qecforge.manifest._lookahead import looked_up
from qecforge.manifest._sections import MANIFEST_VERSION, Budget, Teacher
from qecforge.manifest._validation import canonical_json, config_values, validated
from qecforge.manifest._yaml import Node, Place, mapping, plain, shown
from qecforge.registry import Registered, Registry
from qecforge.registry.registry import S

__all__ = ["Resolved", "resolve"]


@dataclass(frozen=True)
class Resolved:
    """All of a run but its seed.

    Attributes:
        teacher: As the manifest names it; None for the same run without its quantizer.
        fine_tune: What of the agent's configuration is otherwise while the student is fine-tuned.
        fine_tuning: The agent's configuration while it is; None where the quantizer does not train.
    """

    environment: Choice[EnvironmentSpec]
    reward: Choice[RewardSpec] | None
    agent: Choice[AgentSpec]
    quantizer: Choice[QuantizerSpec] | None
    teacher: Teacher | None
    fine_tune: Mapping[str, Any]
    fine_tuning: PluginConfig | None
    evaluation: Evaluation
    budget: Budget

    def canonical(self, seed: int, teacher: Mapping[str, Any] | None = None) -> str:
        """The canonical text; a manifest's sections as they would be written out in full, `seed` and `plugins`.

        Args:
            teacher: Content of the canonical text of the run that `teacher.manifest` names, which takes the path's
                place: what it computes is part of what this run computes.
        """
        content = self._content
        if teacher is not None:
            named = content["quantizer"]["teacher"] | {"manifest": teacher}
            content = content | {"quantizer": content["quantizer"] | {"teacher": named}}
        return canonical_json(content | {"seed": seed})

    def without_quantizer(self) -> Resolved:
        """The run that trains the float policy, evaluated as far as that applies to it."""
        evaluation = self.evaluation.without_quantizer(self.environment.spec)
        return replace(self, quantizer=None, teacher=None, fine_tune={}, fine_tuning=None, evaluation=evaluation)

    @cached_property
    def _content(self) -> dict[str, Any]:
        chosen = {
            "environment": self.environment,
            "reward": self.reward,
            "agent": self.agent,
            "quantizer": self.quantizer,
        }
        sections: dict[str, Any] = {
            kind: {"plugin": choice.spec.name} | config_values(choice.config, choice.owner)
            for kind, choice in chosen.items()
            if choice is not None
        }
        sections.setdefault("reward", "native")
        if self.teacher is not None:
            sections["quantizer"]["teacher"] = config_values(self.teacher, "qecforge")
        if self.fine_tune:
            sections["quantizer"]["fine_tune"] = dict(self.fine_tune)
        evaluation = {each.name: config_values(config, "qecforge") for each, config in self.evaluation.built_in}
        for bringer in (self.environment, self.agent):
            own = {each.name for each in bringer.spec.evaluations}
            evaluation |= {
                spec.name: config_values(config, bringer.owner)
                for spec, config in self.evaluation.others
                if spec.name in own
            }
        plugins = {
            kind: {"distribution": choice.distribution, "version": choice.version}
            for kind, choice in chosen.items()
            if choice is not None
        }
        return sections | {
            "qecforge": MANIFEST_VERSION,
            "evaluation": evaluation,
            "budget": config_values(self.budget, "qecforge"),
            "plugins": plugins,
        }


def resolve(root: Node, registry: Registry, *, swept_quantizer: bool = False) -> Resolved:
    """Look up, validate and fit together the parts of one combination.

    Args:
        swept_quantizer: Other combinations of the sweep have a quantizer, whatever this one has.

    Raises:
        ManifestError: everything that is wrong with them, as far as one thing does not hide another.
        PluginError: a plugin fails while it checks.
    """
    gathered = Gathered()
    named = _Named()
    with gathered:
        named.environment = _named("environment", root, registry, registry.environments)
    with gathered:
        named.agent = _named("agent", root, registry, registry.agents)
    with gathered:
        named.reward = _reward(root, registry, named.environment)
    with gathered:
        named.quantizer = _quantizer(root, registry, named.environment)
    environment = agent = reward = quantizer = None
    with gathered:
        environment = _configured("environment", root, named.environment)
    with gathered:
        agent = _configured("agent", root, named.agent)
    with gathered:
        reward = _configured("reward", root, named.reward)
    with gathered:
        quantizer = _configured("quantizer", root, named.quantizer)
    teacher, fine_tune, fine_tuning, budget = None, dict[str, Any](), None, Budget.model_construct()
    with gathered:
        teacher = _teacher(root)
    with gathered:
        _check_agent(root, registry, named, environment, agent)
    if agent is not None:
        with gathered:
            fine_tune, fine_tuning = _fine_tuning(root, agent, named.quantizer)
    with gathered:
        budget = _budget(root, named.environment)
    evaluation = Evaluation()
    if named.environment is not None and named.agent is not None:
        configs = None if environment is None or agent is None else (environment.config, agent.config)
        with gathered:
            evaluation = evaluation_of(
                root,
                named.environment,
                named.agent,
                configs,
                quantizes=named.quantizer is not None,
                swept=swept_quantizer and named.quantizer is None,
            )
    gathered.refuse()
    assert environment is not None
    assert agent is not None
    with gathered:
        _check_quantizer(root, environment, reward, agent, quantizer)
    with gathered:
        _check_fine_tuning(root, environment, agent, fine_tuning)
    gathered.refuse()
    return Resolved(environment, reward, agent, quantizer, teacher, fine_tune, fine_tuning, evaluation, budget)


@dataclass
class _Named:
    """The plugins that a manifest names, as far as they are known and fit together."""

    environment: Named[EnvironmentSpec] | None = None
    reward: Named[RewardSpec] | None = None
    agent: Named[AgentSpec] | None = None
    quantizer: Named[QuantizerSpec] | None = None


def _named(kind: str, root: Node, registry: Registry, installed: Mapping[str, Registered[S]]) -> Named[S]:
    """The plugin that a section names."""
    section = root.get(kind)
    example = f"{kind}: {{plugin: {next(iter(installed), 'NAME')}}}"
    if section is None:
        raise root.place.error(f"is missing: add it, such as `{example}`", kind)
    node = Node(section.value, section.place) if isinstance(section.value, str) else section.get("plugin")
    if node is None:
        if not isinstance(section.value, dict):
            raise section.place.error(f"got {shown(plain(section))}, expected a mapping such as `{example}`", kind)
        raise section.place.error(f"is missing: name the plugin, such as `{example}`", f"{kind}.plugin")
    path = kind if node.place is section.place and isinstance(section.value, str) else f"{kind}.plugin"
    if not isinstance(node.value, str):
        raise node.place.error(f"got {shown(plain(node))}, expected the name of a plugin", path)
    try:
        registered: Registered[S] = registry.get(kind, node.value)
    except PluginError as error:
        raise node.place.error(str(error), path) from error
    return Named(registered.spec, registered.distribution, registered.version)


def _configured(kind: str, root: Node, named: Named[S] | None) -> Choice[S] | None:
    """The plugin with its configuration; None where none is named."""
    section = root.get(kind)
    if named is None or section is None:
        return None
    settings = section.without("plugin", "teacher", "fine_tune") if kind == "quantizer" else section.without("plugin")
    config: PluginConfig = validated(named.spec.config, settings, (kind,), named.owner)
    choice = Choice(named.spec, config, named.distribution, named.version)
    return replace(choice, config=_pinned(choice, config, _plugin_place(root, kind), kind))


def _pinned(choice: Choice[Any], config: PluginConfig, place: Place, path: str) -> PluginConfig:
    """The configuration with the exact revisions of what it names outside of the manifest."""
    pin = getattr(choice.spec, "pin", None)
    if pin is None:
        return config
    with refusals(place, path, choice.owner):
        pinned = pin(config)
    if not isinstance(pinned, choice.spec.config) or not isinstance(pinned, PluginConfig):
        raise PluginError(
            f"{choice.owner}: pin gave a {type(pinned).__name__}, expected a {choice.spec.config.__name__}. "
            "Report it to the plugin's authors."
        )
    return pinned


def _check_agent(
    root: Node,
    registry: Registry,
    named: _Named,
    environment: Choice[EnvironmentSpec] | None,
    agent: Choice[AgentSpec] | None,
) -> None:
    """Whether the agent is for such actions, and says itself that it can train in this environment."""
    if named.environment is None or named.agent is None:
        return
    actions, spec = named.environment.spec.actions, named.agent.spec
    if actions not in spec.trains_on:
        fitting = [name for name, each in registry.agents.items() if actions in each.spec.trains_on]
        raise _plugin_place(root, "agent").error(
            f"{spec.name} trains on {_actions(spec.trains_on)}, but environment {named.environment.spec.name} "
            f"takes {_actions([actions])}: {_use('agent', fitting)}",
            "agent.plugin",
        )
    if spec.check is not None and environment is not None and agent is not None:
        with refusals(_plugin_place(root, "agent"), "agent", agent.owner):
            spec.check(environment.config, agent.config)


def _reward(root: Node, registry: Registry, environment: Named[EnvironmentSpec] | None) -> Named[RewardSpec] | None:
    """The reward that is named; None for the environment's own. Whether it fits is not known without an environment."""
    section = root.get("reward")
    native = section is None or section.value == "native"
    if environment is None:
        return None if native else _named("reward", root, registry, registry.rewards)
    spec = environment.spec
    fitting = [name for name, each in registry.rewards.items() if each.spec.scores == spec.shows]
    if native:
        if not spec.native_reward:
            raise (section.place if section else _plugin_place(root, "environment")).error(
                f"environment {spec.name} has no reward of its own: {_use('reward', fitting)}", "reward"
            )
        return None
    named = _named("reward", root, registry, registry.rewards)
    if named.spec.scores != spec.shows:
        shows = f"shows {spec.shows}" if spec.shows else "shows nothing to rewards"
        own = ["native"] if spec.native_reward else []
        raise _plugin_place(root, "reward").error(
            f"{named.spec.name} scores {named.spec.scores}, but environment {spec.name} {shows}: "
            f"{_use('reward', own + fitting)}",
            "reward.plugin",
        )
    return named


def _quantizer(
    root: Node, registry: Registry, environment: Named[EnvironmentSpec] | None
) -> Named[QuantizerSpec] | None:
    section = root.get("quantizer")
    if section is None or section.value is None:
        return None
    named = _named("quantizer", root, registry, registry.quantizers)
    if environment is not None and environment.spec.actions not in named.spec.quantizes:
        actions = environment.spec.actions
        fitting = [name for name, each in registry.quantizers.items() if actions in each.spec.quantizes]
        raise _plugin_place(root, "quantizer").error(
            f"{named.spec.name} quantizes policies for {_actions(named.spec.quantizes)}, but environment "
            f"{environment.spec.name} takes {_actions([actions])}: {_use('quantizer', fitting)}",
            "quantizer.plugin",
        )
    return named


def _teacher(root: Node) -> Teacher | None:
    """The teacher that the quantizer's section names."""
    section = root.get("quantizer")
    node = None if section is None else section.get("teacher")
    if node is None:
        return None
    teacher = validated(Teacher, node, ("quantizer", "teacher"), "qecforge")
    if (teacher.run is None) == (teacher.manifest is None):
        raise node.place.error(
            f"got {shown(plain(node))}, expected either {{run: ID}} or {{manifest: PATH}}", "quantizer.teacher"
        )
    return teacher


def _budget(root: Node, environment: Named[EnvironmentSpec] | None) -> Budget:
    budget = validated(Budget, root.get("budget") or Node({}, root.place), ("budget",), "qecforge")
    if budget.stop_at_first_code and environment is not None and not environment.spec.finds_codes:
        raise _place(root, "budget", "stop_at_first_code").error(
            f"environment {environment.spec.name} finds no codes: remove it", "budget.stop_at_first_code"
        )
    return budget


def _fine_tuning(
    root: Node, agent: Choice[AgentSpec], quantizer: Named[QuantizerSpec] | None
) -> tuple[dict[str, Any], PluginConfig | None]:
    """What of the agent's configuration is otherwise while the student is fine-tuned, and the whole of it then."""
    trains = quantizer is not None and quantizer.spec.kind == "training_aware"
    section = root.get("quantizer")
    entry = section.entries.get("fine_tune") if section is not None else None
    if entry is None or quantizer is None:
        return {}, agent.config if trains else None
    path = ("quantizer", "fine_tune")
    if not trains:
        raise entry.key_place.error(
            f"quantizer {quantizer.spec.name} is {quantizer.spec.kind}, the agent trains nothing for it: remove it",
            ".".join(path),
        )
    changes = entry.node
    if not isinstance(changes.value, dict):
        raise changes.place.error(
            f"got {shown(plain(changes))}, expected settings of the agent, such as {{total_steps: 100_000}}",
            ".".join(path),
        )
    given = root.get("agent")
    settings = given.without("plugin").entries if given is not None else {}
    merged = mapping({**settings, **changes.entries}, changes.place)
    config = validated(agent.spec.config, merged, path, agent.owner)
    config = _pinned(agent, config, changes.place, ".".join(path))
    before, after = config_values(agent.config, agent.owner), config_values(config, agent.owner)
    return {key: after[key] for key in after if after[key] != before.get(key)}, config


def _check_quantizer(
    root: Node,
    environment: Choice[EnvironmentSpec],
    reward: Choice[RewardSpec] | None,
    agent: Choice[AgentSpec],
    quantizer: Choice[QuantizerSpec] | None,
) -> None:
    """Ask the agent whether what it trains can be quantized, and the quantizer whether it fits environment and
    reward."""
    if quantizer is None:
        return
    spec, place = quantizer.spec, _plugin_place(root, "quantizer")
    if agent.spec.check_quantized is not None:
        with refusals(_plugin_place(root, "agent"), "agent", agent.owner):
            agent.spec.check_quantized(agent.config)
    components: Sequence[str] | None = None
    if spec.needs_lookahead is not None:
        with refusals(place, "quantizer", quantizer.owner):
            needed = spec.needs_lookahead(quantizer.config)
        if needed is not None:
            with refusals(place, "quantizer", environment.owner):
                components = looked_up(environment, reward)
            if components is None:
                raise place.error(
                    f"environment {environment.spec.name} cannot look ahead, and {needed}, or use another quantizer",
                    "quantizer",
                )
    if spec.check is not None:
        if reward is not None:
            components = _components(reward)
        with refusals(place, "quantizer", quantizer.owner):
            spec.check(components, quantizer.config)


def _check_fine_tuning(
    root: Node, environment: Choice[EnvironmentSpec], agent: Choice[AgentSpec], fine_tuning: PluginConfig | None
) -> None:
    """Ask the agent whether it can train the student."""
    if fine_tuning is None:
        return
    with refusals(_place(root, "quantizer", "fine_tune"), "quantizer.fine_tune", agent.owner):
        if agent.spec.check_fine_tuning is not None:
            agent.spec.check_fine_tuning(agent.config, fine_tuning)
        if agent.spec.check is not None and fine_tuning != agent.config:
            agent.spec.check(environment.config, fine_tuning)


def _components(reward: Choice[RewardSpec]) -> tuple[str, ...]:
    with closing(reward.spec.make(reward.config), f"reward {reward.spec.name}") as made:
        return tuple(made.components)


def _use(kind: str, fitting: Sequence[str]) -> str:
    if fitting:
        return f"use {listed(fitting)}"
    return f"no installed {kind} fits; {'leave it out' if kind == 'quantizer' else 'install one that does'}"


def _actions(kinds: Collection[str]) -> str:
    return " or ".join(kind if kind in ("parameters", "text") else f"{kind} actions" for kind in sorted(kinds))


def _place(root: Node, *path: str) -> Place:
    """Where the value at a path stands, or its nearest parent."""
    node = root
    for part in path:
        below = node.get(part)
        if below is None:
            break
        node = below
    return node.place


def _plugin_place(root: Node, kind: str) -> Place:
    return _place(root, kind, "plugin")
