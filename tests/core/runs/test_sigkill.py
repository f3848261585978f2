"""A run killed by SIGKILL at any instant, and started again, leaves the record of the uninterrupted run."""

import os
import random
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
environment: {plugin: code_discovery, n: 7, k: 1, target_distance: 3, max_gates: 20, gates: [h, cx]}
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, total_steps: TOTAL_STEPS, num_envs: 256, horizon: 20, minibatch_size: 1280, gamma: 0.99}
evaluation:
  logical_error_rate: {noise: depolarizing, p: {log_space: [1.0e-3, 1.0e-2, 5]}, shots: SHOTS, extraction: flag}
seeds: [3]
checkpoint: {every_seconds: 2}
"""
SECONDS_AT_LEAST = 60
KILLS = 20


def command(folder):
    return [sys.executable, "-m", "qecforge", "run", "killed.yaml", "--store", f"sqlite:///{folder}/results.db"]


def start(folder):
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command(folder), cwd=folder, stdout=log, stderr=log, start_new_session=True)


def record(folder):
    """All of a run's record that is promised to be the same: not times, not where it ran."""
    with Store(f"sqlite:///{folder}/results.db") as store:
        (run,) = store.runs()
        codes = store.codes(run=run.id, order_by="gate_count")
        with closing(sqlite3.connect(folder / "results.db")) as connection:
            metrics = connection.execute(
                "SELECT name, step, value FROM metrics WHERE name NOT LIKE 'time/%' ORDER BY name, step"
            ).fetchall()
        return {
            "run": (run.status, run.identity, run.seed, run.manifest),
            "metrics": metrics,
            "codes": [
                (code.digest, code.distance, code.distance_kind, code.gate_count, code.encoder) for code in codes
            ],
            "rates": sorted(
                (rate.task.task_id, rate.counts.shots, rate.counts.errors, rate.counts.discards)
                for code in codes
                for rate in store.error_rates(code.id)
            ),
            "artifacts": [(each.kind, each.name, each.sha256) for each in store.artifacts(run.id)],
        }


def phase(folder):
    """The phase as the store has it; empty before there is one."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/results.db?mode=ro", uri=True, timeout=5)) as connection:
            row = connection.execute("SELECT phase, status FROM runs").fetchone()
    except sqlite3.OperationalError:
        return ""
    return "" if row is None else "finished" if row[1] == "finished" else row[0] or ""


def wait_for(condition, process, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def writing_checkpoint(folder):
    return any((folder / "results.artifacts" / "checkpoints").glob("*/training.ckpt.*.tmp"))


def first_code(folder):
    try:
        with closing(sqlite3.connect(f"file:{folder}/results.db?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute("SELECT count(*) FROM codes").fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False


def kill_when(folder, process, kind, rng, duration):
    """Wait for an instant of this kind, then kill the process and all that it started."""
    if kind == "anywhere":
        wait_for(lambda: False, process, rng.uniform(0.0, 0.9 * duration))
    elif kind == "checkpoint":
        wait_for(lambda: phase(folder) == "train", process)
        wait_for(lambda: False, process, rng.uniform(0.0, duration / 4))
        wait_for(lambda: writing_checkpoint(folder), process)
    elif kind == "proof":
        wait_for(lambda: first_code(folder), process)
        wait_for(lambda: False, process, rng.uniform(0.0, 0.05))
    elif kind == "evaluate":
        wait_for(lambda: phase(folder) == "evaluate", process)
        wait_for(lambda: False, process, rng.uniform(0.0, duration / 4))
    elif kind == "commit":
        wait_for(lambda: phase(folder) == "finished", process)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_at_twenty_instants(tmp_path, capsys):
    total_steps, shots = (int(os.environ.get(name, default)) for name, default in SIZES.items())
    text = MANIFEST.replace("TOTAL_STEPS", str(total_steps)).replace("SHOTS", str(shots))

    def folder_for(name):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "killed.yaml").write_text(text, encoding="utf-8")
        return folder

    undisturbed = folder_for("undisturbed")
    started = time.monotonic()
    assert start(undisturbed).wait() == 0, (undisturbed / "log").read_text()
    duration = time.monotonic() - started
    assert duration >= SECONDS_AT_LEAST, f"only {duration:.0f} s: raise {list(SIZES)}"
    expected = record(undisturbed)
    assert expected["run"][0] == "finished"
    assert expected["codes"]
    assert expected["rates"]

    seed = int(os.environ.get("QECFORGE_TEST_SEED", random.SystemRandom().randrange(10**6)))
    rng = random.Random(seed)
    kinds = ["anywhere"] * 8 + ["checkpoint"] * 4 + ["proof"] * 2 + ["evaluate"] * 4 + ["commit"] * 2
    assert len(kinds) == KILLS
    hits = []
    for number, kind in enumerate(kinds):
        folder = folder_for(f"kill{number}")
        code = kill_when(folder, start(folder), kind, rng, duration)
        hits.append((kind, phase(folder), code))
        again = start(folder)
        assert again.wait() == 0, f"seed {seed}, kill {number} ({kind}): {(folder / 'log').read_text()[-3000:]}"
        assert record(folder) == expected, f"seed {seed}, kill {number} ({kind})"
    with capsys.disabled():
        print(f"\nSIGKILL: undisturbed {duration:.0f} s, seed {seed}; kind, phase when killed, exit code:")
        for hit in hits:
            print("  ", *hit)
    killed = [hit for hit in hits if hit[2] == -signal.SIGKILL]
    assert len(killed) >= KILLS - 4
    assert {"train", "evaluate"} <= {hit[1] for hit in killed}


SIZES = {"QECFORGE_TEST_TOTAL_STEPS": 2_000_000, "QECFORGE_TEST_SHOTS": 3_000_000}
