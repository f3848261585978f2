"""What every store must do, whatever database is behind it.

Subclass `StoreContract` and give it the fixture `store_url`; pytest runs the cases:

    class TestMyDatabase(StoreContract):
        @pytest.fixture
        def store_url(self) -> Iterator[str]:
            yield "postgresql://..."        # an empty database for each test
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qecforge.store import Store
from qecforge.testing.examples import discovered, distance, example_code, example_run, example_task
from qecforge.testing.store._codes import CodeCases, ErrorRateCases
from qecforge.testing.store._locks import LockCases
from qecforge.testing.store._runs import MetricCases, RunCases
from qecforge.testing.store._sharing import FileCases, SharingCases

__all__ = ["StoreContract", "discovered", "distance", "example_code", "example_run", "example_task"]


class StoreContract(RunCases, MetricCases, CodeCases, ErrorRateCases, FileCases, LockCases, SharingCases):
    """The cases. The fixture `store_url` gives an empty database for each test; a path or a URL."""

    @pytest.fixture
    def store_url(self) -> Iterator[str | Path]:
        """An empty database; to be overridden."""
        raise NotImplementedError("give the fixture store_url an empty database for each test")

    @pytest.fixture
    def open_store(self, store_url: str | Path, tmp_path: Path) -> Callable[[], Store]:
        """Opens the database, again and again; files lie in one folder."""
        return lambda: Store(store_url, artifacts=tmp_path / "files")

    @pytest.fixture
    def store(self, open_store: Callable[[], Store]) -> Iterator[Store]:
        """The empty store, open."""
        with open_store() as store:
            yield store
