"""One sandbox for all tests: a cell takes seconds to import Qiskit, and a program milliseconds."""

from dataclasses import replace

import pytest

from qecforge.sandbox import Sandbox
from qecforge_qiskit_tasks import judging, replaying


class SharedSandbox(Sandbox):
    """Stays when one of those that use it closes it."""

    def close(self):
        """Nothing; `end` does it."""

    def end(self):
        """Its processes."""
        super().close()


@pytest.fixture(scope="session", autouse=True)
def _shared_sandboxes():
    made = {}

    def shared(config):
        """With one cell, whatever is asked for: tests of core run several at once."""
        alone = replace(config, cells=1)
        if repr(alone) not in made:
            made[repr(alone)] = SharedSandbox(alone)
        return made[repr(alone)]

    with pytest.MonkeyPatch.context() as patch:
        for module in (judging, replaying):
            patch.setattr(module, "Sandbox", shared)
        yield
    for sandbox in made.values():
        sandbox.end()


@pytest.fixture
def own_sandboxes(monkeypatch):
    """For tests in which none can be made, or of what becomes of one."""
    for module in (judging, replaying):
        monkeypatch.setattr(module, "Sandbox", Sandbox)
