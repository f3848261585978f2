"""Executors as the command line uses them, and Ctrl-C as a terminal sends it: to every process at once."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context

import pytest

from qecforge import Store
from qecforge.executors import EXECUTORS, Executor, make_executor
from qecforge.machine.signals import children_ignore_sigint

MANIFEST = """\
qecforge: 1
name: five
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3, max_gates: 16, gates: [h, s, cx]}
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, total_steps: 2000, num_envs: 16}
seeds: [0, 1]
checkpoint: {every_seconds: 0.5}
"""
ERROR_RATES = """\
evaluation: {logical_error_rate: {noise: depolarizing, p: [0.001], shots: 1_000_000_000}}
budget: {stop_at_first_code: true}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "five.yaml").write_text(MANIFEST)
    return tmp_path


@contextmanager
def start(folder, *arguments):
    """In a group of its own, of which nothing is left where the test fails."""
    command = [sys.executable, "-m", "qecforge", "run", "five.yaml", *arguments]
    options = {"cwd": folder, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def runs(folder):
    with Store(folder / "results.db", read_only=True) as store:
        return {run.seed: run for run in store.runs()}


def wait_for(happened, process):
    end = time.monotonic() + 240
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)


def interrupt(process, times, number=signal.SIGINT):
    """A signal to the whole group. Returns stderr once all have ended; none is left behind."""
    for _ in range(times):
        os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_of_the_table_can_be_made(name):
    assert isinstance(make_executor(name), Executor)
    assert make_executor(name, 3) is not make_executor(name, 3)
    assert EXECUTORS[name].summary


def test_workers_are_runs_at_a_time_where_several_are_carried_out():
    assert {name for name, kind in EXECUTORS.items() if kind.parallel} == {"local", "ray"}
    assert make_executor("local", 3).workers == make_executor("ray", 3).workers == 3


def test_local_carries_out_each_seed_and_skips_what_is_finished(folder):
    for words in ("finished in", "was finished before"):
        with start(folder, "--executor", "local", "--workers", "2") as process:
            errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
        assert all(f"five seed {seed}: {words}" in errors.replace(f"run {seed}", "") for seed in (0, 1))
        assert {seed: run.status for seed, run in runs(folder).items()} == {0: "finished", 1: "finished"}


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_local_saves_and_ends_at_ctrl_c_however_often_it_is_pressed(folder, times):
    long = ["--executor", "local", "--set", "agent.total_steps=100_000_000", "--set", "seeds=[0]"]
    with start(folder, *long) as process:
        wait_for(lambda: list(folder.glob("*.artifacts/checkpoints/*/training.ckpt")), process)
        interrupt(process, times)
    assert {seed: run.status for seed, run in runs(folder).items()} == {0: "interrupted"}
    with start(folder, *long) as process:
        assert "continues from its checkpoint" in process.stderr.readline()
        interrupt(process, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_to_processes_that_sample_leaves_the_run_resumable(folder, number):
    (folder / "five.yaml").write_text(MANIFEST.replace("2000", "1_000_000") + ERROR_RATES)
    with start(folder, "--workers", "2", "--set", "seeds=[0]") as process:
        wait_for(lambda: "multiprocessing.spawn" in children(process), process)
        interrupt(process, 1, number)
    (run,) = runs(folder).values()
    assert (run.status, run.phase) == ("interrupted", "evaluate")


def test_processes_that_sample_do_not_outlive_their_parent(folder):
    (folder / "five.yaml").write_text(MANIFEST.replace("2000", "1_000_000") + ERROR_RATES)
    with start(folder, "--workers", "2", "--set", "seeds=[0]") as process:
        wait_for(lambda: "multiprocessing.spawn" in children(process), process)
        process.kill()
        process.wait()
        end = time.monotonic() + 60
        while members(process.pid):
            assert time.monotonic() < end, members(process.pid)
            time.sleep(0.1)


def members(group):
    """Command lines of what is left of a process group; those that have ended are not."""
    listed = subprocess.run(["ps", "-ww", "-e", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return [arguments for number, state, arguments in rows if int(number) == group and state[0] != "Z"]


def children(process):
    """Command lines of what `process` has started; its own threads aside."""
    listed = subprocess.run(
        ["ps", "-ww", "--ppid", str(process.pid), "-o", "args="], capture_output=True, text=True, check=False
    )
    return "\n".join(line for line in listed.stdout.splitlines() if "spawn_main" in line)


def blocked():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_children_ignore_sigint_from_their_first_instruction_and_the_parent_is_not():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with children_ignore_sigint():
            assert blocked()
            inside = pool.submit(blocked)
        assert not blocked()
        assert inside.result()


FIRST_CHILD = """
import multiprocessing, signal
from qecforge.machine.signals import children_ignore_sigint

def tell(pipe):
    pipe.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=tell, args=(theirs,))
    with children_ignore_sigint():
        child.start()
    print(ours.recv())
"""


def test_the_first_child_of_a_process_ignores_sigint_too(tmp_path):
    """`multiprocessing` starts its tracker of resources with it, and unblocks the signal as it does."""
    (tmp_path / "first.py").write_text(FIRST_CHILD)
    done = subprocess.run([sys.executable, "first.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True\n", "")
