"""A reproduction is carried out: stage after stage, once, whatever fails; then measured, then told."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest
from toy_study import StudyOptions, study

from qecforge import RunListener, Store
from qecforge.contracts import Order, Report
from qecforge.errors import Interrupted, PluginError
from qecforge.reproduction import finished
from qecforge.reproduction.carry_out import carry_out, figures_of, report_of
from qecforge.reproduction.files import tables_of
from qecforge.reproduction.planning import planned_runs


def walks(registry, *overrides, seeds=(0, 1), **options):
    order = Order(options=StudyOptions(**options), seeds=seeds, overrides=overrides)
    return planned_runs(study(), order, registry)


class Told(RunListener):
    def __init__(self):
        self.events = []

    def on_start(self, plan, run_id, resumed):
        self.events.append(("start", plan.environment.config.size, plan.seed))

    def on_end(self, plan, outcome):
        self.events.append((outcome.status, plan.environment.config.size, plan.seed))


def listening(told):
    @contextmanager
    def enter():
        told.events.append("stage")
        yield told

    return enter


def test_stages_follow_each_other_and_the_second_time_nothing_is_run(registry, url):
    planned, told = walks(registry), Told()
    outcomes = carry_out(study(), planned, registry, store_url=url, listening=listening(told))
    assert [outcome.status for outcome in outcomes] == ["finished"] * 4
    starts = [each if each == "stage" else each[1:] for each in told.events if each == "stage" or each[0] == "start"]
    assert starts == ["stage", (5, 0), (5, 1), "stage", (9, 0), (9, 1)]
    with Store(url) as store:
        before = {run.id: run.ended_at for run in store.runs()}
        assert len(before) == 4
        for each, run in finished(store, planned):
            (measured,) = store.policy_evaluations(run.id)
            assert (each.plan.seed, measured.values) == (run.seed, {"kilograms": 1.0})
    again = carry_out(study(), planned, registry, store_url=url)
    assert [outcome.status for outcome in again] == ["skipped"] * 4
    with Store(url) as store:
        assert {run.id: run.ended_at for run in store.runs()} == before


def test_more_seeds_join_those_that_are_there(registry, url):
    carry_out(study(), walks(registry, seeds=(0,)), registry, store_url=url)
    outcomes = carry_out(study(), walks(registry, seeds=(0, 1)), registry, store_url=url)
    assert [outcome.status for outcome in outcomes] == ["skipped", "finished", "skipped", "finished"]


def test_a_run_that_fails_stops_neither_the_others_nor_what_follows(registry, url):
    bad = walks(registry, "agent.fail_at=8", seeds=(0,), sizes=("5",))
    good = walks(registry, seeds=(0,), careful=False)
    outcomes = carry_out(study(), [*bad, *good], registry, store_url=url)
    assert [outcome.status for outcome in outcomes] == ["failed", "finished", "finished"]
    assert "asked to fail at step 8" in outcomes[0].error
    with Store(url) as store:
        assert [run.status for _, run in finished(store, [*bad, *good])] == ["finished", "finished"]
        assert all(store.policy_evaluations(run.id) for _, run in finished(store, good))


def test_what_waited_for_a_failure_is_tried(registry, url):
    outcomes = carry_out(study(), walks(registry, "agent.fail_at=8", seeds=(0,)), registry, store_url=url)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]


def test_an_interruption_ends_it_before_anything_is_measured(registry, url):
    def never(store, planned, registry):
        pytest.fail("measured after an interruption")

    class Stopping(RunListener):
        def on_start(self, plan, run_id, resumed):
            os.kill(os.getpid(), signal.SIGINT)

    planned = walks(registry)
    with pytest.raises(Interrupted, match=r"[12] of 2 runs were interrupted; the same command continues"):
        carry_out(study(measure=never), planned, registry, store_url=url, listening=listening_to(Stopping()))
    assert {outcome.status for outcome in carry_out(study(), planned, registry, store_url=url)} == {"finished"}


def listening_to(listener):
    @contextmanager
    def enter():
        yield listener

    return enter


def test_measuring_is_announced(registry, url):
    entered = []

    @contextmanager
    def measuring():
        entered.append("begins")
        yield
        entered.append("ends")

    carry_out(study(), walks(registry, seeds=(0,), sizes=("5",)), registry, store_url=url, measuring=measuring)
    assert entered == ["begins", "ends"]
    carry_out(
        study(measure=None), walks(registry, seeds=(0,), sizes=("5",)), registry, store_url=url, measuring=measuring
    )
    assert entered == ["begins", "ends"]


def test_a_report_is_of_what_is_finished(registry, url):
    planned = walks(registry, seeds=(0, 1, 2))
    carry_out(study(), [each for each in planned if each.plan.seed < 2], registry, store_url=url)
    with Store(url, read_only=True) as store:
        report = report_of(study(), store, planned)
        rewards = {size: [store.metrics(run.id, "reward").last for each, run in finished(store, planned)
                          if each.size == size] for size in (5, 9)}  # fmt: skip
    tables = tables_of(report)
    assert list(tables) == ["claims", "rewards"]
    assert [row["seeds"] for row in tables["claims"].rows] == [2, 2]
    assert [row["reward"]["mean"] for row in tables["rewards"].rows] == pytest.approx(
        [sum(values) / 2 for values in rewards.values()]
    )
    assert list(figures_of(study(), report)) == ["rewards"]


def test_an_empty_store_has_no_rows(registry, url):
    with Store(url) as store:
        assert tables_of(report_of(study(), store, walks(registry))) == {}


def test_what_a_reproduction_fails_at_is_one_line(registry, url):
    def fails(*_):
        raise KeyError("reward")

    planned = walks(registry, seeds=(0,), sizes=("5",))
    for error, act in (
        ("measured", lambda: carry_out(study(measure=fails), planned, registry, store_url=url)),
        ("made its report", lambda: report_of(study(report=fails), None, planned)),
        ("drew its figures", lambda: figures_of(study(), Report(figures=fails))),
    ):
        with pytest.raises(
            PluginError, match=rf"^reproduction 'study' failed while it {error}: KeyError: 'reward'\. Re"
        ):
            act()
