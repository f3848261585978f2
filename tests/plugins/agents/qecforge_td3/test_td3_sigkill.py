"""A training killed by SIGKILL twice, each time behind a checkpoint, leaves the record of the uninterrupted one."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from qecforge import Store

MANIFEST = """\
qecforge: 1
name: killed
environment: {plugin: humanoid, id: ID}
agent: {plugin: td3, total_steps: STEPS, learning_starts: 200, log_every: 100, replay_capacity: 100000, n_step: 2,
        normalize_observations: true, test_every: 300, test_episodes: 2, NETWORKS}
evaluation: {returns: {episodes: 2}}
seeds: [3]
checkpoint: {every_seconds: SECONDS}
"""
SMALL = "qubits: 4, layers: 3, tangential_hidden: 128, fits: 8, batch_size: 64"


def start(folder):
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "qecforge", "run", "killed.yaml", "--store", f"sqlite:///{folder}/results.db"]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def record(folder):
    """All of a run's record that is promised to be the same: not times, not where it ran."""
    with Store(f"sqlite:///{folder}/results.db") as store:
        (run,) = store.runs()
        with closing(sqlite3.connect(folder / "results.db")) as connection:
            metrics = connection.execute(
                "SELECT name, step, value FROM metrics WHERE name NOT LIKE 'time/%' ORDER BY name, step"
            ).fetchall()
        artifacts = [(each.kind, each.name, each.sha256) for each in store.artifacts(run.id)]
        return run.status, run.identity, metrics, artifacts


def checkpoints(folder):
    """When each checkpoint of the run was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.ckpt")}


def kill_behind_a_checkpoint(process, folder):
    """SIGKILL once a checkpoint has been written that was not there; whether the process still ran."""
    before, deadline = checkpoints(folder), time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoints(folder) != before:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("identity", "steps", "seconds", "networks"),
    [
        pytest.param("Pendulum-v1", 800, 0.3, SMALL, id="pendulum"),
        pytest.param("Humanoid-v4", 1500, 1, "qubits: 10", id="humanoid", marks=pytest.mark.slow),
    ],
)
def test_killed_twice(identity, steps, seconds, networks, tmp_path):
    if identity.startswith("Humanoid"):
        pytest.importorskip("mujoco")
    text = MANIFEST.replace("ID", identity).replace("STEPS", str(steps)).replace("SECONDS", str(seconds))
    text = text.replace("NETWORKS", networks)
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
        (folder / "killed.yaml").write_text(text, encoding="utf-8")
    whole, killed = folders
    assert start(whole).wait() == 0, (whole / "log").read_text(encoding="utf-8")
    assert all(kill_behind_a_checkpoint(start(killed), killed) for _ in range(2)), "it ended before it was killed"
    assert start(killed).wait() == 0, (killed / "log").read_text(encoding="utf-8")
    assert record(killed) == record(whole)
