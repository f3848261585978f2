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

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qecforge.contracts.files import files_of_manifest, read_named_file
from qecforge.manifest._choice import Choice, refusals
from qecforge.manifest._complaints import unknown_key
from qecforge.manifest._evaluation import Evaluation
from qecforge.manifest._resolve import Resolved, resolve
from qecforge.manifest._schema import manifest_schema
from qecforge.manifest._sections import MANIFEST_VERSION, MAX_SEED, NAME_PATTERN, SECTIONS, Budget, Checkpoint, Teacher
from qecforge.manifest._sweep import Point, overridden, points
from qecforge.manifest._validation import unfit_teacher, validated
from qecforge.manifest._yaml import MAX_BYTES, Node, Place, parse_yaml, plain, shown
from qecforge.manifest.plan import Label, RunPlan, plan_of
from qecforge.registry import Registry

__all__ = [
    "MANIFEST_VERSION",
    "MAX_RUNS",
    "Budget",
    "Checkpoint",
    "Choice",
    "Evaluation",
    "Manifest",
    "Teacher",
    "load_manifest",
    "manifest_schema",
]

MAX_RUNS = 10_000


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


def load_manifest(
    source: Path | str,
    *,
    registry: Registry,
    overrides: Sequence[str] = (),
    allow: Sequence[str | os.PathLike[str]] = (),
) -> Manifest:
    """Read, check and expand a manifest.

    Paths in it are seen from its folder (those of a text from the current one), and only files below that are read.

    Args:
        source: A path, or YAML text (a `str` is never taken for a path).
        registry: The plugins that it may name.
        overrides: `path=value` texts that replace or add values before anything is checked; later ones win.
        allow: Other files, and folders whose files, it may name; see `qecforge.contracts.files`.

    Raises:
        ManifestError: one line that says where, what was got, what was expected and what to do.
        PluginError: a plugin fails while it checks its configuration.
    """
    root, text, shown_as = _root(source, overrides)
    name, seeds = _name(root), _seeds(root)
    checkpoint = validated(Checkpoint, root.get("checkpoint") or Node({}, root.place), ("checkpoint",), "qecforge")
    folder = Path() if isinstance(source, str) else source.parent
    teachers = _Teachers(folder, registry, allow)
    plans: list[RunPlan] = []
    with files_of_manifest(folder, allow):
        for point, resolved in _distinct(points(root, MAX_RUNS // len(seeds)), registry):
            for seed in seeds:
                teacher = teachers.plan(point.root, resolved, seed)
                plans.append(plan_of(resolved, seed, Label(name, text, point.values), teacher))
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


class _Teachers:
    """The runs that `quantizer.teacher.manifest` names; each file is read once.

    Args:
        folder: From which paths are seen.
        allow: As in `load_manifest`.
    """

    def __init__(self, folder: Path, registry: Registry, allow: Sequence[str | os.PathLike[str]]) -> None:
        self._folder, self._registry, self._allow = folder, registry, allow
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
        runs = [plan for plan in self._manifest(resolved.teacher.manifest, node.place).plans if plan.seed == seed]
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

    def _manifest(self, name: str, place: Place) -> Manifest:
        where, path = "quantizer.teacher.manifest", self._folder / name
        if path not in self._read:
            with refusals(place, where, "qecforge"):
                text = read_named_file(name, limit=MAX_BYTES).text
            if not re.search(r"^\s*[{'\"]?qecforge\b", text, re.MULTILINE):  # messages about it would quote it
                raise place.error(
                    f"{path} is no manifest, it has no line `qecforge: {MANIFEST_VERSION}`: give the path of the "
                    "teacher's manifest",
                    where,
                )
            root = _root(path, ())[0]
            sweep = root.get("sweep")
            swept = sweep is not None and any(key.partition(".")[0] == "quantizer" for key in sweep.entries)
            section = root.get("quantizer")
            if swept or (section is not None and section.value is not None):
                raise place.error(
                    f"{path} has a quantizer, a teacher is a float policy: name the manifest that trains it", where
                )
            self._read[path] = load_manifest(path, registry=self._registry, allow=[*self._allow, self._folder])
        return self._read[path]


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
