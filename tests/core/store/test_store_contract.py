"""The contract on the databases that are supported."""

import os
import uuid

import pytest
from sqlalchemy import create_engine, text

from qecforge.testing.store import StoreContract

POSTGRESQL_URL = os.environ.get("QECFORGE_TEST_POSTGRESQL_URL")


class TestSQLiteFile(StoreContract):
    @pytest.fixture
    def store_url(self, tmp_path):
        return f"sqlite:///{tmp_path}/results.db"


@pytest.mark.skipif(
    POSTGRESQL_URL is None,
    reason="needs a PostgreSQL server: set QECFORGE_TEST_POSTGRESQL_URL=postgresql://USER:PASSWORD@HOST/DATABASE",
)
class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store_url(self):
        """A database of its own for each test, dropped afterwards."""
        name = f"qecforge_test_{uuid.uuid4().hex}"
        server = create_engine(POSTGRESQL_URL, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.url.set(database=name).render_as_string(hide_password=False)
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
