"""The driver's store, locks and checkpoints, seen from a worker. Nothing here needs a disk but for one checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.errors import CheckpointError, StoreError
from qecforge.runs.lock import LockTaker, Taken
from qecforge.runs.workspace import Checkpoint, Workspace
from qecforge.store import Artifact, Store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from qecforge.evaluation.error_rates.pools import ChunkPool
    from qecforge.executors._ray.channel import Channel

__all__ = ["PIECE_BYTES", "RemoteStore", "RemoteWorkspace"]

PIECE_BYTES = 8 << 20
"""Bytes of a checkpoint in one letter."""


class RemoteStore(Store):
    """The driver's store: each method is carried out there. Files that are added are read here.

    Args:
        folder: What `directory` is here.
    """

    def __init__(self, channel: Channel, folder: Path) -> None:
        self._channel, self._folder = channel, folder

    @property
    def url(self) -> str:
        """None that could be opened here."""
        return "the driver's store"

    @property
    def read_only(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing is open."""

    def add_artifacts(self, run_id: str, kind: str, files: Mapping[str, bytes | Path]) -> list[Artifact]:
        """See `Store.add_artifacts`."""
        contents = {name: _content(each) for name, each in files.items()}
        kept: list[Artifact] = self._channel.ask("store", "add_artifacts", run_id, kind, contents)
        return kept

    def add_artifact(self, run_id: str, kind: str, name: str, content: bytes | Path) -> Artifact:
        """See `Store.add_artifact`."""
        return self.add_artifacts(run_id, kind, {name: content})[0]

    def __repr__(self) -> str:
        return "RemoteStore()"

    def __reduce__(self) -> Any:
        raise TypeError("a driver's store is one worker's")


def _content(file: bytes | Path) -> bytes:
    if isinstance(file, bytes):
        return file
    try:
        return file.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{file}: no such file ({error.strerror}): an artifact is made of bytes or of a file that is there"
        ) from error


def _forwarded(name: str) -> Callable[..., Any]:
    def method(self: RemoteStore, *arguments: Any, **named: Any) -> Any:
        listed = (list(each) if isinstance(each, Iterator) else each for each in arguments)
        return self._channel.ask("store", name, *listed, **named)

    method.__name__, method.__doc__ = name, f"See `Store.{name}`."
    return method


for _name, _ in inspect.getmembers(Store, inspect.isfunction):
    if not _name.startswith("_") and _name not in vars(RemoteStore):
        setattr(RemoteStore, _name, _forwarded(_name))


class _RemoteLocks(LockTaker):
    """Locks that the driver holds for this attempt, and gives back where its worker is lost."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def take(self, run_id: str) -> Taken | None:
        taken: Taken | None = self._channel.ask("take_lock", run_id)
        return taken

    def release(self, run_id: str) -> None:
        if not self._channel.given_up:
            self._channel.ask("release_lock", run_id)

    def keep_time(self, run_id: str, before: float) -> None:
        self._channel.ask("keep_time", run_id, before)

    def has_lost(self, run_id: str) -> bool:
        return self._channel.given_up


class _RemoteCheckpoint(Checkpoint):
    """A checkpoint whose files lie at the driver's, with a copy here."""

    def __init__(self, channel: Channel, run_id: str, path: Path) -> None:
        super().__init__(path)
        self._channel, self._run_id = channel, run_id
        self._there: set[str] = set()

    def load(self) -> dict[str, Any] | None:
        theirs, files = self._channel.ask("checkpoint_files", self._run_id)
        for name, size in files.items():
            with self.path.with_name(name).open("wb") as file:
                for at in range(0, size, PIECE_BYTES):
                    count = min(PIECE_BYTES, size - at)
                    file.write(self._channel.ask("read_checkpoint", self._run_id, name, at, count))
        self._there = set(files)
        try:
            return super().load()
        except CheckpointError as error:  # its path is of a folder here, which nobody knows
            raise CheckpointError(str(error).replace(str(self.path.parent), str(theirs))) from error

    def save(self, state: Mapping[str, Any]) -> None:
        super().save(state)
        names = sorted(file.name for file in self.path.parent.iterdir() if file.name != self.path.name)
        for name in names:
            if name not in self._there:
                self._send(name)
        self._send(self.path.name)
        self._channel.ask("keep_checkpoint", self._run_id, names)
        self._there = set(names)

    def remove(self) -> None:
        super().remove()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._channel.ask("remove_checkpoint", self._run_id)
        self._there = set()

    def _send(self, name: str) -> None:
        with self.path.with_name(name).open("rb") as file:
            for at in range(0, max(1, os.fstat(file.fileno()).st_size), PIECE_BYTES):
                self._channel.ask("write_checkpoint", self._run_id, name, at, file.read(PIECE_BYTES))


class RemoteWorkspace(Workspace):
    """What a run needs of the driver.

    Args:
        folder: An empty one here, for a copy of the checkpoint.
    """

    def __init__(
        self, channel: Channel, folder: Path, *, chunk_pool: Callable[[], AbstractContextManager[ChunkPool]]
    ) -> None:
        super().__init__(RemoteStore(channel, folder), _RemoteLocks(channel), chunk_pool=chunk_pool)
        self._channel = channel

    def checkpoint(self, run_id: str) -> Checkpoint:
        """See `Workspace.checkpoint`."""
        return _RemoteCheckpoint(self._channel, run_id, super().checkpoint(run_id).path)
