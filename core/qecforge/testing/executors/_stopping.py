"""Cases of the executor contract: SIGINT and SIGTERM to the process that called it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from qecforge.executors import Executor, ProcessExecutor
from qecforge.manifest import RunPlan
from qecforge.registry import Registry
from qecforge.testing.executors._example import Told, carry_out, plans_of, record_of, slow_plans, statuses, url_of

__all__ = ["StoppingCases"]


class StoppingCases:
    """A signal saves what works, begins nothing, and the same call goes on."""

    @pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
    def test_a_signal_saves_what_works_and_begins_nothing(
        self, executor: Executor, registry: Registry, folder: Path, number: signal.Signals, times: int
    ) -> None:
        plans, slow = slow_plans(registry, folder, seeds="[0, 1, 2, 3]")
        url = url_of(folder)
        sent: list[int] = []

        def interrupt(name: str, plan: RunPlan) -> None:
            if name == "on_progress" and told.of(plan)[-1][1][0] >= 40 and not sent:
                sent.extend([number] * times)
                for each in sent:
                    os.kill(os.getpid(), each)

        told = Told(interrupt)
        outcomes = carry_out(executor, plans, url, told, checkpoint_seconds=1000.0)
        assert told.stopped.is_set()
        assert [each.identity for each in outcomes] == [plan.identity for plan in plans]
        assert {each.status for each in outcomes} == {"interrupted"}
        begun = {identity for name, identity, _ in told.events if name == "on_start"}
        assert 1 <= len(begun) < len(plans)
        assert set(statuses(url)) == begun
        assert set(statuses(url).values()) == {"interrupted"}
        slow.unlink()
        told = Told()
        assert {each.status for each in carry_out(executor, plans, url, told)} == {"finished"}
        resumed = {identity: arguments for name, identity, arguments in told.events if name == "on_start"}
        assert {identity for identity, (_, again) in resumed.items() if again} <= begun
        assert any(again for _, again in resumed.values())
        undisturbed = url_of(folder, "undisturbed")
        carry_out(ProcessExecutor(), plans, undisturbed)
        for identity, record in record_of(undisturbed).items():
            ours = record_of(url)[identity]
            assert {**ours, "events": None} == {**record, "events": None}

    def test_handlers_of_signals_are_put_back(self, executor: Executor, registry: Registry, folder: Path) -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        carry_out(executor, plans_of(registry), url_of(folder))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
