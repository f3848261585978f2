"""What carries a run out from outside of it: the store, locks, checkpoints, and who draws shots."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.errors import StoreError, one_line
from qecforge.machine.files import is_inside
from qecforge.runs.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from qecforge.runs.lock import LockTaker, RunLocks
from qecforge.store import Store

if TYPE_CHECKING:
    from qecforge.evaluation.error_rates.pools import ChunkPool
    from qecforge.runs.listener import RunOptions

__all__ = ["Checkpoint", "Workspace", "checkpoint_path", "local_workspace"]


class Checkpoint:
    """The checkpoint of one run, in a folder of its own, with whatever lies beside it there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None. Raises `CheckpointError` where it is damaged."""
        return load_checkpoint(self.path) if self.path.exists() else None

    def save(self, state: Mapping[str, Any]) -> None:
        """See `save_checkpoint`."""
        save_checkpoint(self.path, state)

    def remove(self) -> None:
        """Remove it and its folder; what a kill in between leaves is no checkpoint."""
        remove_checkpoint(self.path)
        shutil.rmtree(self.path.parent, ignore_errors=True)
        with suppress(OSError):  # the file that was a run's lock before locks were in the store
            self.path.parent.with_suffix(".lock").unlink(missing_ok=True)


class Workspace:
    """What a run needs of the process that is responsible for it, here this one.

    Args:
        store: Open.
        locks: Of the store's runs.
        chunk_pool: Opens what draws shots of logical error rates; None: processes on this machine.
    """

    def __init__(
        self,
        store: Store,
        locks: LockTaker,
        *,
        chunk_pool: Callable[[], AbstractContextManager[ChunkPool]] | None = None,
    ) -> None:
        self.store, self.locks, self.chunk_pool = store, locks, chunk_pool

    def checkpoint(self, run_id: str) -> Checkpoint:
        """The run's checkpoint, which may not be there yet; its folder is.

        Raises:
            StoreError: the folder cannot be written.
        """
        path = checkpoint_path(self.store, run_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path.parent}: cannot be written ({error.strerror}): choose another store (`store_url`)",
                parameter="store_url",
            ) from error
        return Checkpoint(path)


@contextmanager
def local_workspace(options: RunOptions) -> Iterator[Workspace]:
    """Where a run is carried out in the process that is responsible for it: the store is opened here."""
    with Store(options.store_url) as store, RunLocks(store) as locks:
        yield Workspace(store, locks)


def checkpoint_path(store: Store, run_id: str) -> Path:
    """Where the checkpoint of a run lies: in a folder of its own beside the store's artifacts.

    Raises:
        StoreError: the id, or a symbolic link, leads out of the store's folder, which may come from elsewhere.
    """
    folder = store.directory / "checkpoints" / run_id
    if not (re.fullmatch(r"[0-9a-f]+", run_id) and is_inside(store.directory, folder)):
        raise StoreError(f"{one_line(str(folder), 200)}: leads out of {store.directory}: remove it from the store")
    return folder / "training.ckpt"
