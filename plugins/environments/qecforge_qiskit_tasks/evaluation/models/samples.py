"""Completions of a file in HumanEval's format: a line of JSON each, with `task_id` and `completion`."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

from qecforge.errors import ConfigurationError, did_you_mean, one_line

__all__ = ["LARGEST_COMPLETION", "read_samples"]

LARGEST_COMPLETION = 8 << 20
"""Bytes of a line."""


def read_samples(path: Path, known: Collection[str], wanted: int | None = None) -> dict[str, list[str]]:
    """The completions of each task, in the file's order.

    Args:
        path: JSONL, or that compressed by gzip (`.gz`). Keys other than the two are passed over.
        known: Ids of the tasks; each needs completions, all of them as many.
        wanted: How many; None for as many as there are.

    Raises:
        ConfigurationError: it cannot be read, a line is none of the format, an id is unknown, a completion is too long,
            or tasks have other numbers of completions.
    """
    found: dict[str, list[str]] = {task_id: [] for task_id in known}
    try:
        with _opened(path) as lines:
            for number, line in _numbered(path, lines):
                task_id, completion = _sample(f"{path}:{number}", line)
                if task_id not in found:
                    hint = did_you_mean(task_id, found) or f" There are {len(found)}, such as {next(iter(found), '')}."
                    raise ConfigurationError(f"{path}:{number}: there is no task {one_line(task_id, 60)!r}.{hint}")
                found[task_id].append(completion)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read ({one_line(reason, 100)}); expected JSONL") from None
    _check_numbers(path, found, wanted)
    return found


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _numbered(path: Path, lines: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := lines.readline(LARGEST_COMPLETION + 1):
        number += 1
        if len(line) > LARGEST_COMPLETION:
            raise ConfigurationError(
                f"{path}:{number}: a line of more than {LARGEST_COMPLETION:,} bytes, expected one completion of a "
                "program: cut it"
            )
        if line.strip():
            yield number, line


def _sample(place: str, line: bytes) -> tuple[str, str]:
    if b"\x00" in line:
        raise ConfigurationError(f"{place}: a NUL character, expected JSON; write it as \\u0000")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{place}: byte {error.start + 1} is not UTF-8, expected JSON in UTF-8: convert the file"
        ) from None
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{place}: not JSON ({one_line(error, 80)}), expected one completion on each line"
        ) from None
    if not isinstance(content, dict) or not {"task_id", "completion"} <= content.keys():
        keys = ", ".join(map(str, list(content)[:6])) if isinstance(content, dict) else type(content).__name__
        raise ConfigurationError(f"{place}: got {one_line(keys, 80) or 'nothing'}, expected task_id and completion")
    for key in ("task_id", "completion"):
        if not isinstance(content[key], str):
            raise ConfigurationError(f"{place}: {key} is {type(content[key]).__name__}, expected text")
    return content["task_id"], content["completion"]


def _check_numbers(path: Path, found: dict[str, list[str]], wanted: int | None) -> None:
    numbers = {len(each) for each in found.values()}
    if numbers <= {0}:
        raise ConfigurationError(f"{path}: there is no completion, expected some of {len(found)} tasks")
    expected = wanted if wanted is not None else max(numbers)
    wrong = {task_id: len(each) for task_id, each in found.items() if len(each) != expected}
    if wrong:
        task_id, number = next(iter(wrong.items()))
        raise ConfigurationError(
            f"{path}: {len(wrong)} of {len(found)} tasks do not have {expected} completions, such as {task_id} with "
            f"{number}; expected the same number for each task"
            + (f": give -n {max(numbers)}" if wanted is not None and len(numbers) == 1 else "")
        )
