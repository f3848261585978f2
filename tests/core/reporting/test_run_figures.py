"""Figures that every run can have, drawn from the tables of a store."""

import numpy as np
import pytest

from qecforge import StabilizerCode, Store
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.evaluation.policies.fidelity import decision_fidelity
from qecforge.evaluation.statistics import fit_slope, wilson_interval
from qecforge.reporting.run_figures import (
    MOST_CURVES,
    codes_figure,
    decisions_figure,
    error_rates_figure,
    learning_curve,
    metrics_figure,
)
from qecforge.reporting.views import run_figures
from qecforge.testing.examples import discovered, distance, example_code, example_run, example_task


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


def file_code(store, run, name="five_qubit", gates=12, step=100, proved=None):
    return store.add_discovery(
        run.id, discovered(example_code(name), gates, step=step), proved or distance(3), wall_time=1.0, proof={}
    )


def file_rates(store, record, rates, *, shots=10_000, name="five_qubit", **fields):
    for p, errors in rates.items():
        task = example_task(example_code(name), p, **fields)
        store.add_error_counts(record.id, task, 0, ErrorCounts(shots=shots, errors=errors))


def test_a_run_with_nothing_has_none(store):
    run = example_run(store)
    assert [draw(store, run) for draw in (learning_curve, codes_figure, error_rates_figure)] == [None] * 3


def test_learning_curves_are_returns_or_costs_under_the_name_that_a_view_gives(store):
    plays, searches = example_run(store, "a"), example_run(store, "b")
    store.add_metrics(plays.id, [("episode_return", 0, -3.0, 0.0), ("episode_return", 5, -1.0, 0.0)])
    store.add_metrics(searches.id, [("cost", 0, 0.5, 0.0), ("cost", 5, 0.25, 0.0), ("true_cost", 5, 0.2, 0.0)])
    (axes,) = learning_curve(store, plays).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("environment steps", "mean episode return")
    assert list(axes.lines[0].get_ydata()) == [-3.0, -1.0]
    (axes,) = learning_curve(store, searches, labels={"cost": "detection rate"}, x="epochs").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs", "detection rate")
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "measured": [0.5, 0.25],
        "without sampling noise": [0.2],
    }


def test_codes_are_points_of_steps_and_gates_by_distance(store):
    run = example_run(store)
    store.add_metrics(run.id, [("episode_return", 900, -1.0, 0.0)])
    file_code(store, run, gates=12, step=100)
    file_code(store, run, "steane", gates=20, step=50, proved=distance(3, "lower_bound"))
    file_code(store, run, "repetition", gates=4, step=10, proved=distance(1))
    file_code(store, run, "four_qubit", gates=8, step=300, proved=distance(2))
    above, below = codes_figure(store, run).axes
    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert labels == [
        "[[5,1,3]], 1 code",
        "[[7,1,>=3]], 1 code",
        "[[4,2,2]], 1 code",
        "[[3,1,1]], 1 code",
        "fewest so far",
    ]
    points = [each.get_offsets().tolist() for each in above.collections]
    assert points == [[[100, 12]], [[50, 20]], [[300, 8]], [[10, 4]]]
    assert [len(each.get_facecolors()) for each in above.collections] == [1, 0, 1, 1]  # hollow where only bounded
    assert above.get_ylabel() == "gates of the shortest encoder"
    assert list(below.lines[0].get_xdata()) == [0, 100, 900]


def test_the_fewest_gates_so_far(store):
    run = example_run(store)
    for step, gates, qubits in ((100, 14, "01234"), (200, 20, "10234"), (300, 9, "21034")):
        generators = ("XZZXI", "IXZZX", "XIXZZ", "ZXIXZ")
        code = StabilizerCode.from_paulis(["".join(each[int(qubit)] for qubit in qubits) for each in generators])
        store.add_discovery(run.id, discovered(code, gates, step=step), distance(3), wall_time=1.0, proof={})
    above, below = codes_figure(store, run).axes
    line = above.lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([100, 200, 300, 300], [14, 14, 9, 9])
    assert list(below.lines[0].get_ydata()) == [0, 1, 2, 3, 3]


def test_error_rates_have_intervals_and_the_fit_of_the_counts(store):
    run = example_run(store)
    record = file_code(store, run)
    rates = {1e-3: 4, 2e-3: 18, 4e-3: 60, 8e-3: 250}
    file_rates(store, record, rates)
    (axes,) = error_rates_figure(store, run).axes
    fit = fit_slope([(p, ErrorCounts(shots=10_000, errors=errors)) for p, errors in rates.items()])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [
        f"[[5,1,3]] {record.id}",
        f"fit: $p^{{{fit.slope:.2f}}}$, 95 % interval {fit.low:.2f} to {fit.high:.2f}",
    ]
    (drawn,) = axes.containers
    (low, high), *_ = drawn.lines[2][0].get_segments()
    interval = store.error_rates(record.id)[0].interval
    assert (low[1], high[1]) == pytest.approx((interval.low, interval.high))
    dashed = next(line for line in axes.lines if line.get_linestyle() == "--")
    assert list(dashed.get_ydata()) == pytest.approx([fit.prefactor * p**fit.slope for p in (1e-3, 8e-3)])
    assert axes.get_title() == "noise noise, memory, flag extraction, 3 rounds, decoder bposd"


def test_curves_are_told_apart_by_what_differs(store):
    run = example_run(store)
    record = file_code(store, run)
    for factor, decoder in ((1.0, "bposd"), (0.5, "bposd"), (1.0, "ml_lookup")):
        noise = f'{{"idle":{factor},"model":"depolarizing"}}'
        file_rates(store, record, {1e-3: 4, 2e-3: 16}, noise=noise, decoder=decoder)
    (axes,) = error_rates_figure(store, run).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()][::2]
    begin = f"[[5,1,3]] {record.id}"
    assert set(names) == {
        f"{begin}, idle 1.0, decoder bposd",
        f"{begin}, idle 0.5, decoder bposd",
        f"{begin}, idle 1.0, decoder ml_lookup",
    }
    assert axes.get_title() == "depolarizing noise, memory, flag extraction, 3 rounds"


def test_too_little_for_a_line_is_points_alone(store):
    run = example_run(store)
    file_rates(store, file_code(store, run), {1e-3: 0, 2e-3: 0})
    (axes,) = error_rates_figure(store, run).axes
    assert len(axes.get_legend().get_texts()) == 1
    upper = store.error_rates()[0].interval.high
    marks = [line for line in axes.lines if line.get_marker() == "v"]
    assert list(marks[0].get_ydata()) == pytest.approx([upper, upper])


def test_of_many_curves_those_of_the_best_codes_are_shown(store):
    run = example_run(store)
    best = file_code(store, run, gates=5)
    worse = file_code(store, run, "steane", gates=9)
    for rounds in range(1, 6):
        file_rates(store, best, {1e-3: 4, 2e-3: 16}, rounds=rounds)
        file_rates(store, worse, {1e-3: 4, 2e-3: 16}, name="steane", rounds=rounds)
    (axes,) = error_rates_figure(store, run).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()][::2]
    assert len(names) == MOST_CURVES
    assert [name.split()[1].strip(",") for name in names] == [best.id] * 5 + [worse.id]
    assert axes.get_title().endswith("6 of 10 curves")


def test_where_nothing_else_is_drawn_what_was_logged_is(store):
    run = example_run(store)
    store.add_metrics(run.id, [(name, step, float(step), 0.0) for name in "fbaced" for step in (1, 2)])
    assert list(run_figures(store, run, []).found) == ["metrics"]
    axes = metrics_figure(store, run).axes
    assert [each.get_ylabel() for each in axes] == ["a", "b", "c", "d"]
    assert list(axes[0].lines[0].get_ydata()) == [1.0, 2.0]


def test_decisions_are_bars_over_the_margin(store):
    """Of 100 states of margin 0.05, each there twice, 20 are decided otherwise."""
    run = example_run(store)
    teacher = np.tile(np.array([1.0, 0.95, 0.0], np.float32), (200, 1))
    student = teacher.copy()
    student[:40, :2] = [0.95, 1.0]
    found = decision_fidelity(teacher, student, identities=np.arange(200) // 2)
    assert decisions_figure(store, run) is None
    store.add_policy_evaluation(run.id, "decision_fidelity", found.values(), payload=found.to_payload())
    (axes,) = decisions_figure(store, run).axes
    (bar,) = axes.patches
    low, high = wilson_interval(20, 100).low, wilson_interval(20, 100).high
    assert bar.get_height() == pytest.approx(20.0)
    assert axes.get_xticklabels()[0].get_text() == "[0, 0.1)\n100 states"
    (whisker,) = axes.collections[0].get_segments()
    assert [y for _, y in whisker] == pytest.approx([100 * low, 100 * high])
    assert "80.00 % of 200 states" in axes.get_title()
