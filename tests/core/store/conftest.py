import os
import uuid

import pytest
from postgresql import PrivateServer, why_not
from sqlalchemy import create_engine, text


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a PostgreSQL server: the one that QECFORGE_TEST_POSTGRESQL_URL names, else a private one."""
    if url := os.environ.get("QECFORGE_TEST_POSTGRESQL_URL"):
        yield url
        return
    if reason := why_not():
        pytest.skip(reason)
    with PrivateServer() as server:
        yield server.url


@pytest.fixture
def postgresql_url(postgresql):
    """A database of its own for each test, dropped afterwards."""
    name = f"qecforge_test_{uuid.uuid4().hex}"
    server = create_engine(postgresql.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
