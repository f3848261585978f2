"""`qecforge run --executor ray`, on a cluster of this machine that the command starts."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cli_harness import invoke, one_line

from qecforge import Store, load_manifest, run_manifest
from qecforge.errors import ConfigurationError, MissingDependency
from qecforge.executors import make_executor
from qecforge.executors._ray.options import RayOptions, connected
from qecforge.registry import Registry

MANIFEST = """\
qecforge: 1
name: five
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3, max_gates: 16, gates: [h, s, cx]}
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, total_steps: 2000, num_envs: 16}
seeds: [0, 1]
checkpoint: {every_seconds: 0.5}
"""
LONG = ("--set", "agent.total_steps=100_000_000", "--set", "seeds=[0]")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "five.yaml").write_text(MANIFEST)
    return tmp_path


def start(folder, *arguments):
    command = [sys.executable, "-m", "qecforge", "run", "five.yaml", "--executor", "ray", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, start_new_session=True, **pipes)


def runs(folder):
    with Store(folder / "results.db", read_only=True) as store:
        return {run.seed: run for run in store.runs()}


def wait_for_checkpoint(folder, process):
    deadline = time.monotonic() + 180
    while not list(folder.glob("*.artifacts/checkpoints/*/training.ckpt")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_are_carried_out_and_the_output_is_the_commands_own(folder):
    with start(folder, "--executor-option", "num_cpus=0.5", "--format", "json") as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert {code["n"] for code in json.loads(output)} <= {5}
    assert all(f"five seed {seed}: finished in" in errors for seed in (0, 1))
    assert "ray" not in errors
    filed = runs(folder)
    assert {seed: run.status for seed, run in filed.items()} == {0: "finished", 1: "finished"}
    assert filed[0].provenance["command"][1:4] == ["run", "five.yaml", "--executor"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_saves_and_ends(folder, number):
    """What a terminal and a scheduler send; the cluster of this machine is in the group too."""
    with start(folder, *LONG, "--set", "checkpoint.every_seconds=1000") as process:
        wait_for_metrics(folder, process)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert {seed: run.status for seed, run in runs(folder).items()} == {0: "interrupted"}
    assert list(folder.glob("*.artifacts/checkpoints/*/training.ckpt"))


def wait_for_metrics(folder, process):
    deadline = time.monotonic() + 180
    while True:
        if (folder / "results.db").exists():
            with Store(folder / "results.db") as store:
                if any(store.metric_names(run.id) for run in store.runs()):
                    return
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_a_driver_that_was_killed_leaves_nothing_and_the_same_command_goes_on(folder):
    with start(folder, *LONG) as process:
        wait_for_checkpoint(folder, process)
        process.kill()
        process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while members(process.pid):
        assert time.monotonic() < deadline, members(process.pid)
        time.sleep(0.2)
    with start(folder, *LONG) as process:
        assert "continues from its checkpoint" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors


def members(session):
    """Processes of the session, but for two of Ray's own that wait a minute for a server that is gone, then end."""
    waiting = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    listed = subprocess.run(["ps", "-s", str(session), "-o", "args="], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if line.strip() not in waiting]


def test_without_ray_its_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"^executor ray: ray is not installed: pip install .*ray"):
        connected(RayOptions()).__enter__()
    with pytest.raises(MissingDependency):
        run_manifest(load_manifest(folder / "five.yaml", registry=Registry.load()), executor="ray")


@pytest.mark.parametrize(
    ("executor", "options", "message"),
    [
        ("ray", {"num_cpu": 1}, r"'num_cpu' is none of executor ray's: it has address, num_cpus.*mean 'num_cpus'"),
        ("ray", {"num_cpus": 0}, r"num_cpus of executor ray: got 0, expected more than 0"),
        ("ray", {"memory": "4 apples"}, r"memory of executor ray: got '4 apples': .* such as|4GiB"),
        ("process", {"num_cpus": 1}, r"'num_cpus' is none of executor process's: it has none"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(executor, options, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        make_executor(executor, None, options)
    assert "\n" not in str(error.value)


def test_a_cluster_whose_token_is_missing_is_refused_in_one_line(folder):
    command = [sys.executable, "-m", "qecforge", "run", "five.yaml", "--executor", "ray"]
    ended = subprocess.run(
        [*command, "--executor-option", "address=127.0.0.1:6399"], cwd=folder, capture_output=True, text=True,
        check=False, timeout=120, env={**os.environ, "HOME": str(folder), "RAY_AUTH_MODE": "token"},
    )  # fmt: skip
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("executor ray, address: no cluster at '127.0.0.1:6399' (Token authentication is enabled")


def test_memory_is_read_with_its_unit():
    assert RayOptions(memory="1.5GiB").memory == 3 << 29
    assert RayOptions(memory="2GB").resources == {"CPU": 1.0, "memory": 2e9}
    assert RayOptions(num_gpus=0.5).resources == {"CPU": 1.0, "GPU": 0.5}


def test_the_command_line_names_its_own_option(folder):
    run = ("run", folder / "five.yaml", "--executor", "ray", "--executor-option")
    assert "--executor-option: got 'num_cpus', expected NAME=VALUE" in one_line(invoke(*run, "num_cpus"))
    line = one_line(invoke(*run, "cpus=1"))
    assert "--executor-option: 'cpus' is none of executor ray's: it has address, num_cpus" in line
