"""Reading tasks: our JSONL and YAML, Qiskit-HumanEval, HumanEval's own, and a data set of a hub by its id."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qecforge.contracts.refusals import refusal
from qecforge.errors import ConfigurationError, one_line
from qecforge_qiskit_tasks.tasks._parsed import parsed
from qecforge_qiskit_tasks.tasks.public import PUBLIC_KEYS, is_public, read_public
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["SHIPPED", "load_shipped", "load_tasks", "tasks_of"]

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
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.name.endswith(SUFFIXES))
        if not files:
            raise ConfigurationError(
                f"{path}: no file of tasks is there, expected some that end in {', '.join(SUFFIXES)}"
            )
        return _once([task for each in files for task in load_tasks(each)], str(path))
    if not path.exists():
        if HUB_ID.fullmatch(str(source)) and not str(source).endswith(SUFFIXES):
            from qecforge_qiskit_tasks.tasks.hub import read_data_set

            return tasks_of(read_data_set(str(source)), str(source))
        raise ConfigurationError(f"{source}: there is no such file; give a file of tasks, or `shipped`")
    return tasks_of(_rows(path), str(path))


def load_shipped(*areas: str) -> list[Task]:
    """Our own tasks, of all areas or of some, such as `circuits`."""
    files = sorted(SHIPPED.glob("*.yaml"))
    known = [each.stem for each in files]
    for area in areas:
        if area not in known:
            raise ConfigurationError(f"tasks: there is no area {area!r}, expected one of {', '.join(known)}")
    chosen = [each for each in files if not areas or each.stem in areas]
    return _once([task for each in chosen for task in tasks_of(_rows(each), each.name)], "shipped")


def tasks_of(rows: Iterable[tuple[str, Mapping[str, Any]]], source: str) -> list[Task]:
    """Tasks from rows of any known form, with where each stands.

    Raises:
        ConfigurationError: a row has no known form, or says what cannot be; an id is there twice.
    """
    tasks = [_task(row, f"{source}{place}") for place, row in rows]
    if not tasks:
        raise ConfigurationError(f"{source}: there is no task in it")
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


def _rows(path: Path) -> Sequence[tuple[str, Any]]:
    """Rows of a file with their places, such as `:3` for its third line."""
    text = _text(path)
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
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: it is no JSON ({one_line(error, 100)}); a file of tasks is JSONL (an object a line), JSON, YAML"
        ) from error


def _yaml_rows(text: str, path: Path) -> Sequence[tuple[str, Any]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = parsed(text, YAML(typ="safe", pure=False).load)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{path}: it is no YAML ({one_line(error, 200)})") from error
    listed = content.get("tasks") if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise ConfigurationError(f"{path}: looked for a list under the key `tasks`, and there is none")
    return [(f": task {number}", row) for number, row in enumerate(listed, 1)]


def _text(path: Path) -> str:
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path) as file:
                content = file.read(LARGEST + 1)
        else:
            if os.path.getsize(path) > LARGEST:  # noqa: PTH202
                raise ConfigurationError(f"{path}: more than {LARGEST:,} bytes; split it")
            content = path.read_bytes()
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"{path}: it cannot be read ({one_line(error)})") from error
    if len(content) > LARGEST:
        raise ConfigurationError(f"{path}: more than {LARGEST:,} bytes; split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    if "\x00" in text:
        raise ConfigurationError(f"{path}: it holds a NUL character; save the file as text")
    return text
