"""One sandbox for the tests of a module."""

import pytest

from qecforge.sandbox import Sandbox, SandboxConfig, Tier


@pytest.fixture(scope="module")
def sandbox():
    tiers = (Tier("small", ("numpy",)), Tier("large", ("numpy", "decimal", "fractions")))
    with Sandbox(SandboxConfig(cells=2, tiers=tiers)) as made:
        yield made
