"""The distribution of a task of text: built, installed with pip into a new environment, run, stopped, and resumed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time

import pytest
from outside import Outside, run
from test_third_party import HERE, build

from qecforge import Store

MANIFEST = """\
qecforge: 1
name: words
environment: {plugin: number_words, numbers: 3}
reward: letters
agent: {plugin: word_table, base: base.json, total_steps: STEPS}
evaluation: {accuracy: {samples: 20}}
checkpoint: {every_seconds: 0.001}
seeds: [1]
"""
BASE = {"words": ["zero", "one", "two", "three"], "preferences": [0.0, 0.0, 0.0, 1.0]}


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Outside:
    environment = Outside(tmp_path_factory.mktemp("outside") / "env")
    environment.install(build("text", tmp_path_factory.mktemp("wheels")))
    return environment


def put(folder, steps):
    folder.mkdir()
    (folder / "base.json").write_text(json.dumps(BASE))
    (folder / "words.yaml").write_text(MANIFEST.replace("STEPS", str(steps)))
    return folder


def record(folder):
    """Series and files of the one run, and its identity."""
    with Store(f"sqlite:///{folder / 'results.db'}", read_only=True) as store:
        (each,) = store.runs(status="finished")
        series = {
            name: (store.metrics(each.id, name).step.tolist(), store.metrics(each.id, name).value.tolist())
            for name in store.metric_names(each.id)
        }
        files = {artifact.name: store.read_artifact(artifact) for artifact in store.artifacts(each.id, kind="policy")}
        return series, files, json.loads(each.manifest)


def test_a_manifest_of_text_runs_from_training_to_its_evaluation_in_the_store(outside, tmp_path):
    folder = put(tmp_path / "whole", 1280)
    outside.qecforge("validate", "words.yaml", cwd=folder)
    outside.qecforge("run", "words.yaml", cwd=folder)
    series, files, manifest = record(folder)
    assert series["episode_return"][1][-1] > 0.9
    assert series["accuracy/train/greedy"] == ([0], [1.0])
    assert sorted(files) == ["preferences.safetensors", "words.json"]
    assert json.loads(files["words.json"])["words"] == BASE["words"]
    assert manifest["plugins"]["agent"] == {"distribution": "qecforge-thirdparty-text", "version": "0.2.0"}
    assert len(manifest["agent"]["base_sha256"]) == 64


def test_stopped_by_a_signal_and_resumed_equals_uninterrupted(outside, tmp_path):
    whole, parts = put(tmp_path / "whole", 16_000), put(tmp_path / "parts", 16_000)
    outside.qecforge("run", "words.yaml", cwd=whole)
    process = subprocess.Popen(
        [outside.python, "-m", "qecforge", "run", "words.yaml"], cwd=parts, stderr=subprocess.PIPE, text=True
    )
    database = parts / "results.db"
    checkpoints = parts / "results.artifacts"
    until = time.monotonic() + 60
    while not any(parts.glob("results.artifacts/checkpoints/*/training.ckpt")) and time.monotonic() < until:
        time.sleep(0.02)
        assert process.poll() is None, process.stderr.read()
    assert checkpoints.exists(), f"{database}: no checkpoint within a minute"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    with Store(f"sqlite:///{database}", read_only=True) as store:
        (each,) = store.runs()
        assert each.status == "interrupted"
        assert store.metrics(each.id, "episode_return").step[-1] < 16_000
    outside.qecforge("run", "words.yaml", cwd=parts)
    assert record(parts) == record(whole)


def test_a_base_that_changed_is_another_run_or_is_refused(outside, tmp_path):
    folder = put(tmp_path / "whole", 64)
    outside.qecforge("run", "words.yaml", cwd=folder)
    first = record(folder)[2]["agent"]["base_sha256"]
    (folder / "base.json").write_text(json.dumps({**BASE, "preferences": [1.0, 0.0, 0.0, 0.0]}))
    listed = json.loads(outside.qecforge("run", "words.yaml", "--dry-run", "--format", "json", cwd=folder))
    assert [row["in_store"] for row in listed] == ["new"]
    shown = outside.qecforge("validate", "words.yaml", "--set", f"agent.base_sha256={first}", cwd=folder, code=2)
    assert "agent: base: 'base.json' has the hash" in " ".join(shown.split())
    assert f"expected {first[:12]}: restore the file" in " ".join(shown.split())


def test_the_plugins_keep_the_contracts(outside, tmp_path):
    tests = shutil.copytree(HERE / "text" / "tests", tmp_path / "tests")
    run(outside.python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tests), cwd=tmp_path)
