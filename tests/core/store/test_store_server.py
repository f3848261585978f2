"""A database server that is killed under many writers: what was acknowledged is there, once, and writers go on."""

import multiprocessing
import time
from functools import partial

import numpy as np
import pytest
from postgresql import PrivateServer, why_not

from qecforge.errors import StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.runs import lock as lock_module
from qecforge.runs.lock import RunLocks
from qecforge.store import Store
from qecforge.testing.store import discovered, distance, example_code, example_run, example_task

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["qecforge.testing.store"])  # once for all writers
WRITERS, KILLS = 16, 3


@pytest.fixture
def server():
    if reason := why_not():
        pytest.skip(reason)
    with PrivateServer() as server:
        yield server


def write(url, files, number, acknowledged, enough):
    """Writes a step after the other, each again until the server has taken it."""
    step, refusals = 0, []
    store = until_it_is_there(lambda: Store(url, artifacts=files), refusals)
    run = until_it_is_there(lambda: example_run(store), refusals)
    while not enough.is_set():
        until_it_is_there(partial(write_step, store, run.id, number, step), refusals)
        acknowledged[number] = step = step + 1
    store.close()
    return refusals


def write_step(store, run_id, number, step):
    """Writes of every kind. After a refusal all are made again: those that the store has change nothing."""
    code = example_code()
    store.add_metrics(run_id, [(f"{axis}{number}", step, float(step), 0.0) for axis in "xyz"])
    found = discovered(code, 100_000 - step, step=step)
    record = store.add_discovery(run_id, found, distance(3), wall_time=0.0, proof={})
    counts = ErrorCounts(shots=10, errors=1)
    store.add_error_counts(record.id, example_task(code), number * 1_000_000 + step, counts)
    store.add_artifact(run_id, "log", f"writer{number}", f"step {step}".encode())


def until_it_is_there(call, refusals):
    deadline = time.monotonic() + 120
    while True:
        try:
            return call()
        except StoreError as error:
            refusals.append(str(error))
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def write_and_report(url, files, number, acknowledged, enough, reports):
    try:
        reports.put((number, None, write(url, files, number, acknowledged, enough)))
    except BaseException as error:
        reports.put((number, repr(error), []))
        raise


def test_sixteen_writers_lose_nothing_when_the_server_is_killed(server, tmp_path):
    acknowledged, enough, reports = SERVER.Array("q", WRITERS), SERVER.Event(), SERVER.Queue()
    shared = (acknowledged, enough, reports)
    writers = [
        SERVER.Process(target=write_and_report, args=(server.url, tmp_path, number, *shared))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for kill in range(KILLS):
        wait_for(
            lambda at=list(acknowledged): all(now > before + 2 for now, before in zip(acknowledged, at, strict=True))
        )
        server.kill()
        time.sleep(0.2 * kill)  # at once, and after a while without one
        server.start()
    wait_for(lambda at=list(acknowledged): all(now > before for now, before in zip(acknowledged, at, strict=True)))
    enough.set()
    ended = {number: (error, refusals) for number, error, refusals in (reports.get() for _ in writers)}
    for writer in writers:
        writer.join()
    assert {error for error, _ in ended.values()} == {None}
    refusals = [line for _, lines in ended.values() for line in lines]
    assert refusals, "the server was gone, and nobody noticed"
    assert all("\n" not in line and line.startswith("postgresql") for line in refusals)
    check(server.url, tmp_path, list(acknowledged))


def check(url, files, steps):
    """Every step of every writer, once."""
    with Store(url, artifacts=files) as store:
        (run,) = store.runs()
        for number, count in enumerate(steps):
            for axis in "xyz":
                np.testing.assert_array_equal(store.metrics(run.id, f"{axis}{number}").step, np.arange(count))
        (record,) = store.codes()
        assert record.gate_count == 100_000 - max(steps) + 1
        (rate,) = store.error_rates()
        assert (rate.shots, rate.errors, rate.chunks) == (10 * sum(steps), sum(steps), sum(steps))
        kept = {artifact.name: store.read_artifact(artifact) for artifact in store.artifacts()}
        assert kept == {f"writer{number}": f"step {count - 1}".encode() for number, count in enumerate(steps)}


def test_a_lock_outlives_the_server(server, tmp_path, monkeypatch):
    """Its holder beats again as soon as the server is back, and nobody has taken the lock meanwhile."""
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.05)
    with Store(server.url, artifacts=tmp_path) as store, RunLocks(store) as locks, RunLocks(store) as others:
        run = example_run(store)
        assert locks.take(run.id) is None
        server.kill()
        time.sleep(0.2)
        server.start()
        before = store.run_locks()[0].beats
        wait_for(lambda: store.run_locks()[0].beats > before)
        assert not locks.has_lost(run.id)
        assert others.take(run.id).certain


def wait_for(happened):
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
