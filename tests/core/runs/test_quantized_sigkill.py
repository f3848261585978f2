"""A run with a quantizer killed by SIGKILL in either stage, and started again, leaves the record of the whole one."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from quantized_records import record

MANIFEST = """\
qecforge: 1
name: killed
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 2, max_gates: 16, gates: [h, s, cx]}
reward: {plugin: knill_laflamme}
agent:
  plugin: ppo
  total_steps: 131_072
  num_envs: 64
  horizon: 32
  minibatch_size: 512
  policy: {hidden_sizes: [64, 64], activation: gelu}
quantizer: {plugin: apq, fine_tune: {total_steps: 65_536}}
evaluation:
  decision_fidelity: {states: 20_000}
  search: {episodes: 20_000, runtime: native}
seeds: [3]
checkpoint: {every_seconds: 0.5}
"""
INSTANTS = [("killed-teacher", "train")] * 3 + [
    ("killed", phase) for phase in ("fine_tune",) * 4 + ("quantize", "evaluate")
]


def start(folder):
    command = [sys.executable, "-m", "qecforge", "run", "killed.yaml", "--store", f"sqlite:///{folder}/results.db"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def phases(folder):
    """Phase of each run by name; of finished ones `finished`."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/results.db?mode=ro", uri=True, timeout=5)) as connection:
            rows = connection.execute("SELECT name, phase, status FROM runs").fetchall()
    except sqlite3.OperationalError:
        return {}
    return {name: "finished" if status == "finished" else phase for name, phase, status in rows}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_in_either_stage(tmp_path, capsys):
    def folder_for(name):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "killed.yaml").write_text(MANIFEST)
        return folder

    whole = folder_for("whole")
    started = time.monotonic()
    assert start(whole).wait() == 0, (whole / "log").read_text()
    duration = time.monotonic() - started
    expected = record(f"sqlite:///{whole}/results.db")
    assert set(expected) == {"killed", "killed-teacher"}
    assert expected["killed"]["codes"]

    seed = int(os.environ.get("QECFORGE_TEST_SEED", random.SystemRandom().randrange(10**6)))
    rng, hits = random.Random(seed), []
    for number, (name, phase) in enumerate(INSTANTS):
        folder = folder_for(f"kill{number}")
        process = start(folder)
        while phases(folder).get(name) != phase and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, duration / 8) if phase in ("train", "fine_tune") else rng.uniform(0.0, 0.05))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        hits.append((name, phase, phases(folder).get(name), process.wait()))
        assert start(folder).wait() == 0, f"seed {seed}, {hits[-1]}: {(folder / 'log').read_text()[-3000:]}"
        assert record(f"sqlite:///{folder}/results.db") == expected, f"seed {seed}, {hits[-1]}"
    with capsys.disabled():
        print(
            f"\nSIGKILL: whole {duration:.0f} s, seed {seed}; meant, phase when killed, exit code:", *hits, sep="\n   "
        )
    assert sum(code == -signal.SIGKILL for *_, code in hits) >= len(INSTANTS) - 2
    assert {"train", "fine_tune"} <= {phase for _, _, phase, _ in hits}
