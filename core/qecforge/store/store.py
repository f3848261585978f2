"""`Store`: every result, with the query API."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from sqlalchemy.engine import URL

from qecforge.errors import ConfigurationError, StoreError
from qecforge.machine.extras import missing_dependency
from qecforge.machine.masking import masked
from qecforge.store._artifacts import ArtifactStore
from qecforge.store._codes import CodeStore
from qecforge.store._error_rates import ErrorRateStore
from qecforge.store._locks import LockStore
from qecforge.store._metrics import MetricStore
from qecforge.store.engine import Database, parse_url

if TYPE_CHECKING:
    import pandas

__all__ = ["Store"]


class _HasRow(Protocol):
    def row(self) -> dict[str, Any]: ...


class Store(MetricStore, CodeStore, ErrorRateStore, ArtifactStore, LockStore):
    """Every result of every run: an SQL database, and a folder beside it for files.

        with Store("sqlite:///results.db") as store:
            for record in store.codes(n=7, k=1, min_distance=3, order_by="gate_count"):
                print(record.code, record.distance, record.gate_count)

    Each method is one transaction: when it returns, what it wrote is on the disk; when it raises, or the process is
    killed inside it, nothing of it is there. Writing the same thing again changes nothing. A store may be shared by
    threads, used after a fork, pickled to other processes, and opened by many processes at once.

    Args:
        url: SQLAlchemy URL such as `sqlite:///results.db` or `postgresql://user@host/name`, or the path of an SQLite
            file.
        read_only: Refuse to write; the store must exist and be of the present schema.
        create: Make the database where it is missing.
        artifacts: Folder for files. By default `NAME.artifacts` beside the SQLite file `NAME.db`; for a server's
            database NAME, `NAME.artifacts` in the current folder.

    Raises:
        StoreError: it cannot be opened: no such file or server, not a store, read-only, or of a newer schema.
        MissingDependency: the driver of this database is not installed.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        artifacts: str | os.PathLike[str] | None = None,
    ) -> None:
        parsed = parse_url(url)
        self._folder = Path(artifacts).absolute() if artifacts is not None else _default_folder(parsed)
        self._database = Database(parsed, read_only=read_only, create=create)

    @property
    def url(self) -> str:
        """The database's URL, with the password where there is one."""
        return self._database.url.render_as_string(hide_password=False)

    @property
    def in_memory(self) -> bool:
        """Whether it is gone once it is closed, and stays in this process."""
        return self._database.in_memory

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self._database.read_only

    def close(self) -> None:
        """Close the connections; the store cannot be used afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({masked(self._database.url.render_as_string(hide_password=True))!r})"

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        database = self._database
        if database.in_memory:
            raise StoreError("an in-memory store cannot go to another process: use a file")
        return _reopen, (database.path or self.url, database.read_only, database.create, self._folder)

    def frame(self, name: str, **filters: Any) -> pandas.DataFrame:
        """A table as a pandas DataFrame, a row a record.

        Args:
            name: `runs`, `codes`, `discoveries`, `metrics`, `error_rates`, `policy_evaluations`, `artifacts`, `events`.
            filters: As the method of this name takes them; for `metrics` `run_id` and, if only one is wanted, `metric`.

        Raises:
            MissingDependency: pandas is not installed.
        """
        tables: dict[str, Callable[..., Sequence[_HasRow]]] = {
            "runs": self.runs,
            "codes": self.codes,
            "discoveries": self.discoveries,
            "error_rates": self.error_rates,
            "policy_evaluations": self.policy_evaluations,
            "artifacts": self.artifacts,
            "events": self.events,
        }
        if name != "metrics" and name not in tables:
            raise ConfigurationError(f"frame: got {name!r}, expected one of {', '.join(sorted([*tables, 'metrics']))}")
        try:
            import pandas
        except ImportError as error:
            raise missing_dependency("frame", "pandas", "pandas") from error
        if name == "metrics":
            return pandas.DataFrame(self._metric_columns(**filters))
        return pandas.DataFrame([record.row() for record in tables[name](**filters)])


def _reopen(url: str | Path, read_only: bool, create: bool, artifacts: Path | None) -> Store:
    return Store(url, read_only=read_only, create=create, artifacts=artifacts)


def _default_folder(url: URL) -> Path | None:
    if not url.database:
        return None
    if url.get_backend_name() == "sqlite":
        return Path(url.database).with_suffix(".artifacts")
    return Path(f"{url.database}.artifacts").absolute()
