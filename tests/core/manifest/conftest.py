from __future__ import annotations

import pytest
from manifest_fakes import science_registry

from qecforge.registry import Registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    return science_registry()
