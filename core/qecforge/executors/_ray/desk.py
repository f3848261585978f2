"""The driver's answers to what workers ask."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.errors import ConfigurationError, StoreError, UserError
from qecforge.executors._portable import tell
from qecforge.executors._ray.channel import Answer, Question
from qecforge.machine.logs import log_as_elsewhere
from qecforge.runs._disk import sync_folder
from qecforge.runs.lock import LockTaker, Taken
from qecforge.runs.workspace import Workspace

if TYPE_CHECKING:
    from qecforge.executors._ray.mailbox import Letter
    from qecforge.executors._ray.worker import Ended
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener

__all__ = ["Attempt", "Desk"]


@dataclass(eq=False)
class Attempt:
    """One attempt at a run: a task.

    Attributes:
        place: Of the run in the list of plans.
        worker: Where it is carried out, in words; None as long as it waits for a node.
        ended: What its worker said last.
        locks: Runs that it holds, by id: its own and, on the way, its teacher's.
        restarted: Whether the run was made as if it had never been begun.
    """

    place: int
    token: str
    reference: Any
    worker: str | None = None
    ended: Ended | None = None
    locks: set[str] = field(default_factory=set)
    restarted: bool = False


class Desk:
    """Answers workers, of attempts that are listened to: all others are told that they were given up.

    Args:
        workspace: The driver's own.
    """

    def __init__(self, plans: Sequence[RunPlan], workspace: Workspace, listener: RunListener) -> None:
        self._plans, self._workspace, self._listener = plans, workspace, listener
        self._attempts: dict[str, Attempt] = {}

    def listen_to(self, attempt: Attempt) -> None:
        """From now on answer this attempt."""
        self._attempts[attempt.token] = attempt

    def give_up(self, attempt: Attempt) -> None:
        """Answer the attempt no longer, and give back the locks that it holds."""
        self._attempts.pop(attempt.token, None)
        for run_id in sorted(attempt.locks):
            self._locks.release(run_id)
        attempt.locks.clear()

    def read(self, letters: Sequence[Letter]) -> list[tuple[int, bytes]]:
        """Do what the letters ask, in their order. Returns the answers by number."""
        answers = []
        for letter in letters:
            answer = self._answer(letter)
            if letter.number is not None:
                answers.append((letter.number, pickle.dumps(answer)))
        return answers

    def _answer(self, letter: Letter) -> Answer:
        attempt = self._attempts.get(letter.sender)
        if attempt is None or any(self._locks.has_lost(run_id) for run_id in attempt.locks):
            return Answer("given_up")
        question: Question = pickle.loads(letter.content)  # noqa: S301 (our own workers)
        try:
            named = question.named or {}
            return Answer("value", _METHODS[question.method](self, attempt, *question.arguments, **named))
        except UserError as error:
            return Answer("error", error)

    @property
    def _locks(self) -> LockTaker:
        return self._workspace.locks

    def _begin(self, attempt: Attempt, worker: str) -> None:
        attempt.worker = worker

    def _tell(self, attempt: Attempt, events: Sequence[Any]) -> None:
        for event in events:
            tell(self._listener, self._plans[attempt.place], event)

    def _log(self, attempt: Attempt, records: Sequence[Any]) -> None:
        for record in records:
            log_as_elsewhere(record)

    def _end(self, attempt: Attempt, ended: Ended) -> None:
        attempt.ended = ended

    def _store(self, attempt: Attempt, method: str, *arguments: Any, **named: Any) -> Any:
        if method.startswith("_"):
            raise ConfigurationError(f"store: got {method!r}, expected a public method")
        attempt.restarted |= method == "restart_run"
        return getattr(self._workspace.store, method)(*arguments, **named)

    def _take_lock(self, attempt: Attempt, run_id: str) -> Taken | None:
        taken = self._locks.take(run_id)
        if taken is None:
            attempt.locks.add(run_id)
        return taken

    def _release_lock(self, attempt: Attempt, run_id: str) -> None:
        if run_id in attempt.locks:
            attempt.locks.discard(run_id)
            self._locks.release(run_id)

    def _keep_time(self, attempt: Attempt, run_id: str, before: float) -> None:
        if run_id in attempt.locks:
            self._locks.keep_time(run_id, before)

    def _checkpoint_files(self, attempt: Attempt, run_id: str) -> tuple[str, dict[str, int]]:
        """Where the checkpoint lies, and its files with their sizes; none where there is no whole one."""
        path = self._checkpoint(attempt, run_id)
        if not path.exists():
            return str(path.parent), {}
        files = [file for file in path.parent.iterdir() if _is_file_of(path, file.name)]
        return str(path.parent), {file.name: file.stat().st_size for file in files}

    def _read_checkpoint(self, attempt: Attempt, run_id: str, name: str, at: int, count: int) -> bytes:
        with self._file(attempt, run_id, name).open("rb") as file:
            file.seek(at)
            return file.read(count)

    def _write_checkpoint(self, attempt: Attempt, run_id: str, name: str, at: int, piece: bytes) -> None:
        """Part of a new file. Segments are not named by the present checkpoint yet, and that itself is written beside
        it."""
        path = self._file(attempt, run_id, name)
        place = _incoming(path) if path == self._checkpoint(attempt, run_id) else path
        try:
            with place.open("wb" if at == 0 else "ab") as file:
                file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(place, error) from error

    def _keep_checkpoint(self, attempt: Attempt, run_id: str, segments: Sequence[str]) -> None:
        """Put the new checkpoint, which is here whole, in the place of the present one."""
        path = self._checkpoint(attempt, run_id)
        try:
            sync_folder(path.parent)
            _incoming(path).replace(path)
            sync_folder(path.parent)
            for file in path.parent.iterdir():
                if _is_file_of(path, file.name) and file.name not in {path.name, *segments}:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _remove_checkpoint(self, attempt: Attempt, run_id: str) -> None:
        if run_id in attempt.locks:
            self._workspace.checkpoint(run_id).remove()

    def _checkpoint(self, attempt: Attempt, run_id: str) -> Path:
        if run_id not in attempt.locks:
            raise ConfigurationError(f"checkpoint of run {run_id}: this attempt does not hold its lock")
        return self._workspace.checkpoint(run_id).path

    def _file(self, attempt: Attempt, run_id: str, name: str) -> Path:
        path = self._checkpoint(attempt, run_id)
        if not _is_file_of(path, name):
            raise ConfigurationError(f"checkpoint of run {run_id}: got a file {name!r}, expected the checkpoint's own")
        return path.with_name(name)


_METHODS: dict[str, Callable[..., Any]] = {
    "begin": Desk._begin,
    "tell": Desk._tell,
    "log": Desk._log,
    "end": Desk._end,
    "store": Desk._store,
    "take_lock": Desk._take_lock,
    "release_lock": Desk._release_lock,
    "keep_time": Desk._keep_time,
    "checkpoint_files": Desk._checkpoint_files,
    "read_checkpoint": Desk._read_checkpoint,
    "write_checkpoint": Desk._write_checkpoint,
    "keep_checkpoint": Desk._keep_checkpoint,
    "remove_checkpoint": Desk._remove_checkpoint,
}


def _is_file_of(path: Path, name: str) -> bool:
    """Whether a file of this name belongs to the checkpoint at `path`."""
    return re.fullmatch(re.escape(path.name) + r"(\.[0-9a-f]{16}\.rows)?", name) is not None


def _incoming(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path}: cannot be written ({error.strerror}): free space, or put the store elsewhere (`store_url`)",
        parameter="store_url",
    )
