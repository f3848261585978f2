"""YAML manifests to validated, expanded, hashed runs.

    manifest = load_manifest(Path("steane.yaml"), registry=Registry.load())
    for plan in manifest.runs():
        print(plan.identity, plan.seed, plan.agent.config)

The whole manifest is checked before anything runs. What is wrong is one line that says where:
`steane.yaml:7:3 environment.n: got 1, expected 2 or more (Physical qubits)`.

**Identity.** A plan's `canonical` is JSON with sorted keys: the manifest's version, the configuration of environment,
reward, agent, quantizer and evaluation with all defaults filled in, the budget, one seed, and name and version of the
distribution that each plugin comes from. Its SHA-256 is the run's identity. The order of keys, YAML's styles, comments,
how a sweep led there, the manifest's `name` and its `checkpoint` do not enter: none of them changes what is computed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from pydantic import Field

from qecforge._sweep import SECTIONS, Point, overridden, points
from qecforge._validation import canonical_json, config_values, unknown_key, validated
from qecforge._yaml import MAX_BYTES, Entry, Node, Place, mapping, parse_yaml, plain, shown
from qecforge.errors import ManifestError, PluginError
from qecforge.evaluation import LogicalErrorRateConfig
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, PluginConfig, QuantizerSpec, RewardSpec
from qecforge.plugins import Registered, Registry, S

__all__ = [
    "MANIFEST_VERSION",
    "MAX_RUNS",
    "Budget",
    "Checkpoint",
    "Choice",
    "Evaluation",
    "Manifest",
    "RunPlan",
    "Teacher",
    "load_manifest",
]

MANIFEST_VERSION = 1
MAX_RUNS = 10_000
MAX_SEED = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Budget(PluginConfig):
    """What ends a training before the agent's own number of steps. `seconds` makes a run depend on the machine."""

    seconds: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Training stops after this wall-clock time, in seconds; null: never.",
    )
    stop_at_first_code: bool = Field(False, description="Training stops as soon as a code is discovered.")


class Checkpoint(PluginConfig):
    """How often a run's state is saved."""

    every_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Wall-clock time between two checkpoints, in seconds."
    )


class Teacher(PluginConfig):
    """A trained float policy that a quantizer starts from, instead of training one."""

    run: str | None = Field(None, min_length=1, description="Id, or unique start of the id, of a run in the store.")
    manifest: str | None = Field(None, min_length=1, description="Path of a manifest whose run of this seed is taken.")


@dataclass(frozen=True)
class Choice(Generic[S]):
    """A plugin with its configuration, and the distribution that it comes from."""

    spec: S
    config: PluginConfig
    distribution: str
    version: str


@dataclass(frozen=True)
class Evaluation:
    """What is measured after training.

    Attributes:
        logical_error_rate: Of the discovered codes; None where the manifest does not ask for it.
        others: Evaluations that the environment brings, with their configurations.
    """

    logical_error_rate: LogicalErrorRateConfig | None = None
    others: tuple[tuple[EvaluationSpec, PluginConfig], ...] = ()


@dataclass(frozen=True)
class RunPlan:
    """One run: everything resolved, one seed. Two plans are equal when their canonical texts are.

    Attributes:
        name: Of the manifest; a label.
        reward: None for the environment's own.
        sweep_point: What the sweep set, by dotted path; empty without a sweep.
        canonical: Canonical JSON; `from_canonical` rebuilds the plan from it.
        identity: SHA-256 of `canonical` in hexadecimal.
        source_text: The manifest as it was given.
    """

    canonical: str
    name: str = field(compare=False)
    seed: int = field(compare=False)
    environment: Choice[EnvironmentSpec] = field(compare=False)
    reward: Choice[RewardSpec] | None = field(compare=False)
    agent: Choice[AgentSpec] = field(compare=False)
    quantizer: Choice[QuantizerSpec] | None = field(compare=False)
    teacher: Teacher | None = field(compare=False)
    evaluation: Evaluation = field(compare=False)
    budget: Budget = field(compare=False)
    sweep_point: Mapping[str, Any] = field(compare=False)
    source_text: str = field(compare=False)

    @property
    def identity(self) -> str:
        """SHA-256 of `canonical` in hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

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
    ) -> RunPlan:
        """The plan that a canonical text stands for.

        Args:
            environment: Keys of the environment's configuration to replace, such as `{"noise": {...}}`.

        Raises:
            ManifestError: it is not a canonical text, or the replaced keys do not fit.
            PluginError: a plugin is missing or of another version than the run was planned with.
        """
        content = _read_canonical(canonical)
        content["environment"] |= environment or {}
        planned, seed = content.pop("plugins"), content.pop("seed")
        _check_versions(planned, content, registry)
        resolved = _resolve(_node(content), registry)
        return resolved.plan(seed, name=name, source_text=source_text, sweep_point=sweep_point or {})


@dataclass(frozen=True)
class Manifest:
    """A validated manifest.

    Attributes:
        source: File name as given; None where it was given as text.
        text: The YAML as given.
        plans: One for each combination of the sweep and each seed, seeds changing fastest.
    """

    source: str | None
    text: str
    name: str
    seeds: tuple[int, ...]
    checkpoint: Checkpoint
    plans: tuple[RunPlan, ...]

    def runs(self) -> tuple[RunPlan, ...]:
        """The runs that it asks for."""
        return self.plans


def load_manifest(source: Path | str, *, registry: Registry, overrides: Sequence[str] = ()) -> Manifest:
    """Read, check and expand a manifest.

    Args:
        source: A path, or YAML text (a `str` is never taken for a path).
        registry: The plugins that it may name.
        overrides: `path=value` texts that replace or add values before anything is checked; later ones win.

    Raises:
        ManifestError: one line that says where, what was got, what was expected and what to do.
        PluginError: a plugin fails while it checks its configuration.
    """
    text = source if isinstance(source, str) else _read(source)
    shown_as = None if isinstance(source, str) else str(source)
    root = parse_yaml(text, shown_as)
    _check_version(root)
    root = overridden(root, overrides)
    _check_version(root)
    for key, entry in root.entries.items():
        if key not in SECTIONS:
            raise entry.key_place.error(unknown_key(key, SECTIONS), key)
    name, seeds = _name(root), _seeds(root)
    checkpoint = validated(Checkpoint, root.get("checkpoint") or _empty(root), ("checkpoint",), "qecforge")
    plans: list[RunPlan] = []
    for point, resolved in _distinct(points(root, MAX_RUNS // len(seeds)), registry):
        plans.extend(resolved.plan(seed, name=name, source_text=text, sweep_point=point.values) for seed in seeds)
    return Manifest(shown_as, text, name, seeds, checkpoint, tuple(plans))


def _read(path: Path) -> str:
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise place.error(f"cannot be read ({reason}): give the path of a manifest") from error
    if len(content) > MAX_BYTES:
        raise place.error(f"is larger than {MAX_BYTES} bytes: is it a manifest? Split it if so")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise Place(str(path), line, column).error("is not UTF-8 text: save it as UTF-8") from error


def _check_version(root: Node) -> None:
    if not isinstance(root.value, dict):
        raise root.place.error(
            f"got {shown(plain(root))}, expected a mapping: start with `qecforge: {MANIFEST_VERSION}`"
        )
    version = root.get("qecforge")
    if version is None:
        raise root.place.error(
            f"is missing: add `qecforge: {MANIFEST_VERSION}`, the version of the manifest's format", "qecforge"
        )
    if version.value != MANIFEST_VERSION or isinstance(version.value, bool | float):
        known = isinstance(version.value, int) and not isinstance(version.value, bool)
        newer = known and version.value > MANIFEST_VERSION  # type: ignore[operator]
        advice = "install a newer qecforge" if newer else f"write `qecforge: {MANIFEST_VERSION}`"
        raise version.place.error(
            f"got manifest version {shown(plain(version))}, this qecforge reads version {MANIFEST_VERSION}: {advice}",
            "qecforge",
        )


def _name(root: Node) -> str:
    node = root.get("name")
    if node is None:
        raise root.place.error("is missing: add a name for these runs, such as `name: steane`", "name")
    if not (isinstance(node.value, str) and _NAME.fullmatch(node.value)):
        raise node.place.error(
            f"got {shown(plain(node))}, expected at most 100 letters, digits, '_', '-' and '.' (quote a number)", "name"
        )
    return node.value


def _seeds(root: Node) -> tuple[int, ...]:
    node = root.get("seeds")
    if node is None:
        return (0,)
    if not isinstance(node.value, tuple):
        raise node.place.error(f"got {shown(plain(node))}, expected a list such as [0, 1, 2]", "seeds")
    if not node.items:
        raise node.place.error("the list is empty: give one seed or more, or remove `seeds` for [0]", "seeds")
    if len(node.items) > MAX_RUNS:
        raise node.place.error(f"got {len(node.items)} seeds, expected at most {MAX_RUNS}", "seeds")
    seeds: dict[int, None] = {}
    for index, item in enumerate(node.items):
        seed, path = item.value, f"seeds[{index}]"
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
            raise item.place.error(f"got {shown(plain(item))}, expected a whole number from 0 to {MAX_SEED}", path)
        if seed in seeds:
            raise item.place.error(f"the seed {seed} stands twice: remove one of them", path)
        seeds[seed] = None
    return tuple(seeds)


def _distinct(combinations: Iterator[Point], registry: Registry) -> Iterator[tuple[Point, _Resolved]]:
    """Each combination resolved. Raises `ManifestError` where two of them are the same run."""
    seen: dict[str, Point] = {}
    for point in combinations:
        resolved = _resolve(point.root, registry)
        first = seen.setdefault(resolved.canonical(0), point)
        if first is not point:
            raise point.place.error(
                f"the combination {shown(point.values)} is the same run as {shown(first.values)}: remove one", "sweep"
            )
        yield point, resolved


@dataclass(frozen=True)
class _Resolved:
    """All of a run but its seed."""

    environment: Choice[EnvironmentSpec]
    reward: Choice[RewardSpec] | None
    agent: Choice[AgentSpec]
    quantizer: Choice[QuantizerSpec] | None
    teacher: Teacher | None
    evaluation: Evaluation
    budget: Budget

    def plan(self, seed: int, *, name: str, source_text: str, sweep_point: Mapping[str, Any]) -> RunPlan:
        return RunPlan(
            canonical=self.canonical(seed),
            name=name,
            seed=seed,
            environment=self.environment,
            reward=self.reward,
            agent=self.agent,
            quantizer=self.quantizer,
            teacher=self.teacher,
            evaluation=self.evaluation,
            budget=self.budget,
            sweep_point=dict(sweep_point),
            source_text=source_text,
        )

    def canonical(self, seed: int) -> str:
        """The canonical text; a manifest's sections as they would be written out in full, `seed` and `plugins`."""
        chosen = {
            "environment": self.environment,
            "reward": self.reward,
            "agent": self.agent,
            "quantizer": self.quantizer,
        }
        sections: dict[str, Any] = {
            kind: {"plugin": choice.spec.name} | config_values(choice.config, _owner(choice))
            for kind, choice in chosen.items()
            if choice is not None
        }
        sections.setdefault("reward", "native")
        if self.teacher is not None:
            sections["quantizer"]["teacher"] = config_values(self.teacher, "qecforge")
        evaluation = {
            spec.name: config_values(config, _owner(self.environment)) for spec, config in self.evaluation.others
        }
        if self.evaluation.logical_error_rate is not None:
            evaluation["logical_error_rate"] = config_values(self.evaluation.logical_error_rate, "qecforge")
        plugins = {
            kind: {"distribution": choice.distribution, "version": choice.version}
            for kind, choice in chosen.items()
            if choice is not None
        }
        return canonical_json(
            sections
            | {
                "qecforge": MANIFEST_VERSION,
                "evaluation": evaluation,
                "budget": config_values(self.budget, "qecforge"),
                "seed": seed,
                "plugins": plugins,
            }
        )


def _resolve(root: Node, registry: Registry) -> _Resolved:
    """Look up, validate and fit together the parts of one combination."""
    environment = _choice("environment", root, registry, registry.environments)
    agent = _choice("agent", root, registry, registry.agents)
    _check_agent(root, registry, environment.spec, agent.spec)
    reward = _reward(root, registry, environment.spec)
    quantizer, teacher = _quantizer(root, registry, environment.spec)
    budget = validated(Budget, root.get("budget") or _empty(root), ("budget",), "qecforge")
    if budget.stop_at_first_code and not environment.spec.finds_codes:
        raise _place(root, "budget", "stop_at_first_code").error(
            f"environment {environment.spec.name} finds no codes: remove it", "budget.stop_at_first_code"
        )
    evaluation = _evaluation(root, environment)
    return _Resolved(environment, reward, agent, quantizer, teacher, evaluation, budget)


def _choice(kind: str, root: Node, registry: Registry, installed: Mapping[str, Registered[S]]) -> Choice[S]:
    """The plugin that a section names, with its configuration."""
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
    settings = section.without("plugin", "teacher") if kind == "quantizer" else section.without("plugin")
    owner = f"{node.value} ({registered.distribution} {registered.version})"
    config = validated(registered.spec.config, settings, (kind,), owner)
    return Choice(registered.spec, config, registered.distribution, registered.version)


def _check_agent(root: Node, registry: Registry, environment: EnvironmentSpec, agent: AgentSpec) -> None:
    if environment.actions not in agent.trains_on:
        fitting = [name for name, each in registry.agents.items() if environment.actions in each.spec.trains_on]
        raise _plugin_place(root, "agent").error(
            f"{agent.name} trains on {_listed(sorted(agent.trains_on))} actions, but environment {environment.name} "
            f"takes {environment.actions} ones: {_use('agent', fitting)}",
            "agent.plugin",
        )


def _reward(root: Node, registry: Registry, environment: EnvironmentSpec) -> Choice[RewardSpec] | None:
    section = root.get("reward")
    fitting = [name for name, each in registry.rewards.items() if each.spec.scores == environment.shows]
    if section is None or section.value == "native":
        if not environment.native_reward:
            raise (section.place if section else _plugin_place(root, "environment")).error(
                f"environment {environment.name} has no reward of its own: {_use('reward', fitting)}", "reward"
            )
        return None
    choice = _choice("reward", root, registry, registry.rewards)
    if choice.spec.scores != environment.shows:
        shows = f"shows {environment.shows}" if environment.shows else "shows nothing to rewards"
        native = ["native"] if environment.native_reward else []
        raise _plugin_place(root, "reward").error(
            f"{choice.spec.name} scores {choice.spec.scores}, but environment {environment.name} {shows}: "
            f"{_use('reward', native + fitting)}",
            "reward.plugin",
        )
    return choice


def _quantizer(
    root: Node, registry: Registry, environment: EnvironmentSpec
) -> tuple[Choice[QuantizerSpec] | None, Teacher | None]:
    section = root.get("quantizer")
    if section is None or section.value is None:
        return None, None
    choice = _choice("quantizer", root, registry, registry.quantizers)
    if environment.actions not in choice.spec.quantizes:
        fitting = [name for name, each in registry.quantizers.items() if environment.actions in each.spec.quantizes]
        raise _plugin_place(root, "quantizer").error(
            f"{choice.spec.name} quantizes policies for {_listed(sorted(choice.spec.quantizes))} actions, but "
            f"environment {environment.name} takes {environment.actions} ones: {_use('quantizer', fitting)}",
            "quantizer.plugin",
        )
    node = section.get("teacher")
    if node is None:
        return choice, None
    teacher = validated(Teacher, node, ("quantizer", "teacher"), "qecforge")
    if (teacher.run is None) == (teacher.manifest is None):
        raise node.place.error(
            f"got {shown(plain(node))}, expected either {{run: ID}} or {{manifest: PATH}}", "quantizer.teacher"
        )
    return choice, teacher


def _evaluation(root: Node, environment: Choice[EnvironmentSpec]) -> Evaluation:
    section = root.get("evaluation")
    if section is None or section.value is None:
        return Evaluation()
    if not isinstance(section.value, dict):
        raise section.place.error(f"got {shown(plain(section))}, expected a mapping", "evaluation")
    spec = environment.spec
    own = {each.name: each for each in spec.evaluations}
    known = [*(["logical_error_rate"] if spec.finds_codes else []), *own]
    logical_error_rate: LogicalErrorRateConfig | None = None
    others: list[tuple[EvaluationSpec, PluginConfig]] = []
    for name, entry in section.entries.items():
        path = ("evaluation", name)
        if name == "logical_error_rate" and not spec.finds_codes:
            fitting = f": use {_listed(known)}" if known else ": remove it"
            raise entry.key_place.error(f"environment {spec.name} finds no codes{fitting}", ".".join(path))
        if name not in known:
            raise entry.key_place.error(f"environment {spec.name}: {unknown_key(name, known)}", ".".join(path))
        if entry.node.value is None:
            raise entry.node.place.error("got null, expected a mapping: {} takes the defaults", ".".join(path))
        if name == "logical_error_rate":
            logical_error_rate = validated(LogicalErrorRateConfig, entry.node, path, "qecforge")
        else:
            others.append((own[name], validated(own[name].config, entry.node, path, _owner(environment))))
    return Evaluation(logical_error_rate, tuple(sorted(others, key=lambda each: each[0].name)))


def _owner(choice: Choice[Any]) -> str:
    return f"{choice.spec.name} ({choice.distribution} {choice.version})"


def _use(kind: str, fitting: Sequence[str]) -> str:
    return f"use {_listed(fitting)}" if fitting else f"no installed {kind} fits; install one that does"


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names)


def _empty(root: Node) -> Node:
    return mapping({}, root.place)


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


def _read_canonical(canonical: str) -> dict[str, Any]:
    sections = {"agent", "budget", "environment", "evaluation", "plugins", "qecforge", "reward", "seed"}
    try:
        content = json.loads(canonical)
    except ValueError as error:
        raise ManifestError(f"the canonical form is damaged, expected JSON: {error}") from error
    if not isinstance(content, dict) or not sections <= content.keys() <= sections | {"quantizer"}:
        raise ManifestError(f"the canonical form is damaged: expected an object with {', '.join(sorted(sections))}")
    if content["qecforge"] != MANIFEST_VERSION:
        raise ManifestError(
            f"the canonical form is of manifest version {shown(content['qecforge'])}, this qecforge reads version "
            f"{MANIFEST_VERSION}: use the qecforge that wrote it"
        )
    if not isinstance(content["environment"], dict):
        raise ManifestError("the canonical form is damaged: expected an object as environment")
    return content


def _check_versions(planned: Mapping[str, Mapping[str, str]], content: Mapping[str, Any], registry: Registry) -> None:
    """Across versions nothing is promised, so a plan is carried out with those that it was made with."""
    for kind, wanted in planned.items():
        name = content[kind]["plugin"]
        installed = registry.get(kind, name)
        if (installed.distribution, installed.version) != (wanted["distribution"], wanted["version"]):
            raise PluginError(
                f"{kind} {name} was planned with {wanted['distribution']} {wanted['version']}, installed is "
                f"{installed.distribution} {installed.version}: install the former, or run the manifest anew"
            )


def _node(values: Any) -> Node:
    """JSON values as a node without a place."""
    if isinstance(values, dict):
        return mapping({key: Entry(Place(), _node(value)) for key, value in values.items()}, Place())
    if isinstance(values, list):
        return Node(tuple(_node(value) for value in values), Place())
    return Node(values, Place())
