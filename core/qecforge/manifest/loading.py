"""YAML manifests to validated, expanded, hashed runs.

    manifest = load_manifest(Path("steane.yaml"), registry=Registry.load())
    for plan in manifest.runs():
        print(plan.identity, plan.seed, plan.agent.config)

The whole manifest is checked before anything runs. What is wrong is one line that says where:
`steane.yaml:7:3 environment.n: got 1, expected 2 or more (Physical qubits)`.

**Identity.** A plan's `canonical` is JSON with sorted keys: the manifest's version, the configuration of environment,
reward, agent, quantizer and evaluation with all defaults filled in, the budget, one seed, and name and version of the
distribution that each plugin comes from. The SHA-256 of it without `evaluation` is the run's identity: what is measured
of a run does not change what was trained. The order of keys, YAML's styles, comments, how a sweep led there, the
manifest's `name` and its `checkpoint` do not enter either. Of a teacher that another manifest describes the canonical
form of its run enters, without evaluations, not the path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qecforge.contracts.files import files_of_manifest, read_named_file
from qecforge.errors import ManifestError, nearest
from qecforge.machine.files import too_large
from qecforge.manifest._choice import Choice, Gathered, refusals
from qecforge.manifest._complaints import unknown_key
from qecforge.manifest._evaluation import Evaluation
from qecforge.manifest._resolve import Resolved, resolve
from qecforge.manifest._schema import manifest_schema
from qecforge.manifest._sections import MANIFEST_VERSION, MAX_SEED, NAME_PATTERN, SECTIONS, Budget, Checkpoint, Teacher
from qecforge.manifest._sweep import Point, overridden, points
from qecforge.manifest._validation import unfit_teacher, validated
from qecforge.manifest._yaml import MAX_BYTES, Node, Place, parse_yaml, plain, shown
from qecforge.manifest.plan import Label, RunPlan, identity_of, plan_of
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
    root, text, shown_as = _read_root(source)
    gathered = Gathered()
    name, checkpoint = "", Checkpoint.model_construct()
    seeds: tuple[int, ...] = (0,)
    root = overridden(root, overrides, gathered)
    with gathered:
        _check_keys(root)
    with gathered:
        name = _name(root)
    with gathered:
        seeds = _seeds(root)
    with gathered:
        checkpoint = validated(Checkpoint, root.get("checkpoint") or Node({}, root.place), ("checkpoint",), "qecforge")
    folder = Path() if isinstance(source, str) else source.parent
    teachers = _Teachers(folder, registry, allow)
    plans: list[RunPlan] = []
    with gathered, files_of_manifest(folder, allow):
        combinations = points(root, MAX_RUNS // len(seeds))
        for point, resolved in _distinct(combinations, registry, swept_quantizer=_sweeps_quantizer(root)):
            for seed in seeds:
                teacher = teachers.plan(point.root, resolved, seed)
                plans.append(plan_of(resolved, seed, Label(name, text, point.values), teacher))
    gathered.errors = _without_misspelt(gathered.errors, root)
    gathered.refuse()
    return Manifest(shown_as, text, name, seeds, checkpoint, tuple(plans))


def _read_root(source: Path | str) -> tuple[Node, str, str | None]:
    """The tree of a manifest, its text, and how messages name it. Raises `ManifestError` for another version."""
    text = source if isinstance(source, str) else _read(source)
    shown_as = None if isinstance(source, str) else str(source)
    root = parse_yaml(text, shown_as)
    _check_version(root)
    return root, text, shown_as


def _check_keys(root: Node) -> None:
    """Whether version, after what was set on the command line, and sections are known."""
    gathered = Gathered()
    with gathered:
        _check_version(root)
    for key, entry in root.entries.items():
        with gathered:
            if key not in SECTIONS:
                raise entry.key_place.error(unknown_key(key, SECTIONS), key)
    gathered.refuse()


def _without_misspelt(errors: list[ManifestError], root: Node) -> list[ManifestError]:
    """Without sections that are missing because their names are misspelt: the unknown key is error enough."""
    unknown = [key for key in root.entries if key not in SECTIONS]
    meant = {section for key in unknown for section in nearest(key, SECTIONS)}
    return [each for each in errors if not (each.path in meant and each.message.startswith("is missing"))]


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
            root = _read_root(path)[0]
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
            large = too_large(file, MAX_BYTES) if len(content) > MAX_BYTES else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise place.error(f"cannot be read ({reason}): give the path of a manifest") from error
    if large:
        raise place.error(f"{large}: is it a manifest? Split it if so")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise Place(str(path), line, column).error("is not UTF-8 text: save it as UTF-8") from error


def _check_version(root: Node) -> None:
    if not isinstance(root.value, dict):
        got = "text" if isinstance(root.value, str) else shown(plain(root))  # of a file that is no manifest, nothing
        raise root.place.error(f"got {got}, expected a mapping: start with `qecforge: {MANIFEST_VERSION}`")
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
            raise item.place.error(f"the seed {seed} is given twice: remove one of them", path)
        seeds[seed] = None
    return tuple(seeds)


def _of_evaluations(point: Point) -> str:
    swept = any(path.partition(".")[0] == "evaluation" for path in point.values)
    return ", for evaluations do not make another training: `qecforge runs evaluate` adds more" if swept else ""


MAX_ERRORS = 50
"""Different errors of a sweep's combinations, after which no more are looked for."""


def _sweeps_quantizer(root: Node) -> bool:
    """Whether the sweep lists runs with a quantizer beside those without."""
    sweep = root.get("sweep")
    values = None if sweep is None else sweep.get("quantizer")
    return values is not None and any(item.value is not None for item in values.items)


def _distinct(
    combinations: Iterator[Point], registry: Registry, *, swept_quantizer: bool
) -> Iterator[tuple[Point, Resolved]]:
    """Each combination resolved.

    Raises:
        ManifestError: what is wrong with any of them, or two of them are the same run. Where one of them cannot be
            used, those that follow are only looked through for further errors.
    """
    seen: dict[str, Point] = {}
    gathered = Gathered()
    for point in combinations:
        resolved = None
        with gathered:
            resolved = resolve(point.root, registry, swept_quantizer=swept_quantizer)
            first = seen.setdefault(identity_of(resolved.canonical(0)), point)
            if first is not point:
                raise point.place.error(
                    f"the combination {shown(point.values)} is the same run as {shown(first.values)}: remove one"
                    f"{_of_evaluations(point)}",
                    "sweep",
                )
        if resolved is not None and not gathered.errors:
            yield point, resolved
        if len(set(map(str, gathered.errors))) >= MAX_ERRORS:
            break
    gathered.refuse()
