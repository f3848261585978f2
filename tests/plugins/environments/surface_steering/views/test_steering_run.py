"""Figures of a run in the store: those that its record allows, with its numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from qecforge import Registry, Store
from qecforge.cli._readings import Readings
from qecforge.errors import StoreError
from qecforge.evaluation.statistics import wilson_interval
from qecforge_surface_steering.views import DECODER_STEERING, SURFACE_STEERING
from qecforge_surface_steering.views.run_figures import (
    error_rate_curves,
    run_figures,
    stabilizer_panels,
    traces,
)

EPOCHS = (0, 50, 100)


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


def file_run(store, *series, rounds=25, seed=3):
    """A run with series of (name, values at the epochs); a dictionary says other epochs."""
    run = store.begin_run(
        f"{seed:064x}",
        name="drift",
        seed=seed,
        manifest=json.dumps({"environment": {"plugin": "surface_steering"} | ({"rounds": rounds} if rounds else {})}),
        manifest_source="",
        environment="surface_steering",
        reward=None,
        agent="parameter_ppo",
        provenance={},
    )
    for name, values in series:
        points = values if isinstance(values, dict) else dict(zip(EPOCHS, values, strict=True))
        store.add_metrics(run.id, [(name, epoch, value, 0.0) for epoch, value in points.items()])
    return store.run(run.id)


def of_run(read, store, run):
    return read(store, run, store.metric_names(run.id))


def per_cycle(per_shot, rounds):
    return (1 - (1 - 2 * per_shot) ** (1 / rounds)) / 2


def error_rate(policy, prior, errors, shots=1000, rounds=25):
    path = f"steering/{policy}/{prior}"
    return [
        (f"{path}/ler", [per_cycle(each / shots, rounds) for each in errors]),
        (f"{path}/errors", errors),
        (f"{path}/shots", [shots] * len(errors)),
    ]


def test_error_rates_have_wilsons_intervals_per_cycle(store):
    run = file_run(store, *error_rate("steered", "nominal", [30, 0, 499]))
    points = of_run(error_rate_curves, store, run)["steered"]
    assert [point.x for point in points] == [0, 50, 100]
    interval = wilson_interval(30, 1000)
    assert points[0].y == pytest.approx(per_cycle(0.03, 25))
    assert (points[0].low, points[0].high) == pytest.approx((per_cycle(interval.low, 25), per_cycle(interval.high, 25)))
    assert (points[1].low, points[1].y) == (0, 0)
    assert points[2].high == 0.5


def test_curves_are_named_and_ordered_by_policy_and_prior(store):
    pairs = [
        ("optimal", "nominal"),
        ("steered", "learned"),
        ("steered", "nominal"),
        ("fixed", "mine"),
        ("fixed", "nominal"),
    ]
    run = file_run(store, *(each for pair in pairs for each in error_rate(*pair, [1, 2, 3])))
    assert list(of_run(error_rate_curves, store, run)) == [
        "fixed",
        "fixed, prior mine",
        "steered",
        "steered, learned prior",
        "optimal",
    ]


def test_an_interrupted_evaluation_shows_what_is_complete(store):
    rate, errors, shots = error_rate("fixed", "nominal", [10, 20, 30])
    run = file_run(store, rate, (errors[0], {0: 10, 50: 20}), (shots[0], {0: 1000}))
    assert [point.x for point in of_run(error_rate_curves, store, run)["fixed"]] == [0]


def test_rates_per_cycle_want_the_number_of_cycles(store):
    run = file_run(store, *error_rate("fixed", "nominal", [10, 20, 30]), rounds=None)
    with pytest.raises(StoreError, match=r"no environment\.rounds"):
        of_run(error_rate_curves, store, run)


def test_stabilizers_before_and_after(store):
    run = file_run(
        store,
        ("steering/stabilizer/fixed/(2, 0)", {0: 0.1, 100: 0.3}),
        ("steering/stabilizer/fixed/(0.5, 1)", {0: 0.2, 100: 0.4}),
        ("steering/stabilizer/steered/(2, 0)", {0: 0.1, 100: 0.15}),
        ("steering/stabilizer/steered/(0.5, 1)", {0: 0.2, 100: 0.25}),
        ("steering/stabilizer/steered/D7", {0: 0.2, 100: 0.25}),
    )
    assert of_run(stabilizer_panels, store, run) == {
        "fixed, epoch 0": {"(2, 0)": 0.1, "(0.5, 1)": 0.2},
        "fixed, epoch 100": {"(2, 0)": 0.3, "(0.5, 1)": 0.4},
        "steered, epoch 100": {"(2, 0)": 0.15, "(0.5, 1)": 0.25},
    }


def test_steered_alone_has_its_own_beginning(store):
    run = file_run(store, ("steering/stabilizer/steered/(2, 0)", {0: 0.1, 100: 0.15}))
    assert list(of_run(stabilizer_panels, store, run)) == ["steered, epoch 0", "steered, epoch 100"]


def test_traces_have_their_optimum(store):
    run = file_run(
        store,
        ("steering/trace/cz1-9.strength/mean", [0, 1, 2]),
        ("steering/trace/cz1-9.strength/optimum", [2, 2, 2]),
    )
    found = of_run(traces, store, run)
    assert list(found) == ["cz1-9.strength"]
    trace = found["cz1-9.strength"]
    assert np.array_equal([trace.epochs, trace.mean, trace.optimum], [EPOCHS, [0, 1, 2], [2, 2, 2]])


def test_figures_are_those_that_the_record_allows(store):
    whole = file_run(
        store,
        ("steering/fixed/rate", [0.1, 0.2, 0.3]),
        ("steering/steered/rate", [0.1, 0.1, 0.1]),
        ("steering/stabilizer/fixed/(2, 0)", {0: 0.1, 100: 0.3}),
        ("steering/trace/xy0.drag/mean", [0, 1, 2]),
        ("steering/trace/xy0.drag/optimum", [0, 1, 2]),
        *error_rate("steered", "learned", [1, 2, 3]),
    )
    drawn = run_figures(store, whole)
    assert list(drawn) == ["stabilizers", "traces", "detection_rate", "logical_error_rate"]
    (axes,) = drawn["detection_rate"].axes
    assert [(line.get_label(), list(line.get_ydata())) for line in axes.lines] == [
        ("fixed", [0.1, 0.2, 0.3]),
        ("steered", [0.1, 0.1, 0.1]),
    ]
    assert axes.get_title() == "drift, seed 3"


def test_no_record_no_figure(store):
    run = file_run(store, ("cost", [0.1, 0.2, 0.3]))
    assert dict(SURFACE_STEERING.figures(store, run)) == {}
    assert dict(DECODER_STEERING.figures(store, run)) == {}


@pytest.mark.parametrize(
    ("view", "label"), [(SURFACE_STEERING, "detection rate"), (DECODER_STEERING, "logical error rate")]
)
def test_a_run_that_was_filed_before_its_number_was_called_cost_has_its_learning_curve(store, view, label):
    run = file_run(store, ("detection_rate", [0.1, 0.2, 0.3]), ("true_cost", [0.1, 0.15, 0.2]))
    (axes,) = view.figures(store, run)["learning_curve"].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs", label)
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "measured": [0.1, 0.2, 0.3],
        "without sampling noise": [0.1, 0.15, 0.2],
    }


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("surface_steering", "detection rate 0.04, logical error rate 0.002, sigma 0.3, 1,200 epochs/s"),
        ("decoder_steering", "logical error rate 0.04, of the mean 0.002, sigma 0.3, 1,200 epochs/s"),
    ],
)
def test_the_numbers_that_are_watched_have_the_names_of_their_device(environment, words):
    registry = Registry.load()
    specs = registry.environment(environment).spec, registry.agent("parameter_ppo").spec
    plan = SimpleNamespace(environment=SimpleNamespace(spec=specs[0]), agent=SimpleNamespace(spec=specs[1]))
    readings = Readings(plan)
    readings.add({"sigma": 0.3, "cost": 0.04, "time/epochs_per_second": 1200.4, "logical_error_rate": 0.002})
    assert (readings.words(), readings.unit) == (words, "epochs")
