"""The live view: readings of a run's views, sparklines, panels, and the same numbers in lines."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_cli_progress import code
from test_cli_progress import plan as plain_plan

from qecforge.cli._live import LiveProgress
from qecforge.cli._progress import LineProgress, TerminalProgress
from qecforge.cli._readings import History, Readings, sparkline
from qecforge.contracts import Reading, RunView
from qecforge.reporting.tables import speed
from qecforge.runs.listener import RunOutcome

REPORTS = [
    {"cost": 0.05, "sigma": 0.5, "time/epochs_per_second": 1999.7},
    {"cost": 0.09, "sigma": 0.4, "time/epochs_per_second": 99.94, "logical_error_rate": 0.002},
    {"cost": 0.06, "sigma": 0.3, "time/epochs_per_second": 2500.2, "clip_fraction": 0.1},
]
DEVICE = RunView(
    unit="epochs",
    readings=(
        Reading(metric="cost", label="detection rate"),
        Reading(metric="logical_error_rate", label="logical error rate"),
    ),
)
SEARCH = RunView(
    readings=(
        Reading(metric="sigma", label="sigma"),
        Reading(metric="time/epochs_per_second", label="epochs/s", show=speed, words="{} epochs/s"),
    )
)
WORDS = "detection rate 0.06, logical error rate 0.002, sigma 0.3, 2,500 epochs/s"


def plan(seed=0, **sweep):
    """A run in an environment and of an agent that both have something watched."""
    return plain_plan(seed, views=(DEVICE, SEARCH), **sweep)


def test_sparklines_are_as_high_as_the_values():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 60) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 3, 3], 60) == "▁▁▁"
    assert sparkline([-1.0, 1.0], 60) == "▁█"
    assert sparkline([0, 2, 6, 8], 2) == "▁█"  # means 1 and 7
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 60, ascii_only=True) == ".:-=+*#@"
    assert sparkline([], 60) == sparkline([1.0], 0) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 70))
def test_sparklines_are_never_too_wide(values, width):
    assert len(sparkline(values, width)) == min(width, len(values))


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=1000))
def test_a_history_is_bounded_and_keeps_means(values):
    history = History(size=8)
    for value in values:
        history.add(value)
    kept = history.values()
    stride = 2 ** max(0, math.ceil(math.log2((len(values) + 1) / 16)))
    groups = [values[i : i + stride] for i in range(0, len(values), stride)]
    assert kept == pytest.approx([sum(group) / len(group) for group in groups])
    assert len(kept) <= 16
    assert (history.last, history.least, history.greatest) == (values[-1], min(values), max(values))


def test_readings_are_those_of_the_views():
    readings = Readings(plan())
    readings.add({"clip_fraction": 0.5})
    assert (readings.drawn, readings.words(), readings.unit) == (False, "", "epochs")
    for report in REPORTS:
        assert readings.add(report) == []
    readings.add({"cost": math.nan})
    assert readings.drawn
    assert readings.words() == WORDS
    courses = {watched.reading.label: watched.history.values() for watched in readings.rows()}
    assert list(courses) == ["detection rate", "logical error rate", "sigma", "epochs/s"]
    assert courses["detection rate"] == [0.05, 0.09, 0.06]
    assert courses["logical error rate"] == [0.002]


def test_what_the_contract_names_is_watched_of_every_run_under_the_name_that_a_view_gives_it():
    bare = Readings(plain_plan())
    bare.add({"episode_return": -1.5, "cost": 0.25, "loss": 3.0})
    assert (bare.words(), bare.unit, bare.drawn) == ("episode return -1.5, cost 0.25", "steps", False)
    named = Readings(
        plain_plan(views=(None, RunView(readings=[Reading(metric="cost", label="error", words="{} errors")])))
    )
    named.add({"episode_return": -1.5, "cost": 0.25})
    assert (named.words(), named.drawn) == ("episode return -1.5, 0.25 errors", True)


def test_of_two_views_the_environment_names_a_metric_and_the_agent_the_unit_of_progress():
    views = (
        RunView(unit="games", readings=[Reading(metric="x", label="score")]),
        RunView(unit="updates", readings=[Reading(metric="x", label="x"), Reading(metric="y", label="y")]),
    )
    readings = Readings(plain_plan(views=views))
    readings.add({"y": 1.0, "x": 2.0})
    assert (readings.words(), readings.unit) == ("score 2, y 1", "updates")


def test_a_reading_that_raises_is_named_once_and_its_numbers_are_shown_plain():
    def refuses(value):
        raise ArithmeticError(f"no words\nfor {value}")

    lines = []
    listener = LineProgress(lines.append, seconds=0.0)
    which = plain_plan(views=(None, RunView(readings=[Reading(metric="x", label="score", show=refuses)])))
    for step in (1, 2):
        listener.on_progress(which, step, 9, {"x": 2.0 * step})
    assert lines == [
        "walk seed 0: the view of agent walker (score) is left out: ArithmeticError: no words for 2.0",
        "walk seed 0: 1 of 9 steps, score 2",
        "walk seed 0: 2 of 9 steps, score 4",
    ]


def shown(progress, width=100, height=24, **settings):
    """What the view would draw, without colours."""
    console = Console(file=io.StringIO(), record=True, width=width, height=height, **settings)
    console.print(progress.get_renderable())
    return console.export_text()


@pytest.fixture
def view(request):
    """The view on a screen of (columns, lines), 100 by 24 if not given, and its listener."""
    width, height = getattr(request, "param", (100, 24))
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, highlight=False)
    with LiveProgress(console, auto_refresh=False) as progress:
        yield progress, TerminalProgress(progress)


def follow(listener, which, reports=REPORTS):
    listener.on_phase(which, "train")
    for number, report in enumerate(reports):
        listener.on_progress(which, 10 * (number + 1), 1200, report)


def test_a_panel_shows_each_reading_its_course_and_the_bar(view):
    progress, listener = view
    follow(listener, plan())
    top, *rows, bar, bottom = shown(progress).splitlines()
    assert top.startswith("╭─ walk seed 0: training ─")
    assert bottom.startswith("╰─")
    cells = [row.strip("│ ").split("  ") for row in rows]
    assert [[cell.strip() for cell in row if cell.strip()] for row in cells] == [
        ["detection rate", "0.06", "▁█▃", "0.05 to 0.09"],
        ["logical error rate", "0.002", "▁", "0.002 to 0.002"],
        ["sigma", "0.3", "█▅▁", "0.3 to 0.5"],
        ["epochs/s", "2,500", "▇▁█", "99.94 to 2,500"],
    ]
    assert bar.startswith("│ 30 of 1,200 epochs ")
    assert " 2% " in bar


@pytest.mark.parametrize("view", [(200, 24)], indirect=True)
def test_the_panel_ends_with_the_training_and_the_last_line_has_its_numbers(view):
    progress, listener = view
    follow(listener, plan())
    listener.on_phase(plan(), "evaluate")
    assert "walk seed 0: evaluation" in shown(progress)
    assert "detection rate" not in shown(progress)
    listener.on_end(plan(), RunOutcome("a", "b", "finished", 3.0))
    assert f"walk seed 0: finished in 3 s, {WORDS}" in progress.console.file.getvalue()
    follow(listener, plan(), REPORTS[:1])
    assert progress.tasks[0].fields["note"] == "detection rate 0.05, sigma 0.5, 2,000 epochs/s"


def test_runs_without_views_keep_their_bar(view):
    progress, listener = view
    follow(listener, plain_plan(1), [{"episode_return": -1.0}])
    follow(listener, plan(2))
    listener.on_code(plain_plan(1), code(3, 12))
    lines = shown(progress).splitlines()
    assert lines[0].startswith("╭─ walk seed 2: training")
    assert lines[-1].startswith("walk seed 1: training ")
    assert lines[-1].rstrip().endswith("episode return -1")
    assert len(lines) == 8


@pytest.mark.parametrize("view", [(120, 12)], indirect=True)
def test_panels_are_as_many_as_the_screen_has_room_for(view):
    progress, listener = view
    for seed in range(3):
        follow(listener, plan(seed))
    lines = shown(progress, 120, 12).splitlines()
    assert [line.split(": training")[0] for line in lines if "training" in line] == [
        "╭─ walk seed 0",
        "walk seed 1",
        "walk seed 2",
    ]
    assert len(lines) <= 12
    assert all("detection rate 0.06" in line for line in lines[-2:])


@pytest.mark.parametrize("view", [(62, 24), (80, 24), (200, 24)], indirect=True)
def test_a_panel_fits_the_screen(view):
    progress, listener = view
    follow(listener, plan(), [{"cost": 0.1 + 1e-4 * (i % 7), "sigma": 0.5} for i in range(1000)])
    width = progress.console.size.width
    lines = shown(progress, width).splitlines()
    assert len(lines) == 5
    assert all("0.1 to 0.1006" in line for line in lines if "detection" in line)
    assert {len(line.rstrip()) for line in lines} == {len(lines[0].rstrip())}
    assert len(lines[0].rstrip()) <= width


def test_names_are_no_markup(view):
    progress, listener = view
    follow(listener, plan(0, **{"environment.gates": "[bold]"}))
    assert "walk seed 0 gates=[bold]: training" in shown(progress)


def test_lines_say_the_same_numbers():
    lines, now = [], [0.0]
    listener = LineProgress(lines.append, seconds=10.0, clock=lambda: now[0])
    listener.on_phase(plan(), "train")
    for number, report in enumerate(REPORTS):
        now[0] = 6.0 * number
        listener.on_progress(plan(), 10 * (number + 1), 1200, report)
    assert lines == [f"walk seed 0: 30 of 1,200 epochs, {WORDS}"]
