"""Cases of the store contract: files, data frames, threads and processes."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store
from qecforge.testing.examples import discovered, distance, example_code, example_run, example_task

__all__ = ["FileCases", "SharingCases"]

_WRITERS = 8
_STEPS_EACH = 25


class FileCases:
    """Files come back as they were, or not at all."""

    def test_a_file_comes_back(self, store: Store, tmp_path: Path) -> None:
        run = example_run(store)
        content = bytes(range(256)) * 9000
        (tmp_path / "weights").write_bytes(content)
        copied = store.add_artifact(run.id, "policy", "copied", tmp_path / "weights")
        given = store.add_artifact(run.id, "policy", "given", content)
        empty = store.add_artifact(run.id, "log", "empty", b"")
        assert store.read_artifact(copied) == store.read_artifact(given) == content
        assert store.read_artifact(empty) == b""
        assert (copied.sha256, copied.size) == (given.sha256, len(content))
        assert store.artifacts(run.id) == [copied, given, empty]
        assert store.artifacts(kind="log") == [empty]
        assert len([path for path in store.directory.rglob("*") if path.is_file()]) == 2
        with pytest.raises(StoreError, match="no such file"):
            store.add_artifact(run.id, "policy", "missing", tmp_path / "missing")

    def test_a_name_written_again_has_the_new_content(self, store: Store) -> None:
        run = example_run(store)
        old = store.add_artifact(run.id, "policy", "p", b"old")
        new = store.add_artifact(run.id, "policy", "p", b"new")
        assert store.add_artifact(run.id, "policy", "p", b"new").sha256 == new.sha256
        assert [store.read_artifact(artifact) for artifact in store.artifacts(run.id)] == [b"new"]
        with pytest.raises(StoreError, match="cannot be read"):
            store.read_artifact(old)

    def test_files_that_belong_together_are_all_there_or_none_is(self, store: Store, tmp_path: Path) -> None:
        run = example_run(store)
        (tmp_path / "weights").write_bytes(b"weights")
        files: dict[str, bytes | Path] = {"weights": tmp_path / "weights", "words": b"words", "same": b"words"}
        kept = store.add_artifacts(run.id, "policy", files)
        assert [(each.name, store.read_artifact(each)) for each in kept] == [
            ("weights", b"weights"),
            ("words", b"words"),
            ("same", b"words"),
        ]
        assert sorted(store.artifacts(run.id), key=lambda each: each.name) == sorted(kept, key=lambda each: each.name)
        for number, missing in enumerate((tmp_path / "missing", tmp_path)):
            with pytest.raises(StoreError, match="no such file"):
                store.add_artifacts(run.id, f"other{number}", {"first": b"first", "second": missing})
        with pytest.raises(StoreError):
            store.add_artifacts("f" * 12, "policy", files)
        assert len(store.artifacts()) == 3
        replaced = store.add_artifacts(run.id, "policy", {"weights": b"new", "words": b"words"})
        assert [store.read_artifact(each) for each in replaced] == [b"new", b"words"]
        with pytest.raises(StoreError, match="cannot be read"):
            store.read_artifact(kept[0])
        assert store.add_artifacts(run.id, "policy", {}) == []

    def test_a_damaged_file_is_refused_and_mended_by_writing_again(self, store: Store) -> None:
        run = example_run(store)
        artifact = store.add_artifact(run.id, "policy", "p", b"weights")
        (path,) = (path for path in store.directory.rglob("*") if path.is_file())
        path.write_bytes(b"weight")
        with pytest.raises(StoreError, match="is damaged"):
            store.read_artifact(artifact)
        store.add_artifact(run.id, "policy", "p", b"weights")
        assert store.read_artifact(artifact) == b"weights"


class SharingCases:
    """One store, used from many places at once."""

    def test_tables_become_data_frames(self, store: Store) -> None:
        pytest.importorskip("pandas")
        run = example_run(store)
        store.add_metrics(run.id, [("x", 1, math.nan, 0.1), ("x", 0, 2.0, 0.0), ("y", 0, 3.0, 0.0)])
        store.add_code(example_code(), distance(3), source="test")
        store.add_error_counts(example_code().digest, example_task(example_code()), 0, ErrorCounts(shots=8, errors=2))
        assert store.frame("runs")["id"].tolist() == [run.id]
        assert store.frame("codes", n=5)["distance"].tolist() == [3]
        assert store.frame("codes", n=6).empty
        np.testing.assert_array_equal(store.frame("metrics", metric="x")["value"], [2.0, math.nan])
        assert store.frame("metrics").columns.tolist() == ["run_id", "name", "step", "value", "wall_time"]
        assert store.frame("error_rates")["rate"].tolist() == [0.25]
        for name in ("discoveries", "policy_evaluations", "artifacts", "events"):
            assert len(store.frame(name)) == 0
        with pytest.raises(ConfigurationError, match="frame: got 'tables', expected one of artifacts, codes"):
            store.frame("tables")

    def test_a_store_is_pickled_by_its_address(self, store: Store) -> None:
        run = example_run(store)
        with pickle.loads(pickle.dumps(store)) as other:  # noqa: S301 (our own bytes)
            assert other.directory == store.directory
            other.mark_run(run.id, "finished")
        assert store.run(run.id).status == "finished"

    def test_a_closed_store_refuses_use(self, open_store: Callable[[], Store]) -> None:
        with open_store() as store:
            pass
        with pytest.raises(StoreError, match="was closed"):
            store.runs()

    def test_threads_share_a_store(self, store: Store) -> None:
        run = example_run(store)

        def write(thread: int) -> None:
            for step in range(_STEPS_EACH):
                store.add_metrics(run.id, [(f"thread{thread}", step, float(step), 0.0)])

        threads = [threading.Thread(target=write, args=(index,)) for index in range(_WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index in range(_WRITERS):
            np.testing.assert_array_equal(store.metrics(run.id, f"thread{index}").step, np.arange(_STEPS_EACH))

    def test_deleting_a_run_never_takes_what_another_is_just_filing(self, store: Store) -> None:
        errors: list[BaseException] = []

        def come_and_go(thread: int) -> None:
            try:
                for index in range(9):
                    run = example_run(store, f"{thread}{index:02x}f")
                    found = discovered(example_code())
                    assert store.add_discovery(run.id, found, distance(3), wall_time=0.0, proof={}).best is not None
                    if index % 3:
                        store.delete_run(run.id)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=come_and_go, args=(index,)) for index in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        (record,) = store.codes()
        assert set(record.run_ids) == {run.id for run in store.runs()}
        assert len(record.run_ids) == 3 * 3

    def test_many_processes_make_and_fill_a_store_at_once(
        self, open_store: Callable[[], Store], store_url: str | Path, tmp_path: Path
    ) -> None:
        is_there = "forkserver" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if is_there else "spawn")
        if is_there:
            context.set_forkserver_preload(["qecforge.testing.store"])  # imported once for all writers
        barrier, errors = context.Barrier(_WRITERS), context.SimpleQueue()
        writers = [
            context.Process(target=_write_much, args=(store_url, tmp_path / "files", index, barrier, errors))
            for index in range(_WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert errors.empty(), errors.get()
        assert [writer.exitcode for writer in writers] == [0] * _WRITERS
        with open_store() as store:
            (run,) = store.runs()
            for index in range(_WRITERS):
                series = store.metrics(run.id, f"process{index}")
                np.testing.assert_array_equal(series.step, np.arange(_STEPS_EACH))
            (record,) = store.codes()
            assert record.gate_count == 10
            (rate,) = store.error_rates()
            assert rate.counts == ErrorCounts(shots=10 * _STEPS_EACH, errors=_STEPS_EACH, seconds=0.0)
            assert len(store.events(run.id)) == _WRITERS
            assert {store.read_artifact(artifact) for artifact in store.artifacts()} == {
                b"shared", *(f"process{index}".encode() for index in range(_WRITERS)),
            }  # fmt: skip


def _write_much(url: str | Path, files: Path, index: int, barrier: Any, errors: Any) -> None:
    """One of the writing processes: all make the store at once, then write rows of their own and the same ones."""
    try:
        barrier.wait()
        with Store(url, artifacts=files) as store:
            run = example_run(store)
            store.add_event(run.id, "joined", {"process": index})
            code, task = example_code(), example_task(example_code())
            for step in range(_STEPS_EACH):
                store.add_metrics(run.id, [(f"process{index}", step, 1.0, 0.0)])
                found = discovered(code, 10 + (step + index) % 5, step=step)
                record = store.add_discovery(run.id, found, distance(3), wall_time=1.0, proof={})
                store.add_error_counts(record.id, task, step, ErrorCounts(shots=10, errors=1))
                for content in ("shared", f"process{index}") if step % 5 == 0 else ():
                    store.add_artifact(run.id, "log", content, content.encode())
    except BaseException as error:
        errors.put(f"process {index}: {error!r}")
        raise
