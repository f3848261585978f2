"""What became of programs, filed by what it depends on, so that nothing is run twice.

The key is the SHA-256 of the program, the task, its tests, the limits, the seed, the versions of what it may import,
and the sandbox's profile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from qecforge.errors import StoreError, one_line
from qecforge.sandbox import Outcome, Program

__all__ = ["Transcript", "Transcripts", "asked_of", "key_of", "versions"]

PACKAGES = ("qiskit", "qiskit-aer", "qiskit-ibm-runtime", "numpy", "scipy", "matplotlib", "stim", "qecforge")
T = TypeVar("T")
OUTPUT = 10_000
"""Characters of output that are kept."""
BATCH = 500
SCHEMA = """
CREATE TABLE IF NOT EXISTS transcripts (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, asked TEXT NOT NULL, outcome TEXT NOT NULL
) WITHOUT ROWID
"""


@cache
def versions() -> Mapping[str, str]:
    """Of Python and of the packages that programs and tests may import; `checks` is a hash of our own."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    here = Path(__file__).parent
    files = [here / "codec_types.py", *sorted((here / "codec").glob("*.py")), *sorted((here / "checks").glob("*.py"))]
    found["checks"] = hashlib.sha256(b"\0".join(each.read_bytes() for each in files)).hexdigest()[:16]
    return found


@dataclass(frozen=True)
class Transcript:
    """One execution.

    Attributes:
        asked: All that the key is made of, by name.
        outcome: Without the values of calls.
    """

    key: str
    task_id: str
    asked: Mapping[str, Any]
    outcome: Outcome


def asked_of(program: Program, task_id: str, profile: str) -> dict[str, Any]:
    """What an outcome depends on."""
    return {
        "program": program.source,
        "task": task_id,
        "tests": program.tests,
        "limits": dict(vars(program.limits)),
        "judge_limits": dict(vars(program.judge_limits)),
        "seed": program.seed,
        "in_process": program.in_process,
        "versions": dict(versions()),
        "profile": profile,
    }


def key_of(asked: Mapping[str, Any]) -> str:
    """64 hexadecimal digits."""
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Transcripts:
    """A file of transcripts, which several processes may use at once. Raises `StoreError` where it is none.

    An outcome is kept as it was when it was run first, with its times.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._opened() as connection:
            connection.execute(SCHEMA)

    def get(self, keys: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes that are there, by key."""
        found: dict[str, Outcome] = {}
        wanted = list(dict.fromkeys(keys))
        for at in range(0, len(wanted), BATCH):
            some = wanted[at : at + BATCH]
            with self._opened() as connection:
                query = f"SELECT key, outcome FROM transcripts WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608
                rows = connection.execute(query, some).fetchall()
            found |= {key: self._outcome(key, text) for key, text in rows}
        return found

    def add(self, transcripts: Sequence[Transcript]) -> None:
        """File some; one that is there already is replaced."""
        rows = [
            (each.key, each.task_id, json.dumps(each.asked), json.dumps(_plain(each.outcome))) for each in transcripts
        ]
        with self._opened() as connection:
            connection.executemany("INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?, ?)", rows)

    def find(self, start: str) -> Transcript:
        """The one transcript whose key begins so. Raises `StoreError` where there is none, or more than one."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT key, task, asked, outcome FROM transcripts WHERE substr(key, 1, ?) = ? LIMIT 2",
                (len(start), start.lower()),
            ).fetchall()
        if len(rows) != 1 or not start:
            said = "several transcripts begin" if rows else "no transcript begins"
            raise StoreError(f"{self.path}: {said} with {start[:70]!r}; give the whole key, as reports have it")
        key, task_id, asked_text, outcome = rows[0]
        asked = self._read(_ASKED, key, "asked", asked_text)
        if key_of(asked) != key:
            raise self._altered(key, "asked", "it is not what the key is the hash of")
        return Transcript(key, task_id, asked, self._outcome(key, outcome))

    def keys(self) -> list[str]:
        """Of all transcripts, in order."""
        with self._opened() as connection:
            return [key for (key,) in connection.execute("SELECT key FROM transcripts ORDER BY key")]

    def _outcome(self, key: object, text: object) -> Outcome:
        found = self._read(_OUTCOME, key, "outcome", text)
        return replace(found, tests=tuple(found.tests))

    def _read(self, form: TypeAdapter[T], key: object, column: str, text: object) -> T:
        """A column of a row. Raises `StoreError` where it was altered."""
        try:
            return form.validate_json(text if isinstance(text, str | bytes) else repr(text))
        except ValidationError as error:
            raise self._altered(key, column, one_line(error.errors()[0]["msg"], 100)) from error

    def _altered(self, key: object, column: str, why: str) -> StoreError:
        return StoreError(
            f"{self.path}: table transcripts, row {one_line(key, 20)!r}, column {column}: {why}; delete the "
            f"row, or name "
            "another file"
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if "://" in str(self.path) or ":/" in str(self.path):
            raise StoreError(f"{self.path}: transcripts are kept in a file, and this is a URL; give a path")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self.path}: it cannot be used as a file of transcripts ({one_line(error)}); "
                "give another file, or none"
            ) from error


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "verdict": outcome.verdict.value,
        "detail": outcome.detail,
        "tests": [asdict(each) for each in outcome.tests],
        "judged": outcome.judged,
        "output": outcome.output[:OUTPUT],
        "cpu_seconds": outcome.cpu_seconds,
        "judge_cpu_seconds": outcome.judge_cpu_seconds,
        "memory": outcome.memory,
        "notes": dict(outcome.notes),
        "attempts": outcome.attempts,
    }


_OUTCOME = TypeAdapter(Outcome)
_ASKED = TypeAdapter(dict[str, Any])
