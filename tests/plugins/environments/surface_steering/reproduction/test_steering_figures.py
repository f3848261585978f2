"""Figures of the steering paper's results show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest
from steering_records import GAMMA, file_runs

from qecforge import Store
from qecforge.reporting.spread import Spread
from qecforge.reproduction.files import tables_of, write_files
from qecforge_surface_steering.reproduction.figures import Curve, curves_figure, marks_figure, mean_curve
from qecforge_surface_steering.reproduction.report import report_of
from qecforge_surface_steering.reproduction.runs import collect, experiments


def test_a_mean_curve_is_over_the_epochs_that_all_seeds_have():
    curve = mean_curve([(np.array([0, 1, 2]), np.array([1.0, 2.0, 9.0])), (np.array([0, 1]), np.array([3.0, 2.0]))])
    assert (list(curve.x), list(curve.y)) == ([0, 1], [2.0, 2.0])
    assert curve.std == pytest.approx([np.sqrt(2), 0])
    assert mean_curve([(np.zeros(0), np.zeros(0))]) is None


def test_a_logarithmic_curve_has_gaps_where_it_is_not_positive():
    curve = Curve(np.arange(3), np.array([1.0, -1.0, 2.0]), np.array([0.5, 0.5, 3.0]))
    (axes,) = curves_figure({"steered": curve}, "epoch", "LER", log_y=True).axes
    assert np.isnan(axes.lines[0].get_ydata()).tolist() == [False, True, False]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "LER")


def test_marks_have_the_intervals_of_their_spreads():
    points = {0.001: Spread(0.9, 0.1, 0.8, 1.0, 3), 0.01: Spread(0.1, 0.1, 0.0, 0.3, 3)}
    (axes,) = marks_figure({"entropy 0.1": points}, "frequency", "improvement", log_x=True).axes
    assert [list(segment[:, 1]) for segment in axes.collections[0].get_segments()] == [
        pytest.approx([0.8, 1.0]),
        pytest.approx([0.0, 0.3]),
    ]


def test_a_report_has_every_table_and_figure(tmp_path):
    with Store(tmp_path / "results.db") as store:
        report = report_of(collect(store, file_runs(store, *experiments(), seeds=1)))
    figures = report.figures()
    assert set(figures) == {
        "gradient_relation",
        "fine_tuning_color",
        "fine_tuning_surface",
        "drift_ler",
        "drift_rate",
        "drift_stabilizers",
        "drift_traces",
        "amplitudes",
        "response",
        "recovery",
        "map",
        "scaling_p1",
        "scaling_p10",
        "scaling_p30",
        "scaling_rates",
        "natural_drift",
        "baselines_d3",
        "baselines_d5",
    }
    (axes,) = figures["scaling_p1"].axes
    x, y = axes.lines[0].get_data()
    assert y == pytest.approx(0.5 * np.exp(-GAMMA * x), rel=1e-6)
    (axes,) = figures["drift_ler"].axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["fixed", "steered", "steered, decoder steered"]
    written = write_files(tables_of(report), {"drift_ler": figures["drift_ler"]}, tmp_path / "out")
    assert {"claims.csv", "tables.md", "map.json", "drift_ler.png"} <= {path.name for path in written}
