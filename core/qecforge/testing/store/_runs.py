"""Cases of the store contract: runs and what they report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store
from qecforge.testing.examples import discovered, distance, example_code, example_run, example_task

__all__ = ["MetricCases", "RunCases"]


class RunCases:
    """Runs are filed once, marked, found, restarted, deleted."""

    def test_a_run_comes_back_as_it_was_filed(self, store: Store, open_store: Callable[[], Store]) -> None:
        before = datetime.now(UTC)
        run = example_run(
            store, "0123456789abcdef", seed=2**40, reward=None, quantizer="rounding", sweep_point={"agent.x": 1e-3}
        )
        assert run.id == "0123456789ab"
        assert (run.status, run.seed, run.reward, run.quantizer) == ("pending", 2**40, None, "rounding")
        assert (run.manifest, run.manifest_source) == ('{"qecforge": 1}', "qecforge: 1\n")
        assert (run.sweep_point, run.provenance) == ({"agent.x": 1e-3}, {"qecforge": "0", "threads": {"torch": 2}})
        assert before - timedelta(seconds=1) < run.created_at < datetime.now(UTC) + timedelta(seconds=1)
        assert (run.started_at, run.ended_at, run.seconds, run.error) == (None, None, None, None)
        assert run.group == "example [agent.x=0.001]"
        with open_store() as again:
            assert again.run(run.id) == run

    def test_a_run_of_the_same_identity_is_the_same_run(self, store: Store) -> None:
        run = example_run(store)
        store.mark_run(run.id, "running")
        assert example_run(store, name="other", seed=5) == store.run(run.id)
        assert len(store.runs()) == 1

    def test_runs_that_share_digits_get_longer_ids(self, store: Store) -> None:
        first = example_run(store, "a" * 12 + "0" * 52)
        second = example_run(store, "a" * 12 + "1" * 52)
        assert (first.id, second.id) == ("a" * 12, "a" * 12 + "1")
        assert store.run("a" * 12) == first

    def test_marks_set_the_times(self, store: Store) -> None:
        run_id = example_run(store).id
        first = store.mark_run(run_id, "running", phase="train")
        assert (first.status, first.phase, first.ended_at) == ("running", "train", None)
        stopped = store.mark_run(run_id, "interrupted", error="Ctrl-C")
        assert (stopped.error, stopped.phase, stopped.started_at) == ("Ctrl-C", "train", first.started_at)
        assert stopped.ended_at is not None
        resumed = store.mark_run(run_id, "running", phase="evaluate")
        assert (resumed.error, resumed.ended_at, resumed.started_at) == (None, None, first.started_at)
        finished = store.mark_run(run_id, "finished")
        assert finished == store.run(run_id)
        assert finished.started_at is not None
        assert finished.ended_at is not None
        assert finished.seconds == (finished.ended_at - finished.started_at).total_seconds() >= 0
        with pytest.raises(ConfigurationError, match="expected one of pending, running"):
            store.mark_run(run_id, "done")  # type: ignore[arg-type]

    def test_runs_are_filtered(self, store: Store) -> None:
        a = example_run(store, "a", name="one", seed=1)
        b = example_run(store, "b", name="two", environment="body", agent="mover", quantizer="rounding", reward=None)
        store.mark_run(b.id, "finished")
        assert [run.id for run in store.runs()] == [b.id, a.id]
        assert [run.id for run in store.runs(limit=1)] == [b.id]
        for filters, expected in (
            ({"name": "one"}, [a.id]),
            ({"seed": 1}, [a.id]),
            ({"environment": "body"}, [b.id]),
            ({"agent": "learner"}, [a.id]),
            ({"reward": "penalty"}, [a.id]),
            ({"quantizer": "rounding"}, [b.id]),
            ({"status": "finished"}, [b.id]),
            ({"status": ["pending", "finished"]}, [b.id, a.id]),
            ({"status": []}, []),
            ({"environment": "body", "agent": "learner"}, []),
        ):
            assert [run.id for run in store.runs(**filters)] == expected, filters
        with pytest.raises(ConfigurationError, match="status: got"):
            store.runs(status="done")  # type: ignore[arg-type]

    def test_runs_are_found_by_unique_prefix(self, store: Store) -> None:
        run = example_run(store, "ab")
        example_run(store, "ac")
        for reference in ("ab", run.id, run.identity, run.identity[:30]):
            assert store.run(reference) == run
        with pytest.raises(StoreError, match="several begin so"):
            store.run("a")
        for unknown in ("f", "", "%", "a_", "abababababac"):
            with pytest.raises(StoreError, match="qecforge runs list"):
                store.run(unknown)

    def test_what_json_cannot_hold_is_refused(self, store: Store) -> None:
        for value in (math.nan, object(), {1, 2}):
            with pytest.raises(ConfigurationError, match="provenance: cannot be kept as JSON"):
                example_run(store, provenance={"value": value})
        assert store.runs() == []

    def test_deleting_a_run_takes_what_only_it_brought(self, store: Store) -> None:
        keeper, goer = example_run(store, "a"), example_run(store, "b")
        shared, own, imported = example_code("five_qubit"), example_code("steane"), example_code("four_qubit")
        for run, code in ((keeper, shared), (goer, shared), (goer, own), (goer, imported)):
            store.add_discovery(run.id, discovered(code), distance(2), wall_time=1.0, proof={})
        store.add_code(imported, distance(2), source="a paper")
        for code in (shared, own):
            store.add_error_counts(code.digest, example_task(code), 0, ErrorCounts(shots=10, errors=1), run_id=goer.id)
        store.add_metrics(goer.id, [("x", 0, 1.0, 0.0)])
        store.add_event(goer.id, "note")
        store.add_policy_evaluation(goer.id, "top1", 0.5)
        only_goers = store.add_artifact(goer.id, "policy", "p", b"goer")
        store.add_artifact(goer.id, "policy", "same", b"both")
        both = store.add_artifact(keeper.id, "policy", "same", b"both")

        assert store.delete_run(goer.id[:3]) == goer
        assert store.runs() == [keeper]
        assert {record.digest for record in store.codes()} == {shared.digest, imported.digest}
        assert [found.run_id for found in store.discoveries()] == [keeper.id]
        assert [(rate.code_id, rate.shots) for rate in store.error_rates()] == [(shared.digest[:12], 10)]
        assert (store.events(), store.policy_evaluations(), store.artifacts()) == ([], [], [both])
        assert store.read_artifact(both) == b"both"
        with pytest.raises(StoreError, match="cannot be read"):
            store.read_artifact(only_goers)

    def test_restarting_a_run_forgets_what_it_brought(self, store: Store) -> None:
        run = example_run(store)
        store.mark_run(run.id, "running", phase="train")
        store.add_metrics(run.id, [("x", 0, 1.0, 0.0)])
        store.add_event(run.id, "note")
        store.add_policy_evaluation(run.id, "top1", 0.5)
        store.add_artifact(run.id, "policy", "p", b"weights")
        store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=1.0, proof={})
        store.mark_run(run.id, "finished")
        assert store.restart_run(run.id) == run
        assert (store.codes(), store.events(), store.artifacts(), store.metric_names(run.id)) == ([], [], [], [])
        store.add_metrics(run.id, [("x", 0, 2.0, 0.0)])
        assert store.metrics(run.id, "x").last == 2.0


class MetricCases:
    """Metrics, evaluations and events; runs compared by them."""

    def test_a_series_is_in_order_of_step(self, store: Store) -> None:
        run = example_run(store)
        store.add_metrics(run.id, [("return", 2**40, -1.5, 9.0), ("return", 0, 1.0, 0.25), ("loss", 0, 3.0, 0.25)])
        store.add_metrics(run.id, [("return", 7, math.inf, 1.0), ("return", 8, math.nan, 2.0)])
        store.add_metrics(run.id, [])
        series = store.metrics(run.id, "return")
        assert (series.run_id, series.name, len(series), series.last) == (run.id, "return", 4, -1.5)
        np.testing.assert_array_equal(series.step, np.array([0, 7, 8, 2**40]))
        np.testing.assert_array_equal(series.value, np.array([1.0, math.inf, math.nan, -1.5]))
        np.testing.assert_array_equal(series.wall_time, np.array([0.25, 1.0, 2.0, 9.0]))
        assert (series.step.dtype, series.value.dtype) == (np.dtype(np.int64), np.dtype(np.float64))
        assert store.metric_names(run.id) == ["loss", "return"]

    def test_an_unknown_series_is_empty(self, store: Store) -> None:
        series = store.metrics(example_run(store).id, "nothing")
        assert len(series) == 0
        assert math.isnan(series.last)

    def test_a_step_written_again_changes_nothing(self, store: Store) -> None:
        run = example_run(store)
        store.add_metrics(run.id, [("x", 1, 1.0, 0.1), ("x", 2, 2.0, 0.2)])
        store.add_metrics(run.id, [("x", 2, 99.0, 9.9), ("x", 3, 3.0, 0.3), ("x", 3, 4.0, 0.4)])
        np.testing.assert_array_equal(store.metrics(run.id, "x").value, [1.0, 2.0, 3.0])

    def test_nothing_is_written_about_an_unknown_run(self, store: Store) -> None:
        for write in (
            lambda: store.add_metrics("f00", [("x", 0, 1.0, 0.0)]),
            lambda: store.add_event("f00", "note"),
            lambda: store.add_policy_evaluation("f00", "x", 1.0),
            lambda: store.add_artifact("f00", "policy", "p", b"weights"),
            lambda: store.add_discovery("f00", discovered(example_code()), distance(3), wall_time=0.0, proof={}),
            lambda: store.restart_run("f00"),
            lambda: store.delete_run("f00"),
        ):
            with pytest.raises(StoreError, match="'f00': there is none of this id"):
                write()
        assert (store.codes(), store.events(), store.artifacts()) == ([], [], [])
        assert [path for path in store.directory.rglob("*") if path.is_file()] == []

    def test_evaluations_and_events_come_back(self, store: Store) -> None:
        run = example_run(store)
        store.add_policy_evaluation(run.id, "top1", 0.25)
        store.add_policy_evaluation(run.id, "top1", 0.75, payload={"states": 10})
        store.add_policy_evaluation(run.id, "latency", {"p50": 1.5, "p99": 4.0})
        latency, top1 = store.policy_evaluations(run.id)
        assert (latency.values, latency.payload) == ({"p50": 1.5, "p99": 4.0}, None)
        assert (top1.values, top1.payload) == ({"top1": 0.75}, {"states": 10})
        store.add_event(run.id, "resumed", {"step": 5})
        store.add_event(run.id, "note")
        store.add_event(run.id, "resumed", {"step": 5})
        assert [(e.kind, e.payload) for e in store.events(run.id)] == [
            ("resumed", {"step": 5}), ("note", {}), ("resumed", {"step": 5}),
        ]  # fmt: skip
        assert [event.kind for event in store.events(kind="note")] == ["note"]

    def test_runs_that_compute_the_same_are_a_group(self, store: Store) -> None:
        """Whatever they are called; others are apart, and their names say by what."""
        forms: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}, {"seed": 1, "x": 1}, {"seed": 1, "y": {"seed": 2}}]
        for number, form in enumerate(forms):
            content = {"agent": {"rate": 0.1, **form.get("y", {})}, "seed": form["seed"], "x": form.get("x", 0)}
            name = "other" if number == 1 else "example"
            run = example_run(store, f"{number:x}", seed=form["seed"], name=name, manifest=json.dumps(content))
            store.add_policy_evaluation(run.id, "best", float(number))
        store.mark_run("0", "finished")
        store.mark_run("1", "interrupted")
        groups = {group.group: group for group in store.compare(["0", "1", "2", "3"], "best")}
        assert {name: len(group.values) for name, group in groups.items()} == {
            "example and other": 2,
            "example [agent.seed=null, x=1]": 1,
            "example [agent.seed=2, x=0]": 1,
        }
        pair = groups["example and other"]
        assert (pair.mean, dict(pair.unfinished), dict(pair.repeated_seeds)) == (0.5, {"1" * 12: "interrupted"}, {})
        assert pair.notes() == [f"example and other: run {'1' * 12} is interrupted"]

    def test_a_seed_that_is_there_twice_is_named(self, store: Store) -> None:
        runs = [example_run(store, f"{i:x}", seed=7, manifest=json.dumps({"seed": 7})) for i in range(2)]
        for run in runs:
            store.add_metrics(run.id, [("best", 0, 1.0, 0.0)])
            store.mark_run(run.id, "finished")
        (both,) = store.compare(runs, "best")
        assert dict(both.repeated_seeds) == {7: (runs[0].id, runs[1].id)}
        assert both.notes() == [f"example: seed 7 is there twice or more: {runs[0].id}, {runs[1].id}"]

    def test_groups_of_runs_are_compared(self, store: Store) -> None:
        runs = [example_run(store, f"{i:x}", seed=i, sweep_point={"agent.lr": [1, 2][i // 3]}) for i in range(5)]
        for run, last in zip(runs, (1.0, 2.0, 6.0, 4.0, None), strict=True):
            store.add_metrics(run.id, [("return", 0, -9.0, 0.0)])
            if last is not None:
                store.add_metrics(run.id, [("best", 0, 50.0, 0.0), ("best", 9, last, 0.0)])
        first, second = store.compare([run.id for run in runs], "best")
        assert (first.group, second.group) == ("example [agent.lr=1]", "example [agent.lr=2]")
        assert dict(first.values) == {runs[0].id: 1.0, runs[1].id: 2.0, runs[2].id: 6.0}
        assert first.mean == 3.0
        assert first.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
        half = 4.302653 * first.std / math.sqrt(3)  # t(0.975) with two degrees of freedom
        assert (first.low, first.high) == pytest.approx((3.0 - half, 3.0 + half))
        assert (second.mean, second.missing) == (4.0, (runs[4].id,))
        assert math.isnan(second.std)
        assert math.isnan(second.low)
        assert store.compare([*runs, runs[0]], "best")[0] == first
        store.add_policy_evaluation(runs[0].id, "top1", 0.5)
        assert store.compare([runs[0].id[:4]], "top1")[0].mean == 0.5
        with pytest.raises(ConfigurationError, match="they have: best, return, top1"):
            store.compare(runs, "wins")
        with pytest.raises(ConfigurationError, match="confidence=2"):
            store.compare(runs, "best", confidence=2)
