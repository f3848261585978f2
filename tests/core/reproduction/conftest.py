"""The toy plugin and its reproduction, as they would be installed."""

from importlib.metadata import EntryPoint

import pytest

from qecforge.registry import Registry


@pytest.fixture(scope="session")
def registry():
    points = [EntryPoint(name, name, "qecforge") for name in ("toy_plugin", "toy_study")]
    found = Registry.load(points)
    assert not found.broken
    return found


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"
