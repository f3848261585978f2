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
Of a teacher that another manifest describes the canonical form of its run enters, not the path.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qecforge._complaints import unknown_key
from qecforge._resolve import Choice, Evaluation, Resolved, resolve
from qecforge._schema import manifest_schema
from qecforge._sections import MANIFEST_VERSION, MAX_SEED, NAME_PATTERN, SECTIONS, Budget, Checkpoint, Teacher
from qecforge._sweep import Point, overridden, points
from qecforge._validation import canonical_json, unfit_teacher, validated
from qecforge._yaml import MAX_BYTES, Entry, Node, Place, mapping, parse_yaml, plain, shown
from qecforge.errors import ManifestError, PluginError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, PluginConfig, QuantizerSpec, RewardSpec
from qecforge.plugins import Registry

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
    "manifest_schema",
]

MAX_RUNS = 10_000


@dataclass(frozen=True)
class RunPlan:
    """One run: everything resolved, one seed. Two plans are equal when their canonical texts are.

    Attributes:
        name: Of the manifest; a label.
        reward: None for the environment's own.
        teacher: As the manifest names it; None where there is no quantizer, or the teacher is the run without it. A
            plan rebuilt from its canonical text has the identity of the teacher's run in the place of a manifest's
            path.
        teacher_plan: The run whose policy is quantized; None without a quantizer, and where `teacher` names a run of
            the store.
        fine_tuning: The agent's configuration while a student is fine-tuned; None where the quantizer does not train.
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
    teacher_plan: RunPlan | None = field(compare=False)
    fine_tuning: PluginConfig | None = field(compare=False)
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
        content, seed, planned = _read_canonical(canonical)
        content["environment"] |= environment or {}
        _check_versions(planned, content, registry)
        teacher_plan = _embedded_teacher(content, registry, name)
        label = _Label(name, source_text, sweep_point or {})
        return _plan(resolve(_node(content), registry), seed, label, teacher_plan)


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
    root, text, shown_as = _root(source, overrides)
    name, seeds = _name(root), _seeds(root)
    checkpoint = validated(Checkpoint, root.get("checkpoint") or Node({}, root.place), ("checkpoint",), "qecforge")
    folder = Path() if isinstance(source, str) else source.parent
    teachers = _Teachers(folder, registry)
    plans: list[RunPlan] = []
    for point, resolved in _distinct(points(root, MAX_RUNS // len(seeds)), registry):
        for seed in seeds:
            teacher_plan = teachers.plan(point.root, resolved, seed)
            plans.append(_plan(resolved, seed, _Label(name, text, point.values), teacher_plan))
    return Manifest(shown_as, text, name, seeds, checkpoint, tuple(plans))


def _root(source: Path | str, overrides: Sequence[str]) -> tuple[Node, str, str | None]:
    """The tree of a manifest whose version and sections are known, its text, and how messages name it."""
    text = source if isinstance(source, str) else _read(source)
    shown_as = None if isinstance(source, str) else str(source)
    root = parse_yaml(text, shown_as)
    _check_version(root)
    root = overridden(root, overrides)
    _check_version(root)
    for key, entry in root.entries.items():
        if key not in SECTIONS:
            raise entry.key_place.error(unknown_key(key, SECTIONS), key)
    return root, text, shown_as


@dataclass(frozen=True)
class _Label:
    """What people call a run."""

    name: str
    source_text: str
    sweep_point: Mapping[str, Any]

    def of_teacher(self) -> _Label:
        """Of the same run without its quantizer."""
        point = {path: value for path, value in self.sweep_point.items() if path.partition(".")[0] != "quantizer"}
        return _Label(f"{self.name[:92]}-teacher", self.source_text, point)


def _plan(resolved: Resolved, seed: int, label: _Label, teacher_plan: RunPlan | None = None) -> RunPlan:
    named = None if teacher_plan is None else json.loads(teacher_plan.canonical)
    if resolved.quantizer is not None and resolved.teacher is None:
        teacher_plan = _plan(resolved.without_quantizer(), seed, label.of_teacher())
    return RunPlan(
        canonical=resolved.canonical(seed, named),
        name=label.name,
        seed=seed,
        environment=resolved.environment,
        reward=resolved.reward,
        agent=resolved.agent,
        quantizer=resolved.quantizer,
        teacher=resolved.teacher,
        teacher_plan=teacher_plan,
        fine_tuning=resolved.fine_tuning,
        evaluation=resolved.evaluation,
        budget=resolved.budget,
        sweep_point=dict(label.sweep_point),
        source_text=label.source_text,
    )


class _Teachers:
    """The runs that `quantizer.teacher.manifest` names; each file is read once.

    Args:
        folder: From which paths are seen.
    """

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._folder, self._registry = folder, registry
        self._read: dict[Path, Manifest] = {}

    def plan(self, root: Node, resolved: Resolved, seed: int) -> RunPlan | None:
        """The teacher's run of this seed; None where no manifest is named."""
        if resolved.teacher is None or resolved.teacher.manifest is None:
            return None
        node = root
        for key in ("quantizer", "teacher", "manifest"):
            node = node.get(key) or node
        where = "quantizer.teacher.manifest"
        path = self._folder / resolved.teacher.manifest
        runs = [plan for plan in self._manifest(path, node.place).plans if plan.seed == seed]
        if not runs:
            seeds = ", ".join(map(str, self._read[path].seeds))
            raise node.place.error(
                f"{path} has no run of seed {seed}: its seeds are {seeds}; add {seed} to them", where
            )
        if len(runs) > 1:
            raise node.place.error(
                f"{path} has {len(runs)} runs of seed {seed}, a teacher is one: remove its sweep", where
            )
        (teacher,) = runs
        if (reason := unfit_teacher(teacher.canonical, resolved.canonical(seed))) is not None:
            raise node.place.error(f"the teacher {reason}", where)
        return teacher

    def _manifest(self, path: Path, place: Place) -> Manifest:
        where = "quantizer.teacher.manifest"
        if path not in self._read:
            if not path.is_file():
                raise place.error(f"{path} is no file: give the path of the teacher's manifest", where)
            root = _root(path, ())[0]
            sweep = root.get("sweep")
            swept = sweep is not None and any(key.partition(".")[0] == "quantizer" for key in sweep.entries)
            section = root.get("quantizer")
            if swept or (section is not None and section.value is not None):
                raise place.error(
                    f"{path} has a quantizer, a teacher is a float policy: name the manifest that trains it", where
                )
            self._read[path] = load_manifest(path, registry=self._registry)
        return self._read[path]


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
    if not (isinstance(node.value, str) and re.fullmatch(NAME_PATTERN, node.value)):
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


def _distinct(combinations: Iterator[Point], registry: Registry) -> Iterator[tuple[Point, Resolved]]:
    """Each combination resolved. Raises `ManifestError` where two of them are the same run."""
    seen: dict[str, Point] = {}
    for point in combinations:
        resolved = resolve(point.root, registry)
        first = seen.setdefault(resolved.canonical(0), point)
        if first is not point:
            raise point.place.error(
                f"the combination {shown(point.values)} is the same run as {shown(first.values)}: remove one", "sweep"
            )
        yield point, resolved


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
