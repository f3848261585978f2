"""Killed at any instant, or out of disk: the store opens, and what was acknowledged is there."""

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import time

import numpy as np
import pytest
from sqlalchemy import event

from qecforge.errors import StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store
from qecforge.testing.store import discovered, distance, example_code, example_run, example_task

SPAWN = multiprocessing.get_context("spawn")


def write_until_killed(path, first_step, acknowledged):
    """Writes of every kind, a step at a time; each step is reported once the store has accepted all of it."""
    with Store(path) as store:
        run = example_run(store)
        code = example_code()
        acknowledged.send(-1)
        for step in range(first_step, first_step + 100_000):
            store.add_metrics(run.id, [(name, step, float(step), 0.0) for name in ("x", "y", "z")])
            found = discovered(code, 100_000 - step, step=step)
            record = store.add_discovery(run.id, found, distance(3), wall_time=0.0, proof={})
            store.add_error_counts(record.id, example_task(code), step, ErrorCounts(shots=10, errors=1))
            store.add_artifact(run.id, "checkpoint", "latest", f"step {step}".encode())
            acknowledged.send(step)


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_what_was_acknowledged_survives_sigkill(tmp_path, kills):
    path = tmp_path / "results.db"
    last, rng = -1, random.Random(0)
    for _ in range(kills):
        receiver, sender = SPAWN.Pipe(duplex=False)
        writer = SPAWN.Process(target=write_until_killed, args=(path, last + 1, sender))
        writer.start()
        sender.close()
        assert receiver.recv() == -1
        time.sleep(rng.uniform(0.0, 0.3))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        while True:
            try:
                last = max(last, receiver.recv())
            except EOFError:
                break
        receiver.close()
        check_all_up_to(path, last)
    assert last > 0


def check_all_up_to(path, last):
    """Each step that was acknowledged is there; the one after it may be, in part, each transaction whole."""
    with Store(path) as store:
        (run,) = store.runs()
        lengths = {len(store.metrics(run.id, name)) for name in "xyz"}
        assert len(lengths) == 1
        steps = store.metrics(run.id, "x").step
        np.testing.assert_array_equal(steps, np.arange(len(steps)))
        assert len(steps) in (last + 1, last + 2)
        if last < 0:
            return
        (record,) = store.codes()
        assert record.gate_count in (100_000 - last, 100_000 - last - 1)
        (rate,) = store.error_rates()
        assert rate.chunks in (last + 1, last + 2)
        assert (rate.shots, rate.errors) == (10 * rate.chunks, rate.chunks)
        (artifact,) = store.artifacts()
        assert store.read_artifact(artifact) in (f"step {last}".encode(), f"step {last + 1}".encode())
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_full_disk_is_reported_and_nothing_is_half_written(tmp_path):
    path = tmp_path / "results.db"
    names = [f"series{i}" for i in range(50)]
    with Store(path) as store:
        run = example_run(store)
        with store._database.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def write(step):
        store.add_metrics(run.id, [(name, step, 1.0, 0.0) for name in names])

    with Store(path) as store:
        engine = store._database._engine()
        engine.dispose()
        event.listen(engine, "connect", lambda connection, _: connection.execute(f"PRAGMA max_page_count={pages + 8}"))
        with pytest.raises(StoreError, match=r"the disk is full: free space and run again"):  # noqa: PT012
            for step in range(10_000):
                write(step)
        assert step > 0
        assert {len(store.metrics(run.id, name)) for name in names} == {step}
    with Store(path) as store:
        write(step)
        assert {len(store.metrics(run.id, name)) for name in names} == {step + 1}


def fill_up(path, result):
    """With files limited in size, as on a disk with little left."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Store(path) as store:
        run = store.runs()[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        errors = []
        for write in (
            lambda: store.add_artifact(run.id, "policy", "p", bytes(500_000)),
            lambda: [store.add_metrics(run.id, [("x", step, 1.0, 0.0)]) for step in range(10_000)],
        ):
            try:
                write()
            except StoreError as error:
                errors.append(str(error))
        result.put((errors, len(store.metrics(run.id, "x"))))


def test_a_write_that_the_system_refuses_leaves_the_store_whole(tmp_path):
    path = tmp_path / "results.db"
    with Store(path) as store:
        run = example_run(store)
    context = multiprocessing.get_context("fork")
    result = context.SimpleQueue()
    process = context.Process(target=fill_up, args=(path, result))
    process.start()
    (of_file, of_database), written = result.get()
    process.join()
    assert "results.artifacts: cannot be written (File too large): free space" in of_file
    assert "the disk" in of_database
    assert "\n" not in of_file + of_database
    assert written > 0
    with Store(path) as store:
        assert len(store.metrics(run.id, "x")) == written
        assert store.artifacts() == []
        assert [entry for entry in store.directory.rglob("*") if entry.is_file()] == []
        store.add_metrics(run.id, [("x", written, 1.0, 0.0)])


def test_what_killed_writers_left_is_swept_up(tmp_path):
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        store.add_artifact(run.id, "policy", "p", b"old")
        abandoned, in_use = store.directory / ".staged-abandoned", store.directory / ".staged-in-use"
        for path, age in ((abandoned, 100_000), (in_use, 10)):
            path.write_bytes(b"half")
            os.utime(path, (time.time() - age, time.time() - age))
        store.add_artifact(run.id, "policy", "p", b"new")
        assert (abandoned.exists(), in_use.exists()) == (False, True)
        assert [store.read_artifact(artifact) for artifact in store.artifacts()] == [b"new"]


def use_inherited(store, run_id, result):
    store.add_metrics(run_id, [("child", 0, 1.0, 0.0)])
    result.put(len(store.metrics(run_id, "parent")))


def test_a_store_can_be_used_after_a_fork(tmp_path):
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        store.add_metrics(run.id, [("parent", 0, 1.0, 0.0)])
        context = multiprocessing.get_context("fork")
        result = context.SimpleQueue()
        children = [context.Process(target=use_inherited, args=(store, run.id, result)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [result.get() for _ in children] == [1, 1]
        store.add_metrics(run.id, [("parent", 1, 1.0, 0.0)])
        assert (len(store.metrics(run.id, "parent")), len(store.metrics(run.id, "child"))) == (2, 1)


def test_an_in_memory_store_stays_where_it_is():
    with Store("sqlite://") as store:
        run = example_run(store)
        assert store.runs() == [run]
        with pytest.raises(StoreError, match="in-memory store cannot go to another process"):
            store.__reduce__()
        with pytest.raises(StoreError, match="keeps no files"):
            store.add_artifact(run.id, "policy", "p", b"weights")
        store.delete_run(run.id)
        assert store.runs() == []
    with pytest.raises(StoreError, match="begins empty, so there is nothing to read"):
        Store("sqlite://", read_only=True)


def test_a_database_that_stays_locked_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("qecforge.store.engine.BUSY_SECONDS", 0.2)
    path = tmp_path / "results.db"
    with Store(path) as store:
        run = example_run(store)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.runs() == [run]
        with pytest.raises(StoreError, match="another program has kept it locked"):
            store.add_event(run.id, "note")
        other.execute("ROLLBACK")
        other.close()
        store.add_event(run.id, "note")
        assert len(store.events()) == 1
