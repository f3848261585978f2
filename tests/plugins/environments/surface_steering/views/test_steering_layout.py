"""Figures of one steered run show the numbers that they are given, where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection

from qecforge.errors import ConfigurationError
from qecforge.reporting.figures import Point, save_figure
from qecforge_surface_steering.views.layout import (
    Trace,
    detection_rate_figure,
    logical_error_rate_figure,
    place,
    stabilizer_figure,
    trace_figure,
)

SURFACE = {
    name: 0.1 + 0.01 * number
    for number, name in enumerate(["(0, 4)", "(2, 0)", "(2, 2)", "(2, 4)", "(4, 2)", "(4, 4)", "(4, 6)", "(6, 2)"])
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("(2, 0)", (2, 0)),
        ("(0.5, -1)", (0.5, -1)),
        ("(2, 4, 7)", (2, 4)),
        ("(1e-05, 2)", (1e-5, 2)),
        ("D3", None),
        ("D3 of circuit 1", None),
        ("(2)", None),
    ],
)
def test_names_say_places(name, expected):
    assert place(name) == expected


def test_tiles_of_the_surface_code_meet_at_its_data_qubits():
    doubled = {name: 2 * rate for name, rate in SURFACE.items()}
    figure = stabilizer_figure({"before": SURFACE, "after": doubled}, "walk")
    before, after, colours = figure.axes
    assert colours.get_ylabel() == "detection rate"
    assert figure.get_suptitle() == "walk"
    for axes, rates in ((before, SURFACE), (after, doubled)):
        tiles, qubits = axes.collections
        assert list(tiles.get_array()) == pytest.approx(list(rates.values()))
        assert tiles.get_clim() == pytest.approx((0.1, 0.34))
        centres = [tuple(path.get_extents().get_points().mean(axis=0)) for path in tiles.get_paths()]
        assert centres == [place(name) for name in rates]
        assert {tuple(at) for at in qubits.get_offsets()} == {(x, y) for x in (1, 3, 5) for y in (1, 3, 5)}
        assert [text.get_text() for text in axes.texts] == [f"{rate:.3f}" for rate in rates.values()]
    assert after.get_title() == "after: mean 0.27"


def test_detectors_of_a_stabilizer_are_averaged_and_places_unknown_left_out():
    figure = stabilizer_figure({"now": {"(0.5, 1, 1)": 0.1, "(0.5, 1, 2)": 0.3, "(2, 0, 1)": 0.4, "D7": 0.9}})
    axes, _ = figure.axes
    (discs,) = axes.collections  # no data qubits are guessed
    assert list(discs.get_array()) == pytest.approx([0.2, 0.4])
    width = np.ptp(discs.get_paths()[0].get_extents().get_points()[:, 0])
    assert width == pytest.approx(0.9 * np.hypot(1.5, 1))


def test_traces_are_beside_their_optimum():
    epochs = np.arange(3)
    figure = trace_figure(
        {"xy3.amplitude": Trace(epochs, [0, 1, 2], [2, 2, 2]), "cz1-9.phase": Trace(epochs, [1] * 3, [0] * 3)}
    )
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in first.lines] == [[2, 2, 2], [0, 1, 2]]
    assert [list(line.get_ydata()) for line in second.lines] == [[0, 0, 0], [1, 1, 1]]
    assert [first.get_title("left"), second.get_title("left")] == ["xy3.amplitude", "cz1-9.phase"]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["optimum", "steered"]


def test_a_rate_of_zero_leaves_a_gap_and_bands_are_intervals():
    points = [Point(0, 0.01, 0.008, 0.012), Point(50, 0.0, 0.0, 0.001), Point(100, 0.02, 0.015, 0.03)]
    curves = {"steered": points, "steered, learned prior": points[:2], "fixed": points[::2]}
    (axes,) = logical_error_rate_figure(curves).axes
    line, *_ = axes.lines
    assert np.array_equal(line.get_ydata(), [0.01, np.nan, 0.02], equal_nan=True)
    bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
    band = {(x, y) for path in bands[2].get_paths() for x, y in path.vertices}
    assert {(0, 0.008), (0, 0.012), (100, 0.015), (100, 0.03)} <= band
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)
    assert [(line.get_color(), line.get_linestyle()) for line in axes.lines] == [("C0", "-"), ("C0", "--"), ("C1", "-")]


def test_where_no_error_was_seen_the_upper_end_of_the_interval_is_marked():
    curves = {"steered": [Point(0, 0.01, 0.008, 0.012), Point(50, 0.0, 0.0, 0.001)], "fixed": [Point(0, 0, 0, 0.002)]}
    (axes,) = logical_error_rate_figure(curves).axes
    marks = [each.get_offsets().tolist() for each in axes.collections if isinstance(each, PathCollection)]
    assert marks == [[[50, 0.001]], [[0, 0.002]]]


def test_a_figure_without_any_error_can_be_written(tmp_path):
    points = [Point(0, 0, 0, 0.002), Point(50, 0, 0, 0.002)]
    save_figure(logical_error_rate_figure({"fixed": points, "steered": points}), tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 0


def test_detection_rates_over_time():
    (axes,) = detection_rate_figure({"fixed": ([0, 10], [0.1, 0.2]), "steered": ([0, 10], [0.1, 0.11])}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.1, 0.2], [0.1, 0.11]]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: stabilizer_figure({}), "no objective's name is a place such as '(2, 0)'"),
        (lambda: stabilizer_figure({"now": {"D0": 0.1}}), "no objective's name is a place such as '(2, 0)'"),
        (lambda: trace_figure({}), "no trace was given"),
    ],
)
def test_nothing_to_draw_is_refused(draw, words):
    with pytest.raises(ConfigurationError) as refused:
        draw()
    assert words in str(refused.value)
