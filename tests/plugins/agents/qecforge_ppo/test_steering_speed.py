"""The benchmark runs, its rows are what `qecforge bench` prints, and its peers do the same work."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "steering_speed.py"


@pytest.fixture
def benchmark(monkeypatch):
    spec = importlib.util.spec_from_file_location("steering_speed", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CANDIDATES", 6)
    monkeypatch.setattr(module, "CYCLES", 50)
    return module


def test_rows(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "MEMORY_CASE", (3, 1))
    rows = [*benchmark.speed_rows(3, 2, 0.02), benchmark.growth_row(0.02, (3, 5, 7)), benchmark.memory_row()]
    assert len(rows) == 5
    for row in rows:
        assert {"claim", "ours", "peer", "peer_name", "ratio", "target", "unit"} <= row.keys()
        assert row["ours"] > 0
    assert [row["ratio"] for row in rows[:3]] == [row["ours"] / row["peer"] for row in rows[:3]]
    assert len(rows[3]["table"]) == 3
    assert 50 < rows[4]["ours"] < 2048


def test_scipy_has_the_same_rates_and_learns(benchmark):
    env = benchmark.make_environment(3, 2)
    epoch = benchmark.scipy_epoch(env)
    candidates, rates = epoch()
    np.testing.assert_allclose(rates, env.true_rates(candidates), rtol=1e-5)
    assert candidates.shape == (6, 82)


def test_circuits_have_those_rates_too(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "CYCLES", 50_000)
    env = benchmark.make_environment(3, 2)
    sampled = np.array(benchmark.circuits_epoch(env, 1)())
    expected = env.true_rates(benchmark.make_search(env).ask()[0]).mean()
    assert sampled[:, 8:-8].mean() == pytest.approx(expected, rel=0.02)
