"""Reading tasks: our JSONL and YAML, Qiskit-HumanEval, HumanEval's own, and a data set of a hub by its id."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qecforge.contracts import is_named_folder, read_named_file, require_allowed_name
from qecforge.contracts.refusals import refusal
from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.files import why_not
from qecforge_qiskit_tasks.tasks._parsed import parsed
from qecforge_qiskit_tasks.tasks.public import PUBLIC_KEYS, is_public, read_public
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["SHIPPED", "load_named_tasks", "load_shipped", "load_tasks", "tasks_of"]

SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
"""Folder of our own tasks."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
LARGEST = 1 << 30
"""Bytes of a file, unpacked."""
OURS = {"id", "entry_point", "reference", "tests"}
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".yaml", ".yml")


def load_tasks(source: str | Path) -> list[Task]:
    """The tasks of a file, of a folder of such files, of `shipped`, or of a data set's id such as
    `Qiskit/qiskit_humaneval`.

    Raises:
        ConfigurationError: it is not there, no set of tasks, or an id is there twice.
        MissingDependency: a data set's id needs the package `datasets`.
    """
    path = Path(source)
    if str(source) == "shipped":
        return load_shipped()
    try:
        is_folder, exists = path.is_dir(), path.exists()
        files = _task_files(path) if is_folder else []
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{source}: cannot be read ({why_not(error)}); give another file of tasks") from error
    if is_folder:
        return _once([task for each in files for task in tasks_of(_rows(each, _text(each)), str(each))], str(path))
    if not exists:
        if is_hub_id(str(source)):
            from qecforge_qiskit_tasks.tasks.hub import read_data_set

            return tasks_of(read_data_set(str(source)), str(source))
        raise ConfigurationError(f"{source}: there is no such file; give a file of tasks, or `shipped`")
    return tasks_of(_rows(path, _text(path)), str(path))


def load_named_tasks(name: str, *, pinned: bool) -> tuple[str, list[Task]]:
    """The tasks that a manifest names, by the rules of `qecforge.contracts.read_named_file`; nothing is unpacked.

    Args:
        pinned: The caller compares the tasks with a hash.

    Returns:
        The name by which `load_tasks` finds them, seen from the current folder, and the tasks.

    Raises:
        ConfigurationError: They may not be read, or as for `load_tasks`.
        MissingDependency: As for `load_tasks`.
    """
    if name == "shipped":
        return name, load_shipped()
    folder = is_named_folder(name, pinned=pinned)
    if folder is not None:
        parts = [read_named_file(f"{name}/{each.name}", pinned=pinned) for each in _task_files(folder)]
        tasks = [task for each in parts for task in tasks_of(_rows(each.path, each.text), str(each.path))]
        return str(folder), _once(tasks, str(folder))
    try:
        file = read_named_file(name, pinned=pinned)
    except ConfigurationError:
        if not is_hub_id(name):
            raise
        require_allowed_name(name, "neither a file nor `shipped`, so a data set of a hub")
        return name, load_tasks(name)
    if name.endswith(".gz"):
        raise ConfigurationError(f"{one_line(name, 200)}: nothing is unpacked for a manifest: unpack it")
    return str(file.path), tasks_of(_rows(file.path, file.text), str(file.path))


def is_hub_id(name: str) -> bool:
    """Whether a data set of a hub can be called so."""
    return bool(HUB_ID.fullmatch(name)) and not name.endswith(SUFFIXES)


def _task_files(folder: Path) -> list[Path]:
    """Those of a folder, in order of their names."""
    files = sorted(each for each in folder.iterdir() if each.name.endswith(SUFFIXES))
    if not files:
        raise ConfigurationError(
            f"{folder}: no file of tasks is there, expected some that end in {', '.join(SUFFIXES)}"
        )
    return files


def load_shipped(*areas: str) -> list[Task]:
    """Our own tasks, of all areas or of some, such as `circuits`."""
    files = sorted(SHIPPED.glob("*.yaml"))
    known = [each.stem for each in files]
    for area in areas:
        if area not in known:
            raise ConfigurationError(f"tasks: there is no area {area!r}, expected one of {', '.join(known)}")
    chosen = [each for each in files if not areas or each.stem in areas]
    return _once([task for each in chosen for task in tasks_of(_rows(each, _text(each)), each.name)], "shipped")


def tasks_of(rows: Iterable[tuple[str, Mapping[str, Any]]], source: str) -> list[Task]:
    """Tasks from rows of any known form, with where each stands.

    Raises:
        ConfigurationError: a row has no known form, or says what cannot be; an id is there twice.
    """
    tasks = [_task(row, f"{source}{place}") for place, row in rows]
    if not tasks:
        raise ConfigurationError(f"{source}: it has no task")
    return _once(tasks, source)


def _task(row: Mapping[str, Any], where: str) -> Task:
    if not isinstance(row, Mapping):
        raise ConfigurationError(f"{where}: got {type(row).__name__}, expected a task as an object with keys")
    if is_public(row):
        return read_public(row, where)
    if not OURS & set(row):
        raise ConfigurationError(
            f"{where}: an unknown form with the keys {one_line(', '.join(map(str, row)), 200)}; looked for "
            f"{', '.join(sorted(OURS))} (ours) or {', '.join(sorted(PUBLIC_KEYS))} (HumanEval and Qiskit-HumanEval)"
        )
    try:
        return Task.model_validate(dict(row))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        named = f" ({one_line(row['id'], 60)})" if isinstance(row.get("id"), str) else ""
        raise ConfigurationError(f"{where}{named} {name}: {refusal(first)}".replace("  ", " ")) from error


def _once(tasks: list[Task], source: str) -> list[Task]:
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise ConfigurationError(f"{source}: the id {task.id} is there twice; rename one of the two")
        seen.add(task.id)
    return tasks


def _rows(path: Path, text: str) -> Sequence[tuple[str, Any]]:
    """Rows of a file with their places, such as `:3` for its third line."""
    if "\x00" in text:
        raise ConfigurationError(f"{path}: it holds a NUL character; save the file as text")
    name = path.name.removesuffix(".gz")
    if name.endswith((".yaml", ".yml")):
        return _yaml_rows(text, path)
    if name.endswith(".json") or (not name.endswith(".jsonl") and text.lstrip().startswith("[")):
        content = _json(text, f"{path}")
        listed = content.get("tasks") if isinstance(content, dict) and "tasks" in content else content
        listed = [listed] if isinstance(listed, dict) else listed
        if not isinstance(listed, list):
            raise ConfigurationError(f"{path}: got {type(listed).__name__}, expected a list of tasks")
        return [(f": task {number}", row) for number, row in enumerate(listed, 1)]
    lines = text.split("\n")
    return [(f":{number}", _json(line, f"{path}:{number}")) for number, line in enumerate(lines, 1) if line.strip()]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a ValueError for a number of too many digits, too
        raise ConfigurationError(
            f"{where}: not JSON ({one_line(error, 100)}); a file of tasks is JSONL (an object a line), JSON, YAML"
        ) from error


def _yaml_rows(text: str, path: Path) -> Sequence[tuple[str, Any]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = parsed(text, YAML(typ="safe", pure=False).load)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{path}: not YAML ({one_line(error, 200)})") from error
    listed = content.get("tasks") if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise ConfigurationError(f"{path}: expected a list under the key `tasks`")
    return [(f": task {number}", row) for number, row in enumerate(listed, 1)]


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read ({one_line(reason, 100)}); give another file") from error
    if len(content) > LARGEST:
        raise ConfigurationError(f"{path}: more than {LARGEST:,} bytes; split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
