"""The benchmark beside Gymnasium steps both, and counts members."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("humanoid_speed", ROOT / "benchmarks" / "humanoid_speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_for_each_case(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "CASES", (("Pendulum-v1", 1, 210), ("Pendulum-v1", 3, 20)))
    benchmark.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line, members in zip(lines[1:], (1, 1, 3, 3), strict=True):
        assert line.startswith(f"Pendulum-v1, {members} members")
        ours, theirs, ratio = (float(word.replace(",", "")) for word in line[44:].split()[:3])
        assert min(ours, theirs, ratio) > 0


def test_a_step_of_all_members_counts_each(benchmark, monkeypatch):
    """By a clock that gains a second with each look."""
    monkeypatch.setattr(benchmark.time, "process_time", iter(range(100)).__next__)
    calls = []
    actions = benchmark.np.zeros((7, 3, 1))
    assert benchmark.rates([calls.append, calls.append], actions, 2) == [[21.0, 21.0], [21.0, 21.0]]
    assert len(calls) == 7 * 2 * 3, "a round that is not counted, too"
