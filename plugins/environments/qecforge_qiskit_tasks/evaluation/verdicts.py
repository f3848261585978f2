"""Verdicts of an evaluation, kept as they come, so that nothing is judged twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qecforge.contracts.text import Verdict
from qecforge.errors import StoreError
from qecforge_qiskit_tasks.evaluation.report import Judged

__all__ = ["KeptVerdicts"]


class KeptVerdicts:
    """Judges that remember, in a file of JSON lines: `judges` is asked only for what is not in it.

    A verdict is that of a task, with its tests and limits, of a completion, of versions and of a profile; where one of
    them is another, it is asked for anew.

    Args:
        judges: See `evaluating.Judges`.
        hashes: SHA-256 of each task by id.
        path: The file; its folder is there.
        before: Verdicts that are filed already.
    """

    def __init__(self, judges: Any, hashes: Mapping[str, str], path: Path, before: bytes = b"") -> None:
        self.versions: Mapping[str, str] = judges.versions
        self.profile: str = judges.profile
        self._judges, self._hashes, self._path = judges, hashes, path
        self._circumstances = json.dumps([dict(self.versions), self.profile], sort_keys=True)
        self._known: dict[str, Judged] = {}
        self._read(before)
        if path.exists():
            self._read(path.read_bytes())

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[Judged]:
        """One each, in order; equal pairs are judged once."""
        keys = [self._key(*pair) for pair in zip(task_ids, completions, strict=True)]
        missing = {key: place for place, key in enumerate(keys) if key not in self._known}
        if missing:
            places = list(missing.values())
            found = self._judges.judge([task_ids[each] for each in places], [completions[each] for each in places])
            self._keep(dict(zip(missing, found, strict=True)))
        return [self._known[key] for key in keys]

    def content(self) -> bytes:
        """All verdicts, to be filed."""
        return b"".join(_line(key, judged) for key, judged in sorted(self._known.items()))

    def _key(self, task_id: str, completion: str) -> str:
        digest = hashlib.sha256(f"{self._circumstances}\0{self._hashes[task_id]}\0".encode())
        digest.update(completion.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _keep(self, found: Mapping[str, Judged]) -> None:
        self._known.update(found)
        try:
            with self._path.open("ab") as file:
                file.write(b"\n" + b"".join(_line(key, judged) for key, judged in found.items()))
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written ({error.strerror}): free space") from error

    def _read(self, content: bytes) -> None:
        """What a kill left of a line is passed over: it is judged again."""
        for line in content.splitlines():
            try:
                read = json.loads(line)
                judged = Judged(Verdict(read["verdict"]), str(read["program"]), str(read["detail"]))
                self._known[str(read["key"])] = judged
            except (ValueError, TypeError, KeyError):
                continue


def _line(key: str, judged: Judged) -> bytes:
    line = {"key": key, "verdict": judged.verdict.value, "program": judged.program, "detail": judged.detail}
    return json.dumps(line).encode() + b"\n"
