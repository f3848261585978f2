"""The contract of executors, for those that come with the core."""

import pytest

from qecforge.executors import LocalExecutor, ProcessExecutor
from qecforge.testing.executors import ExecutorContract


class TestProcessExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return ProcessExecutor()


class TestLocalExecutor(ExecutorContract):
    outlives_a_process = True

    @pytest.fixture
    def executor(self):
        return LocalExecutor(workers=2)
