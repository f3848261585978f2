"""Figures show the numbers that they are given."""

import sys

import pytest

from qecforge.errors import ConfigurationError, MissingDependency
from qecforge.reporting import figures


def test_a_rate_of_zero_is_drawn_as_its_upper_limit():
    points = [figures.Point(1e-4, 0.0, 0.0, 4e-5), figures.Point(1e-3, 2e-3, 1.7e-3, 2.3e-3)]
    (axes,) = figures.error_rate_figure({"apq": points}).axes
    drawn = [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axes.lines]
    assert [(1e-3, 2e-3)] in drawn
    assert [(1e-4, 4e-5)] in drawn
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_folder_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="choose another `folder`"):
        figures.save_figure(figures.error_rate_figure({}), tmp_path / "none" / "a.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install 'matplotlib>=[\d.]+'"):
        figures.error_rate_figure({})
