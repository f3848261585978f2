"""The benchmark of policies on a small perceptron: its rows, and that it refuses to time what is wrong."""

import importlib.util

import numpy as np
import pytest
import torch

from qecforge.inference.runtimes.native import NativeRuntime
from qecforge.reporting.benchmarks import ROW_KEYS, source_directory


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(source_directory())
    path = source_directory() / "policy_inference.py"
    spec = importlib.util.spec_from_file_location("policy_inference_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "shapes", lambda: {"small": (12, 16, 5)})
    monkeypatch.setattr(module, "BATCHES", (3,))
    monkeypatch.setattr("_machine_limits.integer_peak", lambda: 1e9)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


def test_rows_name_the_fastest_peer_of_each_kind(benchmark, monkeypatch):
    seen = []

    def fixed(calls, *_):
        seen.extend(calls)
        for call in calls.values():
            call()
        return {name: 10.0 + place for place, name in enumerate(calls)}

    monkeypatch.setattr(benchmark, "fastest", fixed)
    rows = benchmark.measure(quick=True, threads=1)
    assert all(set(ROW_KEYS) <= set(row) for row in rows)
    fp32, bf16, fp16, *_ = rows
    assert (fp32["ours"], fp32["peer"]) == (10.0, 12.0)
    assert fp32["peer_name"] == "torch fp32, the fastest fp32"
    assert fp32["ratio"] == 1.2
    assert fp32["target"] == pytest.approx(12 / 2.5)
    assert fp32["of_peak"] == pytest.approx((12 * 16 + 16 * 5) * 3 / 1e9 / 10e-6)
    assert (bf16["peer_name"], fp16["peer_name"].split(" (")[0]) == ("torch bf16, the fastest bf16", "torch fp16")
    assert {"ONNX Runtime fp32", "ONNX Runtime INT8 dynamic", "ONNX Runtime INT8 static (QDQ)"} <= set(seen)


def test_the_fastest_stretch_counts(benchmark):
    now = iter([0.0, 1.0, 10.0, 12.0, 20.0, 21.5, 30.0, 33.0])
    assert benchmark.fastest({"a": lambda: None}, 1.0, 3, lambda: next(now)) == {"a": 1.5e6}


def test_wrong_logits_are_not_timed(benchmark, monkeypatch):
    def wrong(self, observations, out=None):
        out[...] = 0
        return out

    monkeypatch.setattr(NativeRuntime, "logits", wrong)
    calls = benchmark.Calls((12, 16, 5), 1)
    with pytest.raises(SystemExit, match="differs from the reference"):
        calls.make(3)


def test_peers_compute_the_same_policy(benchmark):
    calls = benchmark.Calls((12, 16, 5), 1)
    x = np.random.default_rng(1).integers(0, 2, (4, 12)).astype(np.uint8)
    with torch.inference_mode():
        want = calls.module(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(calls._torch(x.astype(np.float32))["torch fp32"](), want, rtol=1e-6)
    for name, call in calls._onnxruntime(x).items():
        _, (_, out) = call()
        np.testing.assert_allclose(out, want, atol=1e-5 if name.endswith("fp32") else 0.05)
