"""What every executor must do, wherever it carries runs out.

Subclass `ExecutorContract` and give it the fixture `executor`; pytest runs the cases:

    class TestMyExecutor(ExecutorContract):
        outlives_a_process = True           # a run has a process of its own, which may die

        @pytest.fixture
        def executor(self) -> Executor:
            return MyExecutor(workers=2)

Runs are of a plugin in `qecforge.testing.example_plugin`, which is installed for each test in a folder of its own that
`sys.path` and `PYTHONPATH` name. What carries runs out elsewhere must see it there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qecforge.executors import Executor
from qecforge.registry import Registry
from qecforge.testing.executors._failures import FailureCases
from qecforge.testing.executors._records import RecordCases
from qecforge.testing.executors._sharing import SharingCases
from qecforge.testing.executors._stopping import StoppingCases

__all__ = ["ExecutorContract", "install_example"]


def install_example(folder: Path) -> None:
    """Install the suite's plugin in `folder`, as `pip install --target` would; it is there once `sys.path` names it."""
    information = folder / "example_runs-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: example-runs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[qecforge]\nexample_runs = qecforge.testing.example_plugin\n", encoding="utf-8"
    )


class ExecutorContract(RecordCases, FailureCases, StoppingCases, SharingCases):
    """The cases. The fixture `executor` gives the executor, which carries out two runs at a time where it can.

    Attributes:
        outlives_a_process: The process of a run may die without the caller: the cases of that apply.
    """

    outlives_a_process = False

    @pytest.fixture
    def executor(self) -> Executor:
        """The executor; to be overridden."""
        raise NotImplementedError("give the fixture executor what carries out the runs")

    @pytest.fixture
    def registry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
        """The plugins that are installed, the suite's among them."""
        install_example(tmp_path / "plugins")
        monkeypatch.syspath_prepend(tmp_path / "plugins")
        monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
        return Registry.load()

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """For stores."""
        return tmp_path
