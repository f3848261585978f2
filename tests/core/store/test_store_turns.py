"""Writers of an SQLite file come in the order in which they ask; who dies or sleeps in the queue holds up nobody."""

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time

import numpy as np
import pytest

from qecforge.errors import StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store, _turns
from qecforge.store._turns import Turns
from qecforge.testing.store import discovered, distance, example_code, example_run, example_task

FORK = multiprocessing.get_context("fork")
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["qecforge.testing.store"])  # once for all writers
WRITERS, KILLS = 16, 8
pytestmark = pytest.mark.skipif(_turns._SET is None, reason="no locks of open files on this system")


@pytest.fixture
def turns(tmp_path):
    return Turns(tmp_path / "results.db-turns")


def wait_for(happened):
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def standing(turns):
    """How many are in the queue, the one whose turn it is included."""
    descriptor = os.open(turns._path, os.O_RDWR)
    found = _turns._ahead(descriptor, 0, 1 << 62)
    os.close(descriptor)
    return 0 if found is None else found[1]


def test_turns_are_in_the_order_of_asking(turns):
    order = []

    def ask(name):
        with turns.turn(120):
            order.append(name)

    waiting = []
    with turns.turn(120):
        for name in range(12):
            waiting.append(threading.Thread(target=ask, args=(name,)))
            waiting[-1].start()
            wait_for(lambda expected=name + 2: standing(turns) == expected)
        assert order == []
    for thread in waiting:
        thread.join()
    assert order == list(range(12))
    assert standing(turns) == 0


def stand(turns, inside):
    with turns.turn(120):
        inside.set()
        time.sleep(600)


@pytest.fixture
def holder(turns):
    """A process whose turn it is, and stays."""
    inside = FORK.Event()
    process = FORK.Process(target=stand, args=(turns, inside), daemon=True)
    process.start()
    assert inside.wait(120)
    yield process
    process.kill()
    process.join()


def test_the_turn_of_a_process_that_is_killed_is_over(turns, holder, monkeypatch):
    monkeypatch.setattr(_turns, "PATIENCE", 600.0)
    entered, left = threading.Event(), []

    def ask():
        with turns.turn(60):
            left.append(standing(turns))
            entered.set()

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: standing(turns) == 2)
    assert not entered.is_set()
    holder.kill()
    thread.join()
    assert left == [1]


def test_a_process_that_is_suspended_in_the_queue_is_passed_once(turns, holder, monkeypatch):
    os.kill(holder.pid, signal.SIGSTOP)
    monkeypatch.setattr(_turns, "PATIENCE", 0.05)
    with turns.turn(600):
        assert standing(turns) == 2
    monkeypatch.setattr(_turns, "PATIENCE", 600.0)
    with turns.turn(600):  # it is known by now
        assert standing(turns) == 2


def fork_and_stand(turns, inside):
    with turns.turn(120):
        if (child := os.fork()) != 0:
            inside.send(child)
        time.sleep(600)


def test_a_fork_keeps_no_turn(turns, monkeypatch):
    """Of a process that was killed; the fork's copy of the open file would keep the lock."""
    monkeypatch.setattr(_turns, "PATIENCE", 600.0)
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=fork_and_stand, args=(turns, sender))
    process.start()
    child = receiver.recv()
    process.kill()
    process.join()
    try:
        with turns.turn(30):
            assert standing(turns) == 1
            os.kill(child, 0)  # it is there
    finally:
        os.kill(child, signal.SIGKILL)


def test_without_a_queue_writers_write(tmp_path):
    path = tmp_path / "results.db"
    (tmp_path / "results.db-turns").mkdir()
    with Store(path) as store:
        run = example_run(store)
        store.add_metrics(run.id, [("x", 0, 1.0, 0.0)])
        assert store.metrics(run.id, "x").value.tolist() == [1.0]
    assert (tmp_path / "results.db-turns").is_dir()


def test_the_queue_does_not_outlive_its_store(tmp_path):
    path = tmp_path / "results.db"
    with Store(path) as store, Store(path) as other:
        example_run(store)
        example_run(other)
        assert (tmp_path / "results.db-turns").stat().st_size == 0
    assert [each.name for each in tmp_path.iterdir()] == ["results.db"]
    with Store(path, read_only=True) as store:
        store.runs()
        assert not (tmp_path / "results.db-turns").exists()


def test_a_link_in_place_of_the_queue_is_not_followed(tmp_path):
    (tmp_path / "results.db-turns").symlink_to(tmp_path / "elsewhere")
    with Store(tmp_path / "results.db") as store:
        example_run(store)
    assert not (tmp_path / "elsewhere").exists()


def test_a_writer_that_holds_the_database_without_the_queue_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("qecforge.store.engine.BUSY_SECONDS", 0.2)
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        other = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program has kept it locked"):
            store.add_event(run.id, "note")
        other.execute("ROLLBACK")
        other.close()
        store.add_event(run.id, "note")


def write(path, number, first, acknowledged, enough):
    """Writes of every kind, a step after the other, until it is killed or enough is written."""
    code = example_code()
    with Store(path) as store:
        run = example_run(store)
        step = first
        while not enough[0]:
            store.add_metrics(run.id, [(f"{axis}{number}", step, float(step), 0.0) for axis in "xyz"])
            found = discovered(code, 100_000 - step, step=step)
            record = store.add_discovery(run.id, found, distance(3), wall_time=0.0, proof={})
            counts = ErrorCounts(shots=10, errors=1)
            store.add_error_counts(record.id, example_task(code), number * 1_000_000 + step, counts)
            acknowledged[number] = step = step + 1


def test_sixteen_writers_lose_and_double_nothing_though_some_are_killed(tmp_path):
    path = tmp_path / "results.db"
    # Without locks: a writer that is killed while it holds one would stop all others, as with an Event.
    acknowledged, enough = SERVER.Array("q", WRITERS, lock=False), SERVER.Array("b", 1, lock=False)

    def begun(number):
        arguments = (path, number, acknowledged[number], acknowledged, enough)
        process = SERVER.Process(target=write, args=arguments)
        process.start()
        return process

    writers, rng = [begun(number) for number in range(WRITERS)], random.Random(0)
    for _ in range(KILLS):
        number, before = rng.randrange(WRITERS), list(acknowledged)
        wait_for(lambda number=number, before=before: acknowledged[number] > before[number])
        writers[number].kill()
        writers[number].join()
        writers[number] = begun(number)
    before = list(acknowledged)
    wait_for(lambda: all(now > then for now, then in zip(acknowledged, before, strict=True)))
    enough[0] = 1
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    with Store(path) as store:
        (run,) = store.runs()
        for number, count in enumerate(acknowledged):
            for axis in "xyz":
                np.testing.assert_array_equal(store.metrics(run.id, f"{axis}{number}").step, np.arange(count))
        (record,) = store.codes()
        assert record.gate_count == 100_000 - max(acknowledged) + 1
        (rate,) = store.error_rates()
        assert (rate.shots, rate.errors, rate.chunks) == (10 * sum(acknowledged), sum(acknowledged), sum(acknowledged))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
