"""The benchmark of checkpoints with rows on a few of them: what it measures, and that it checks what comes back."""

import importlib.util
from pathlib import Path

import pytest

from qecforge.reporting.benchmarks import ROW_KEYS, source_directory


@pytest.fixture
def benchmark(monkeypatch):
    path = source_directory() / "checkpoint_rows.py"
    spec = importlib.util.spec_from_file_location("checkpoint_rows_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROWS_PER_SECOND", 2)
    return module


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the benchmark measures memory as Linux has it")
@pytest.mark.parametrize("method", ["ours", "torch", "memory"])
def test_every_save_is_measured(benchmark, tmp_path, method):
    found = benchmark.measure(method, 3, tmp_path)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, 3)
    grown = [value * benchmark.MIB / (60 * 3081) for value in found["disk"]]
    assert [round(value) for value in grown] == [1, 2, 3]


def test_rows_that_come_back_changed_are_noticed(benchmark, tmp_path, monkeypatch):
    save = benchmark.ours

    def lossy(path, buffer):
        save(path, buffer)
        buffer.add(
            {name: benchmark.fresh(benchmark.np.random.default_rng(1), d) for name, d in buffer.rows.columns.items()}
        )

    monkeypatch.setitem(benchmark.SAVE, "ours", lossy)
    with pytest.raises(RuntimeError, match="came back changed"):
        benchmark.measure("ours", 1, tmp_path)


def test_a_row_has_what_the_table_shows(benchmark, monkeypatch):
    values = {"seconds": [1.0, 2.0], "cpu": [0.5, 1.0], "memory": [0.0, 3.0], "disk": [10.0, 1000.0]}
    theirs = {"seconds": [4.0, 8.0], "cpu": [1.0, 3.0], "memory": [7.0, 30.0], "disk": [10.0, 1000.0]}
    monkeypatch.setattr(benchmark, "measured", lambda method, *_: values if method == "ours" else theirs)
    rows = benchmark.run(quick=True)
    assert all(set(ROW_KEYS) <= set(row) for row in rows)
    assert [(row["ours"], row["peer"], row["ratio"]) for row in rows[:5]] == [
        (2.0, 8.0, 4.0),
        (1.0, 3.0, 3.0),
        (3.0, 12.0, 4.0),
        (1.5, 4.0, pytest.approx(8 / 3)),
        (3.0, 30.0, 10.0),
    ]
