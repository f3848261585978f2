"""The benchmark runs, its rows are what `qecforge bench` prints, and its peer computes the same reward."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "code_discovery_speed.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("code_discovery_speed", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ENVIRONMENTS", 64)
    monkeypatch.setattr(benchmark, "GATES", 10)
    (row,) = benchmark.run(True, [(5, 1, 3)])
    assert {"claim", "ours", "peer", "peer_name", "ratio", "target", "unit"} <= row.keys()
    assert row["ours"] > 0
    assert row["ratio"] == row["ours"] / row["peer"]
    assert row["deviation"] < 1e-4


def test_row_with_look_ahead(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ENVIRONMENTS", 64)
    monkeypatch.setattr(benchmark, "LOOKAHEAD_ENVIRONMENTS", 8)
    monkeypatch.setattr(benchmark, "GATES", 10)
    monkeypatch.setattr(benchmark, "LOOKAHEAD", ((5, 1, 3),))
    without, ahead = benchmark.run(True, [(5, 1, 3)])
    assert "look-ahead" in ahead["claim"]
    assert 0 < ahead["one_thread"] < without["one_thread"]


def test_dense_peer_sees_every_error_once(benchmark) -> None:
    vectors, weights = benchmark.error_vectors(5, 4)
    assert len(vectors) == len(np.unique(vectors, axis=0)) == 15 + 90 + 270
    weight = (vectors[:, :5] + vectors[:, 5:] > 0).sum(axis=1)
    np.testing.assert_allclose(weights, (0.1 / 3) ** weight * 0.9 ** (5 - weight), rtol=1e-6)
