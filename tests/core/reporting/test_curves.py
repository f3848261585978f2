"""Metrics of a run as figures: which panels there are, and what they show."""

import numpy as np
import pytest

from qecforge import Store
from qecforge.reporting.curves import Curves, curves_figure
from qecforge.testing.examples import example_run


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


def file_run(store, **series):
    run = example_run(store)
    for name, values in series.items():
        store.add_metrics(run.id, [(name, 10 * step, value, 0.0) for step, value in enumerate(values)])
    return run


def test_panels_are_those_that_the_run_has_metrics_of(store):
    run = file_run(store, loss=[3.0, 2.0, 1.0], kl=[0.1, 0.2, 0.3])
    panels = [
        Curves(y="loss", metrics={"loss": "mine", "other_loss": "theirs"}),
        Curves(y="speed", metrics={"speed": ""}),
        Curves(y="both, nats", metrics={"kl": "divergence", "loss": "loss"}),
    ]
    figure = curves_figure(store, run, panels, x="games")
    first, second = figure.axes
    assert figure.get_suptitle() == "example, seed 0"
    assert (first.get_ylabel(), second.get_ylabel()) == ("loss", "both, nats")
    assert (first.get_xlabel(), second.get_xlabel()) == ("", "games")
    assert first.get_legend() is None
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["divergence", "loss"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in second.lines] == [
        ([0, 10, 20], [0.1, 0.2, 0.3]),
        ([0, 10, 20], [3.0, 2.0, 1.0]),
    ]
    assert curves_figure(store, run, panels[1:2]) is None


def test_every_column_of_a_grid_says_what_its_axis_is(store):
    run = file_run(store, **{name: [1.0, 2.0] for name in "abcde"})
    axes = curves_figure(store, run, [Curves(y=name, metrics={name: ""}) for name in "abcde"], x="games").axes
    assert [each.get_ylabel() for each in axes] == list("abcde")
    assert [each.get_xlabel() for each in axes] == ["", "", "", "games", "games"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 30.0], "log"), ([1.0, 5.0], "linear"), ([0.0, 30.0], "linear"), ([float("nan"), 1.0, 30.0], "log")],
)
def test_axes_are_logarithmic_where_positive_values_span_more_than_ten(store, values, scale):
    run = file_run(store, loss=values)
    (axes,) = curves_figure(store, run, [Curves(y="loss", metrics={"loss": ""}, log=True)]).axes
    assert axes.get_yscale() == scale


def test_a_noisy_course_has_its_running_mean_and_a_smooth_one_is_as_it_is(store):
    noisy, smooth = np.tile([0.0, 2.0], 100), np.linspace(0, 1, 200)
    noisy[50] = np.nan
    run = file_run(store, noisy=noisy, smooth=smooth)
    (axes,) = curves_figure(store, run, [Curves(y="x", metrics={"noisy": ""})]).axes
    raw, mean = (line.get_ydata() for line in axes.lines)
    assert np.array_equal(raw, noisy, equal_nan=True)
    assert mean[100] == pytest.approx(noisy[95:106].mean())
    assert mean[50] == pytest.approx(np.nanmean(noisy[45:56]))
    assert (mean[0], mean[1]) == (noisy[0], pytest.approx(noisy[:3].mean()))
    (axes,) = curves_figure(store, run, [Curves(y="x", metrics={"smooth": ""})]).axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == list(smooth)
