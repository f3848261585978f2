"""Signals to real commands, as terminals, schedulers and administrators send them; and what they leave behind."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qecforge import Store
from qecforge.testing.executors import install_example

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

SECONDS = 120
"""What a busy machine may take to start a command."""
MANIFEST = """\
qecforge: 1
name: stroll
environment: {plugin: example_stroll}
agent: {plugin: example_stroller, total_steps: 4000, slow_while: slow}
checkpoint: {every_seconds: 1000}
seeds: [0, 1, 2]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory of the commands: runs there are slow as long as the file `slow` is there."""
    install_example(tmp_path / "plugins")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'plugins'}")
    (tmp_path / "stroll.yaml").write_text(MANIFEST)
    (tmp_path / "slow").touch()
    return tmp_path


class Command:
    """`qecforge run stroll.yaml` in a process group of its own, with all that it started."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        command = [sys.executable, "-m", "qecforge", "run", "stroll.yaml", *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self.process.pid

    def group(self):
        """Processes of the group that are there."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, state, group = stat_of(path)
            except OSError:
                continue
            if group == self.pid and state != "Z":
                found.append(pid)
        return found

    def children(self):
        """All but the command itself."""
        return sorted(set(self.group()) - {self.pid})

    def end(self, code):
        """Wait for the command's end. Gives what it said."""
        _, errors = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == code, errors
        assert "Traceback" not in errors
        return errors.splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.communicate()


def stat_of(path):
    """Id, state and group of a process."""
    name, _, rest = path.read_text().rpartition(")")
    state, _, group = rest.split()[:3]
    return int(name.split()[0]), state, int(group)


def wait_until(happened, what):
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def runs(folder):
    try:
        with Store(folder / "results.db", read_only=True) as store:
            return {run.seed: run for run in store.runs()}
    except Exception:  # it is not made yet
        return {}


def trains(folder, *seeds):
    """Whether these runs are past their first steps."""
    found = runs(folder)
    if not all(seed in found for seed in seeds):
        return False
    with Store(folder / "results.db", read_only=True) as store:
        return all(found[seed].status == "running" and store.metric_names(found[seed].id) for seed in seeds)


def finish(folder, *arguments):
    """The same command once more, without the pauses. Gives what it said."""
    (folder / "slow").unlink()
    with Command(folder, *arguments) as command:
        said = command.end(0)
    assert {run.status for run in runs(folder).values()} == {"finished"}
    return said


LOCAL = ("--executor", "local", "--workers", "2")
HANGS = tuple(
    word
    for value in ("agent.mishap=hang", "agent.mishap_at=40", "seeds=[0]", "checkpoint.every_seconds=0.001")
    for word in ("--set", value)
)


def saved(folder):
    return list(folder.glob("results.artifacts/checkpoints/*/training.ckpt"))


@pytest.mark.parametrize("to_group", [True, False])
def test_sigterm_saves_what_works_and_begins_nothing(folder, to_group):
    with Command(folder, *LOCAL) as command:
        wait_until(lambda: trains(folder, 0, 1), "two runs")
        (os.killpg if to_group else os.kill)(command.pid, signal.SIGTERM)
        said = command.end(130)
        assert command.group() == []
    assert any(line.startswith("stopping: ") for line in said)
    assert {seed: run.status for seed, run in runs(folder).items()} == {0: "interrupted", 1: "interrupted"}
    assert sum("its state is saved" in line for line in said) == 2
    assert sum("continues from its checkpoint" in line for line in finish(folder, *LOCAL)) == 2


def test_sigterm_to_one_process_interrupts_its_run_alone(folder):
    with Command(folder, *LOCAL) as command:
        wait_until(lambda: trains(folder, 0, 1), "two runs")
        os.kill(command.children()[0], signal.SIGTERM)
        wait_until(lambda: "interrupted" in [run.status for run in runs(folder).values()], "the interruption")
        (folder / "slow").unlink()
        said = command.end(130)
    assert sorted(run.status for run in runs(folder).values()) == ["finished", "finished", "interrupted"]
    assert said[-1].startswith("1 of 3 runs were interrupted")
    (folder / "slow").touch()
    finish(folder, *LOCAL)


def test_a_killed_process_is_one_failed_run_and_one_line(folder):
    with Command(folder, *LOCAL) as command:
        wait_until(lambda: trains(folder, 0, 1), "two runs")
        os.kill(command.children()[0], signal.SIGKILL)
        (folder / "slow").unlink()
        said = command.end(1)
    statuses = [run.status for run in runs(folder).values()]
    assert sorted(statuses) == ["failed", "finished", "finished"]
    (run,) = (run for run in runs(folder).values() if run.status == "failed")
    lost = f"run {run.id}: its process was ended by SIGKILL (out of memory?); the same command goes on from step 0"
    (failed,) = (line for line in said if "failed: " in line and "runs failed" not in line)
    assert failed.endswith(f": failed: {lost}")
    assert said[-1] == f"1 of 3 runs failed: {lost}"
    (folder / "slow").touch()
    finish(folder, *LOCAL)


def test_where_the_parent_is_killed_runs_save_and_end_and_the_same_command_goes_on_at_once(folder):
    with Command(folder, *LOCAL) as first:
        wait_until(lambda: trains(folder, 0, 1), "two runs")
        os.kill(first.pid, signal.SIGKILL)
        killed = time.monotonic()
        said = finish(folder, *LOCAL)
        assert first.group() == []
        assert time.monotonic() - killed < SECONDS
    assert sum("continues from its checkpoint" in line for line in said) == 2


def test_where_the_parent_is_killed_nothing_is_there_ten_seconds_later(folder):
    with Command(folder, *LOCAL) as command:
        wait_until(lambda: trains(folder, 0, 1), "two runs")
        os.kill(command.pid, signal.SIGKILL)
        killed = time.monotonic()
        while command.children():
            assert time.monotonic() < killed + 10, command.children()
            time.sleep(0.05)
    assert sorted(run.status for run in runs(folder).values()) == ["interrupted", "interrupted"]


def test_a_run_whose_process_is_gone_is_shown_as_interrupted(folder):
    with Command(folder, "--set", "seeds=[0]") as command:
        wait_until(lambda: trains(folder, 0), "the run")
        os.kill(command.pid, signal.SIGKILL)
        command.process.wait()
    with Store(folder / "results.db", read_only=True) as store:
        (run,) = store.runs()
        assert (run.status, run.error) == ("interrupted", "its process is gone; running its manifest again resumes it")
        assert store.run(run.id) == run
        assert store.runs(status="interrupted") == [run]
        assert store.runs(status="running") == []
    shown = subprocess.run(
        [sys.executable, "-m", "qecforge", "runs", "list"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "interrupted" in shown.stdout
    assert "running" not in shown.stdout
    finish(folder, "--set", "seeds=[0]")


def test_where_c_code_ends_the_command_its_run_is_shown_as_interrupted(folder):
    with Command(folder, "--set", "seeds=[0]", "--set", "agent.mishap=vanish") as command:
        command.end(0)
    assert runs(folder)[0].status == "interrupted"


def test_a_run_that_hangs_does_not_outlive_its_parent(folder):
    with Command(folder, *LOCAL, *HANGS) as command:
        wait_until(lambda: saved(folder), "the checkpoint")
        time.sleep(3)  # and the tenth step, in which it hangs
        os.kill(command.pid, signal.SIGKILL)
        killed = time.monotonic()
        while command.children():
            assert time.monotonic() < killed + 10, command.children()
            time.sleep(0.05)


@pytest.mark.parametrize("arguments", [(), LOCAL])
def test_who_asks_three_times_is_told_from_which_step_it_goes_on(folder, arguments):
    with Command(folder, *arguments, *HANGS) as command:
        wait_until(lambda: saved(folder), "the checkpoint")
        time.sleep(3)  # and the tenth step, in which it hangs
        os.killpg(command.pid, signal.SIGINT)
        time.sleep(5.5)
        assert command.process.poll() is None
        os.killpg(command.pid, signal.SIGINT)
        time.sleep(0.1)
        os.killpg(command.pid, signal.SIGINT)
        said = command.end(130)
        assert command.group() == []
    assert any("ended without saving its state; the same command goes on from step 36" in line for line in said)
    assert runs(folder)[0].status == "interrupted"


def test_a_stopped_force_names_the_command_that_goes_on(folder):
    with Command(folder, "--force", "--set", "seeds=[0]") as command:
        wait_until(lambda: trains(folder, 0), "the run")
        os.kill(command.pid, signal.SIGINT)
        said = command.end(130)
    words = shlex.split(said[-1].partition("`")[2].partition("`")[0])
    assert words == ["qecforge", "run", "stroll.yaml", "--set", "seeds=[0]"]
    assert not any("same command" in line for line in said)
    assert any(f"its state is saved; `{shlex.join(words)}` (without --force) resumes it" in line for line in said)
    assert any("continues from its checkpoint" in line for line in finish(folder, *words[3:]))


def test_a_second_signal_right_after_the_first_changes_nothing(folder):
    with Command(folder, "--set", "seeds=[0]") as command:
        wait_until(lambda: trains(folder, 0), "the run")
        os.killpg(command.pid, signal.SIGINT)
        time.sleep(0.02)
        os.killpg(command.pid, signal.SIGINT)
        said = command.end(130)
    assert any("its state is saved" in line for line in said)
    assert any("continues from its checkpoint" in line for line in finish(folder, "--set", "seeds=[0]"))
