"""Cases of the executor contract: what the store holds afterwards, and what the listener was told."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from qecforge.executors import Executor, ProcessExecutor
from qecforge.registry import Registry
from qecforge.runs.listener import RunListener
from qecforge.testing.executors._example import Told, carry_out, plans_of, record_of, url_of

__all__ = ["RecordCases"]

_ERROR_RATES = (
    "evaluation: {count: {episodes: 4}, logical_error_rate: {noise: depolarizing, p: [0.01], shots: 300, "
    "decoder: bposd}}\n"
)
_QUANTIZER = "quantizer: {plugin: example_rounding}\n"
_SECTIONS = {
    "sweep": f"sweep: {{environment.find_at: [20, 60]}}\n{_ERROR_RATES}",
    "swept_quantizer": f"sweep: {{quantizer.bits: [4, 8]}}\n{_QUANTIZER}",
}


class RecordCases:
    """Records are those of `process`, whatever carries the runs out."""

    @pytest.mark.parametrize("section", _SECTIONS)
    def test_records_are_those_of_one_process(
        self, executor: Executor, registry: Registry, folder: Path, section: str
    ) -> None:
        plans = plans_of(registry, _SECTIONS[section], seeds="[3]")
        ours, theirs = url_of(folder, "ours"), url_of(folder, "process")
        outcomes = carry_out(executor, plans, ours)
        assert [(each.identity, each.status) for each in outcomes] == [(plan.identity, "finished") for plan in plans]
        carry_out(ProcessExecutor(), plans, theirs)
        expected = record_of(theirs)
        assert len(expected) >= len(plans)
        assert all(expected[plan.identity]["row"]["sweep_point"] == plan.sweep_point for plan in plans)
        assert record_of(ours) == expected

    def test_what_happens_is_told_in_this_process_and_in_order(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        plans = plans_of(registry, _ERROR_RATES, seeds="[0, 1]")
        inside, overlap = threading.Lock(), []

        def alone(_name: str, _plan: object) -> None:
            if not inside.acquire(blocking=False):
                overlap.append(_name)
                return
            inside.release()

        told = Told(alone)
        outcomes = carry_out(executor, plans, url_of(folder), told)
        assert told.processes == {os.getpid()}
        assert overlap == []
        for plan, outcome in zip(plans, outcomes, strict=True):
            events = told.of(plan)
            names = [name for name, _ in events]
            assert events[0] == ("on_start", (outcome.run_id, False))
            assert events[-1] == ("on_end", (outcome,))
            assert (names.count("on_start"), names.count("on_end"), names.count("on_code")) == (1, 1, 1)
            assert [arguments for name, arguments in events if name == "on_phase"] == [("train",), ("evaluate",)]
            progress = [arguments for name, arguments in events if name == "on_progress"]
            assert [step for step, *_ in progress] == sorted(step for step, *_ in progress)
            assert progress[-1][:2] == (200, 200)
        # Both find the same code: shots that one has drawn are not drawn by the other.
        assert sum(arguments[1] for name, _, arguments in told.events if name == "on_measure") >= 300

    def test_a_teacher_is_told_of_under_its_own_name(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        (plan,) = plans_of(registry, _QUANTIZER)
        teacher = plan.quantization.teacher if plan.quantization else None
        assert teacher is not None
        assert not isinstance(teacher, str)
        named: dict[str, set[str]] = {}
        told = Told(lambda _name, plan: named.setdefault(plan.identity, set()).add(plan.name))
        carry_out(executor, [plan], url_of(folder), told)
        assert named == {plan.identity: {"example"}, teacher.identity: {"example-teacher"}}
        phases = [
            (identity == teacher.identity, arguments[0])
            for name, identity, arguments in told.events
            if name == "on_phase"
        ]
        assert phases == [
            (False, "teacher"), (True, "train"), (True, "evaluate"), (False, "quantize"), (False, "evaluate"),
        ]  # fmt: skip

    def test_what_is_finished_is_skipped_and_forced_is_begun_anew(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        plans, url = plans_of(registry, seeds="[0, 1]"), url_of(folder)
        assert [each.status for each in carry_out(executor, plans, url)] == ["finished"] * 2
        before = record_of(url)
        told = Told()
        assert [each.status for each in carry_out(executor, plans, url, told)] == ["skipped"] * 2
        assert {name for name, *_ in told.events} == {"on_end"}
        told = Told()
        assert [each.status for each in carry_out(executor, plans, url, told, force=True)] == ["finished"] * 2
        assert [arguments[1] for name, _, arguments in told.events if name == "on_start"] == [False] * 2
        assert record_of(url) == before

    def test_what_is_logged_where_a_run_works_is_logged_here(
        self, executor: Executor, registry: Registry, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "qecforge")
        outcomes = carry_out(executor, plans_of(registry, seeds="[0, 1]"), url_of(folder), checkpoint_seconds=0.0)
        for outcome in outcomes:
            of_run = [each for each in caplog.records if outcome.run_id in each.getMessage()]
            lines = [each.getMessage() for each in of_run if each.name == "qecforge.runs.training"]
            steps = [50 * quarter // 4 * 4 for quarter in range(5)]
            assert {f"run {outcome.run_id}: checkpoint of step {step} saved" for step in steps} <= set(lines)
            assert len(lines) == len(set(lines)), "each once"
        before = len(caplog.records)
        caplog.set_level(logging.WARNING, "qecforge")
        carry_out(executor, plans_of(registry, seeds="[2]"), url_of(folder))
        assert len(caplog.records) == before, "nobody asks for it"

    def test_without_runs_nothing_happens(self, executor: Executor, folder: Path) -> None:
        assert carry_out(executor, [], url_of(folder), RunListener()) == []
