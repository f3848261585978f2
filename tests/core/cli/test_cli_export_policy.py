"""`qecforge runs export-policy`."""

import resource
import signal
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from cli_harness import invoke, one_line

from qecforge import Store
from qecforge.contracts.policy import weights_of
from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels, run_reference
from qecforge.inference.policy import QuantizedPolicy, load_quantized
from qecforge.registry import Registry
from qecforge.runs.policies import load_policy


@pytest.fixture
def mlp():
    rng = np.random.default_rng(1)
    step = np.full(6, 0.01, np.float32)
    table = np.clip(np.arange(256), 128, 255).astype(np.uint8)
    hidden = IntegerLayer(
        rng.integers(-127, 128, (6, 4)).astype(np.int8),
        step,
        np.zeros(6, np.int32),
        Levels(1.0, 0),
        Levels(0.02, 128),
        table,
        "relu",
    )
    weight = rng.integers(-127, 128, (3, 6)).astype(np.int8)
    last = IntegerLayer(weight, step[:3], np.arange(3, dtype=np.int32), Levels(0.02, 128))
    return IntegerMlp((hidden, last), 8, "ptq")


@pytest.fixture
def quantized(filled, mlp):
    """The id of a run that left an integer policy beside its float one."""
    with Store("sqlite:///results.db") as store:
        run = store.runs()[0]
        store.add_artifact(run.id, "quantized", "quantized.safetensors", weights_of(QuantizedPolicy(mlp, start=5)))
    return run.id


def test_integer_policy_as_onnx_and_safetensors(quantized, mlp):
    for form in ("onnx", "safetensors"):
        result = invoke("runs", "export-policy", quantized[:8], "--format", form, "--out", f"policy.{form}")
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        assert result.stderr.startswith(f"policy.{form}: {form} of the policy of run {quantized}, ")
    x = np.random.default_rng(2).integers(0, 2, (20, 4)).astype(np.uint8)
    session = onnxruntime.InferenceSession("policy.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"observations": x})[0], run_reference(mlp, x))
    assert session.get_modelmeta().custom_metadata_map["qecforge.method"] == "ptq"
    policy = load_quantized(Path("policy.safetensors").read_bytes())
    np.testing.assert_array_equal(policy.act(x), run_reference(mlp, x).argmax(-1) + 5)


def test_without_out_it_goes_to_stdout(quantized, monkeypatch):
    result = invoke("runs", "export-policy", quantized, "--format", "safetensors")
    assert (result.exit_code, result.stderr) == (0, "")
    with Store("sqlite:///results.db") as store:
        (artifact,) = store.artifacts(quantized, kind="quantized")
        assert result.stdout_bytes == store.read_artifact(artifact)
    from qecforge.cli import _runs

    monkeypatch.setattr(_runs, "on_terminal", lambda: True)
    assert "--out" in one_line(invoke("runs", "export-policy", quantized, "--format", "onnx"))


def test_float_policy_where_the_run_has_no_quantizer(filled):
    with Store("sqlite:///results.db") as store:
        run = store.runs()[0]
        (artifact,) = store.artifacts(run.id, kind="policy")
        content = store.read_artifact(artifact)
    invoke("runs", "export-policy", run.id, "--format", "safetensors", "--out", "policy.safetensors")
    assert Path("policy.safetensors").read_bytes() == content
    line = one_line(invoke("runs", "export-policy", run.id, "--format", "onnx"))
    assert "no network" in line
    assert "safetensors" in line


def test_float_network_as_onnx(folder):
    """Of a run of PPO, whose policy has a network."""
    Path("tiny.yaml").write_text(
        "qecforge: 1\nname: tiny\n"
        "environment: {plugin: code_discovery, n: 4, k: 1, target_distance: 2, max_gates: 6}\n"
        "reward: {plugin: knill_laflamme}\n"
        "agent: {plugin: ppo, total_steps: 16, num_envs: 4, horizon: 4, minibatch_size: 8}\n"
    )
    ran = invoke("run", "tiny.yaml")
    assert ran.exit_code == 0, ran.stderr
    with Store("sqlite:///results.db") as store:
        (run,) = store.runs()
        env, policy = load_policy(store, run.id, registry=Registry.load(), num_envs=6)
    assert invoke("runs", "export-policy", run.id, "--format", "onnx", "--out", "policy.onnx").exit_code == 0
    x = np.random.default_rng(3).integers(0, 2, (6, *env.single_observation_space.shape)).astype(np.float32)
    session = onnxruntime.InferenceSession("policy.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(None, {"observations": x.reshape(6, -1)})[0]
    with torch.inference_mode():
        np.testing.assert_allclose(logits, policy.module(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_refusals_are_one_line(quantized):
    Path("taken").write_text("mine")
    arguments = ("runs", "export-policy", quantized, "--format", "onnx", "--out")
    assert "--force" in one_line(invoke(*arguments, "taken"))
    assert Path("taken").read_text() == "mine"
    assert invoke(*arguments, "taken", "--force").exit_code == 0
    assert "cannot be written" in one_line(invoke(*arguments, "no/such/folder/policy.onnx"))
    assert "abcdef" in one_line(invoke("runs", "export-policy", "abcdef", "--format", "onnx"))
    with Store("sqlite:///results.db") as store:
        store.add_artifact(quantized, "quantized", "quantized.safetensors", b"not ours")
    assert "not a safetensors file" in one_line(invoke(*arguments, "policy.onnx"))
    assert not Path("policy.onnx").exists()


def test_a_run_without_a_policy_says_so(folder, toys):
    Path("walk.yaml").write_text(
        "qecforge: 1\nname: walk\nenvironment: {plugin: walk}\nagent: {plugin: walker, fail_at: 4}\n"
    )
    assert invoke("run", "walk.yaml").exit_code == 1
    with Store("sqlite:///results.db") as store:
        (run,) = store.runs()
    assert f"run {run.id} (failed) left no policy" in one_line(
        invoke("runs", "export-policy", run.id, "--format", "onnx")
    )


def test_a_full_disk_leaves_no_truncated_file(quantized):
    Path("policy.onnx").write_bytes(b"before")
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    reader = Store("sqlite:///results.db", read_only=True)  # its shared memory is made before the disk is full
    reader.runs()
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        for form, out in (("onnx", "policy.onnx"), ("safetensors", "new"), ("files", "folder")):
            result = invoke("runs", "export-policy", quantized, "--format", form, "--out", out, "--force")
            assert one_line(result).endswith("cannot be written (File too large); name another file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
        reader.close()
    assert Path("policy.onnx").read_bytes() == b"before"
    assert not Path("new").exists()
    assert not list(Path("folder").iterdir())
    assert not list(Path().glob(".written-*"))
