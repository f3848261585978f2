"""What every part of the store stands on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select, text

from qecforge.errors import StoreError
from qecforge.store.artifacts import ArtifactFolder
from qecforge.store.engine import Database
from qecforge.store.models import ArtifactRow

__all__ = ["StoreBase"]


class StoreBase:
    """The database and the folder beside it."""

    _database: Database
    _folder: Path | None

    @property
    def directory(self) -> Path:
        """The folder beside the database for files: `results.artifacts` for `results.db`. It may not exist yet.

        Raises:
            StoreError: the store is in memory and was given no folder.
        """
        if self._folder is None:
            raise StoreError("an in-memory store keeps no files: use a file, or give `artifacts` a folder")
        return self._folder

    @property
    def _files(self) -> ArtifactFolder:
        return ArtifactFolder(self.directory)

    def _remove_unused_files(self, candidates: Iterable[str]) -> None:
        """Delete those of the files, by hash, that no artifact names any more.

        Called after the transaction that took the names away: killed in between, files stay that nobody needs, never
        names without a file. Holds the writers' turn, so that none of the files is being added again.
        """
        hashes = set(candidates)
        if not hashes:
            return
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE artifacts IN SHARE ROW EXCLUSIVE MODE"))
            used = select(ArtifactRow.sha256).where(ArtifactRow.sha256.in_(hashes))
            for sha256 in hashes - set(connection.scalars(used)):
                self._files.remove(sha256)
        self._files.remove_abandoned()
