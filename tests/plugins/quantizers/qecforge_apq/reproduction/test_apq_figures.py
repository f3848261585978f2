"""Figures show the numbers that they are given."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from apq_records import file_run, planned_runs

from qecforge import Store
from qecforge.errors import MissingDependency
from qecforge.evaluation.policies.fidelity import LogitNoise, MarginBucket
from qecforge.reporting import figures
from qecforge.reproduction.files import tables_of, write_files
from qecforge_apq.reproduction import figures as drawn
from qecforge_apq.reproduction.report import report_of
from qecforge_apq.reproduction.runs import collect


def heights(figure):
    (axes,) = figure.axes
    return [patch.get_height() for patch in axes.patches]


def test_flips_are_bars_in_percent_with_wilson_intervals():
    buckets = [MarginBucket(0, 0.1, 200, 50), MarginBucket(0.1, 0.2, 0, 0), MarginBucket(0.2, 0.3, 100, 1)]
    figure = drawn.flips_figure({"ptq": buckets, "apq": buckets[:1]})
    assert heights(figure) == [25.0, 1.0, 25.0]
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["[0, 0.1)", "[0.1, 0.2)", "[0.2, 0.3)"]
    (low, high), *_ = [segment[:, 1] for segment in axes.collections[0].get_segments()]
    interval = buckets[0].interval
    assert (low, high) == pytest.approx((100 * interval.low, 100 * interval.high))


def test_margins_are_shares_of_all_states():
    figure = drawn.margin_figure([0, 0.1, 0.2], {"states": [3, 1]}, {"states": 4})
    (axes,) = figure.axes
    assert np.allclose(axes.patches[0].get_data().values, [0.375, 0.125])
    assert "50 % beyond" in axes.get_legend().get_texts()[0].get_text()


def test_fidelity_bars_have_the_papers_marks():
    bars = [figures.Bar("ptq", 0.9, 0.88, 0.91, 0.912), figures.Bar("own", 0.95, 0.95, 0.95)]
    figure = drawn.fidelity_figure(bars, "top-1")
    assert heights(figure) == [0.9, 0.95]
    (axes,) = figure.axes
    marks = next(line for line in axes.lines if line.get_label() == "paper")
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([0], [0.912])


def test_noise_is_the_mean_over_seeds_with_its_95th_percentile():
    noises = {
        "ptq": [LogitNoise(0.2, 0.1, 0.5, 1.0), LogitNoise(0.4, 0.1, 0.75, 9.0)],
        "apq": [LogitNoise(0.1, 0, 0.25, 1)],
    }
    figure = drawn.noise_figure(noises)
    assert heights(figure) == pytest.approx([0.3, 0.1])
    (axes,) = figure.axes
    (marks,) = axes.lines
    assert list(marks.get_ydata()) == [0.625, 0.25]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["ptq", "apq"]


def test_first_codes_are_bars_from_zero():
    bars = [figures.Bar("fp32", 30.0, 25.0, 40.0), figures.Bar("apq", 20.0, 20.0, 20.0)]
    figure = drawn.first_code_figure(bars)
    assert heights(figure) == [30.0, 20.0]
    (axes,) = figure.axes
    assert axes.get_ylim()[0] == 0
    assert list(axes.collections[0].get_segments()[0][:, 1]) == [25.0, 40.0]


def test_latency_is_a_mark_for_each_precision():
    figure = drawn.latency_figure(
        {"torch": {"fp32": 40.0, "fp16": 80.0}, "native": {"int8": 8.0}}, ["fp32", "fp16", "int8"]
    )
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[40.0, 80.0], [8.0]]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 1], [2]]


def test_a_report_has_every_table_and_figure(tmp_path):
    with Store(tmp_path / "results.db") as store:
        planned = planned_runs(methods=("fp32", "ptq", "apq"), seeds=2)
        for each in planned:
            file_run(store, each)
        results = collect(store, planned)
    report = report_of(results)
    names = {path.name for path in write_files(tables_of(report), report.figures(), tmp_path / "out")}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    shown = {"margins", "flips", "noise", "top1", "tau", "first_code", "latency", "error_rates"}
    assert {name for name in names if name.endswith(".png")} == {f"e1_{name}.png" for name in shown}
    assert (tmp_path / "out" / "e1_flips.png").read_bytes().startswith(b"\x89PNG")
    assert "| e1 | APQ | 2 | 99.10" in (tmp_path / "out" / "tables.md").read_text()
    (axes,) = report.figures()["e1_top1"].axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["PTQ (per-tensor)", "APQ"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install 'matplotlib>=[\d.]+'"):
        drawn.latency_figure({}, [])
