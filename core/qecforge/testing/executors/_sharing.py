"""Cases of the executor contract: two commands with one manifest and one store."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from qecforge.executors import Executor, ProcessExecutor
from qecforge.registry import Registry
from qecforge.runs.listener import RunOutcome
from qecforge.testing.executors._example import Told, carry_out, record_of, slow_plans, url_of

__all__ = ["SharingCases"]


class SharingCases:
    """A run that another process carries out is put off, waited for, and counted."""

    @pytest.mark.parametrize(("seeds", "force"), [([0], False), ([0, 1], True)])
    def test_two_at_once_end_with_all_runs_finished(
        self, executor: Executor, registry: Registry, folder: Path, force: bool, seeds: list[int]
    ) -> None:
        plans, slow = slow_plans(registry, folder, seeds=str(seeds))
        url = url_of(folder)
        other: list[RunOutcome] = []
        begun = threading.Event()
        theirs = Told(lambda name, _plan: begun.set() if name == "on_progress" else None)
        thread = threading.Thread(
            target=lambda: other.extend(carry_out(ProcessExecutor(), plans, url, theirs, force=force))
        )
        thread.start()
        assert begun.wait(60)
        ours = Told(lambda _name, _plan: slow.unlink(missing_ok=True))
        outcomes = carry_out(executor, plans, url, ours, force=force)
        thread.join()
        assert [each.identity for each in outcomes] == [each.identity for each in other]
        assert {each.status for each in [*outcomes, *other]} <= {"finished", "skipped"}
        assert {each["row"]["status"] for each in record_of(url).values()} == {"finished"}
        assert len(record_of(url)) == len(plans)
        if len(plans) == 1:
            assert [name for name, *_ in ours.events] == ["on_wait", "on_end"]
            assert outcomes[0].status == "skipped"
