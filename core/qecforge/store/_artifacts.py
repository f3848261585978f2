"""Files of runs: their names in the database, their content in the folder beside it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import select, update

from qecforge.errors import ConfigurationError, one_line
from qecforge.store import _sql
from qecforge.store._base import StoreBase
from qecforge.store._rows import checked, is_file_name
from qecforge.store.models import ArtifactRow, RunRow
from qecforge.store.records import Artifact

__all__ = ["ArtifactStore"]


class ArtifactStore(StoreBase):
    """The part of `Store` that keeps files."""

    def add_artifact(self, run_id: str, kind: str, name: str, content: bytes | Path) -> Artifact:
        """Keep a file for a run. The same kind and name again replaces what was there.

        The content is on the disk before its name is in the database: what has a name can be read.

        Args:
            kind: What it is, such as `policy`.
            content: Bytes, or a file to copy.

        Raises:
            StoreError: no such run or file, or the disk is full.
        """
        return self.add_artifacts(run_id, kind, {name: content})[0]

    def add_artifacts(self, run_id: str, kind: str, files: Mapping[str, bytes | Path]) -> list[Artifact]:
        """Keep files that belong together: all of them are in the database, or none is.

        Args:
            kind: What they are, such as `policy`.
            files: Bytes, or a file to copy, by name; as in `add_artifact`.

        Returns:
            In the order of `files`.

        Raises:
            StoreError: as `add_artifact`.
            ConfigurationError: a name is absolute, or leaves the folder that it is put into.
        """
        for name in files:
            if not is_file_name(name):
                raise ConfigurationError(f"artifact {one_line(name, 100)!r}: not the name of a file below a folder")
        kept, replaced = [], []
        with ExitStack() as stack:
            staged = {name: stack.enter_context(self._files.stage(content)) for name, content in files.items()}
            connection = stack.enter_context(self._database.writing())
            run_id = _sql.find_id(connection, RunRow, run_id)
            for name, file in staged.items():
                key = {"run_id": run_id, "kind": kind, "name": name}
                created_at = _sql.now()
                values = {"sha256": file.sha256, "size": file.size, "created_at": created_at}
                _sql.insert_ignore(connection, ArtifactRow, [{**key, **values}])
                before = connection.scalar(select(ArtifactRow.sha256).filter_by(**key).with_for_update())
                connection.execute(update(ArtifactRow).filter_by(**key).values(**values))
                file.publish()
                kept.append(Artifact(**key, sha256=file.sha256, size=file.size, created_at=created_at))
                if before is not None and before != file.sha256:
                    replaced.append(before)
        if replaced:
            self._remove_unused_files(replaced)
        return kept

    def artifacts(self, run_id: str | None = None, *, kind: str | None = None) -> list[Artifact]:
        """Files of a run, or of all, oldest first."""
        query = select(ArtifactRow.__table__).order_by(ArtifactRow.created_at, ArtifactRow.kind, ArtifactRow.name)
        if kind is not None:
            query = query.where(ArtifactRow.kind == kind)
        with self._database.reading() as connection:
            if run_id is not None:
                query = query.where(ArtifactRow.run_id == _sql.find_id(connection, RunRow, run_id))
            return [Artifact(**checked(ArtifactRow, row)) for row in connection.execute(query).all()]

    def read_artifact(self, artifact: Artifact) -> bytes:
        """Its content, checked against its hash. Raises `StoreError` where the file is missing or damaged."""
        return self._files.read(artifact.sha256)
