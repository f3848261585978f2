"""Who may carry a run out: one process at a time, and whoever comes after one that is gone."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import Interrupted, UserError
from qecforge.machine.processes import is_running, this_process
from qecforge.runs import lock as lock_module
from qecforge.runs.execute import execute
from qecforge.runs.lock import RunLocks, alone, is_held
from qecforge.store import _runs
from qecforge.testing.examples import example_run

HOLD = """\
import sys, time
from qecforge.runs.lock import RunLocks
from qecforge.store import Store
with Store(sys.argv[1]) as store, RunLocks(store) as locks:
    print(locks.take(sys.argv[2]), flush=True)
    time.sleep(600)
"""
WALK = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
seeds: [5]
"""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as store:
        yield store


@pytest.fixture
def run_id(store):
    return example_run(store).id


@pytest.fixture
def holder(store, run_id):
    command = [sys.executable, "-c", HOLD, store.url, run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "None\n"
        yield process
        process.kill()


def never():
    return False


def elsewhere():
    """A process of another machine, whose presence nobody here can see."""
    return replace(this_process(), host="node17", space="another machine")


def test_a_lock_that_a_process_holds_is_refused_with_its_name(store, run_id, holder):
    with RunLocks(store) as locks:
        taken = locks.take(run_id)
        assert (taken.certain, taken.by.pid) == (True, holder.pid)
        (lock,) = store.run_locks()
        assert is_held(lock)
        with pytest.raises(UserError, match=rf"run {run_id} is being carried out by another process \(process"):
            alone(locks, run_id, never).__enter__()


@pytest.mark.parametrize("reaped", [False, True])
def test_a_lock_of_a_killed_process_is_free_at_once(store, run_id, holder, reaped):
    """Also while its parent has not yet noticed that it ended."""
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    if reaped:
        holder.wait()
    (lock,) = store.run_locks()
    assert not is_held(lock)
    with RunLocks(store) as locks:
        assert locks.take(run_id) is None
    assert store.run_locks() == []


def test_another_process_with_the_number_of_one_that_is_gone_holds_nothing(store, run_id, holder):
    (lock,) = store.run_locks()
    assert is_running(lock.process)
    assert not is_running(replace(lock.process, started=lock.process.started - 1))


def test_a_lock_that_this_process_left_behind_is_free(store, run_id):
    store.take_run_lock(run_id, "left behind", this_process())
    assert not is_held(store.run_locks()[0])
    with RunLocks(store) as locks:
        assert locks.take(run_id) is None
        assert is_held(store.run_locks()[0])


def test_threads_of_one_process_do_not_share_a_lock(store, run_id):
    with RunLocks(store) as first, RunLocks(store) as second:
        assert first.take(run_id) is None
        assert second.take(run_id).certain
        assert first.take(run_id).certain, "taken twice by one is still taken"
        first.release(run_id)
        assert second.take(run_id) is None


def test_of_another_machine_the_beats_are_watched(store, run_id, monkeypatch):
    monkeypatch.setattr(lock_module, "GONE_SECONDS", 0.3)
    store.take_run_lock(run_id, "other", elsewhere())
    with RunLocks(store) as locks:
        assert not locks.take(run_id).certain
        store.beat_run_locks("other")
        assert locks.take(run_id).certain, "it beats: it is there"
        with pytest.raises(UserError, match=r"process .* on node17"):
            beat_and_take(store, locks, run_id)
        started = time.monotonic()
        with alone(locks, run_id, never):
            assert time.monotonic() - started >= 0.3
            assert store.beat_run_locks("other") == set()


def beat_and_take(store, locks, run_id):
    store.beat_run_locks("other")
    with alone(locks, run_id, never):
        pass


def test_waiting_for_a_lock_ends_where_the_run_is_cancelled(store, run_id):
    store.take_run_lock(run_id, "other", elsewhere())
    with RunLocks(store) as locks, pytest.raises(Interrupted, match=r"stopped while process .* on node17 carries out"):
        alone(locks, run_id, lambda: True, wait=True).__enter__()


def test_a_holder_beats_and_notices_that_its_lock_was_taken(store, run_id, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.02)
    with RunLocks(store) as locks:
        locks.take(run_id)
        wait_for(lambda: store.run_locks()[0].beats > 2)
        assert not locks.has_lost(run_id)
        replaced = False
        while not replaced:  # between two beats
            (lock,) = store.run_locks()
            replaced = store.take_run_lock(run_id, "other", elsewhere(), instead_of=lock).token == "other"
        wait_for(lambda: locks.has_lost(run_id))
    assert [lock.token for lock in store.run_locks()] == ["other"], "what is another's is not given back"


def wait_for(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_whose_lock_was_taken_ends_and_writes_no_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.02)
    registry = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    (plan,) = load_manifest(WALK, registry=registry).runs()
    url = f"sqlite:///{tmp_path}/results.db"

    class Suspended(RunListener):
        checkpoint = None

        def on_progress(self, plan, step, total, metrics):
            if step < 200 or self.checkpoint is not None:
                return
            with Store(url) as store:
                while not any(lock.token == "other" for lock in store.run_locks()):
                    (lock,) = store.run_locks()
                    store.take_run_lock(lock.run_id, "other", elsewhere(), instead_of=lock)
                self.checkpoint = sorted(store.directory.rglob("*"))
            time.sleep(1.0)  # by now it has noticed

    listener = Suspended()
    outcome = execute(plan, RunOptions(url), listener)
    assert outcome.status == "interrupted"
    assert "was taken over by another process" in outcome.error
    with Store(url) as store:
        assert sorted(store.directory.rglob("*")) == listener.checkpoint
        assert store.runs()[0].status == "running", "it is: elsewhere"


def test_a_run_leaves_no_lock_behind(tmp_path):
    registry = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    (plan,) = load_manifest(WALK, registry=registry).runs()
    url = f"sqlite:///{tmp_path}/results.db"
    old = tmp_path / "results.artifacts" / "checkpoints" / f"{plan.identity[:12]}.lock"
    old.parent.mkdir(parents=True)
    old.touch()
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    assert list(old.parent.iterdir()) == [], "nor a file that an older version has left"
    with Store(url) as store:
        assert store.run_locks() == []
    assert not any(thread.name == "run locks" for thread in threading.enumerate())


def test_beats_file_what_a_run_took_so_far(store, run_id, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.02)
    finished = example_run(store, "b").id
    store.mark_run(run_id, "running", spent=1000.0)
    store.mark_run(finished, "finished", spent=7.0)
    with RunLocks(store) as locks:
        for each in (run_id, finished):
            assert locks.take(each) is None
            locks.keep_time(each, 1000.0)
        wait_for(lambda: store.run(run_id).seconds > 1000.1)
        assert store.run(finished).seconds == 7.0, "it has ended"
    assert store.run(run_id).seconds > 1000.1


def test_a_killed_run_has_taken_what_it_took(tmp_path, monkeypatch):
    """With no checkpoint on the way."""
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.02)
    registry = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    (plan,) = load_manifest(WALK, registry=registry).runs()
    url = f"sqlite:///{tmp_path}/results.db"

    class Watching(RunListener):
        first = None

        def on_progress(self, plan, step, total, metrics):
            if self.first is None:
                with Store(url, read_only=True) as store:
                    self.first = store.runs()[0].seconds
                    wait_for(lambda: store.runs()[0].seconds > self.first + 0.2)

    listener = Watching()
    assert execute(plan, RunOptions(url, checkpoint_seconds=1e9), listener).status == "finished"
    assert listener.first is not None


def test_a_run_of_before_there_were_locks_is_interrupted(store, run_id, monkeypatch):
    store.mark_run(run_id, "running")
    assert store.run(run_id).status == "running", "its lock may be taken just now"
    monkeypatch.setattr(_runs, "UNLOCKED_SECONDS", 0.0)
    run = store.run(run_id)
    assert (run.status, run.error) == ("interrupted", "its process is gone; running its manifest again resumes it")
    assert store.runs(status="interrupted") == store.runs() == [run]
    with RunLocks(store) as locks:
        assert locks.take(run_id) is None
        assert store.run(run_id).status == "running"
