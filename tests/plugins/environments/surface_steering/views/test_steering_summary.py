"""The few rows that a run of steering ends with, and how a long record is shown."""

import pytest
from steering_records import file_run, planned_runs

from qecforge import Store
from qecforge_surface_steering.views.summary import steering_summary


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as opened:
        yield opened


def test_control_and_priors_in_their_order(store):
    (planned,) = planned_runs("drift", seeds=1)
    series = {
        "steering/optimal/total": ([100], 0.03),
        "steering/steered/total": ([100], 0.035),
        "steering/fixed/total": ([100], 0.05),
        "steering/steered/learned/ler": ([0, 50, 100], [1e-3, 2e-3, 3e-3]),
        "steering/steered/learned/errors": ([0, 50, 100], [10, 20, 30]),
        "steering/steered/nominal/ler": ([0, 100], [2e-3, 4e-3]),
        "steering/steered/nominal/errors": ([0, 100], [7, 8]),
    }
    rows = steering_summary(store, [file_run(store, planned, series)]).rows
    assert [(row["control"], row["prior"], row["rate"]) for row in rows] == [
        ("fixed", None, 0.05),
        ("steered", "nominal", 0.035),
        ("steered", "learned", 0.035),
        ("optimal", None, 0.03),
    ]
    assert (rows[1]["ler"], rows[1]["errors"]) == (pytest.approx(3e-3), 15)
    assert (rows[2]["ler"], rows[2]["errors"]) == (pytest.approx(2e-3), 60)
    assert "ler" not in rows[0]


def test_priors_of_a_tuned_decoder(store):
    (planned,) = planned_runs("decoder", seeds=1)
    series = {
        f"decoder_priors/{prior}/{name}": ([0], value)
        for prior, ler in (("true", 1e-3), ("nominal", 3e-3), ("tuned", 2e-3))
        for name, value in (("ler", ler), ("errors", 1e5 * ler))
    }
    rows = steering_summary(store, [file_run(store, planned, series)]).rows
    assert [(row["prior"], row["ler"], row["errors"]) for row in rows] == [
        ("nominal", 3e-3, 300),
        ("tuned", 2e-3, 200),
        ("true", 1e-3, 100),
    ]


def test_nothing_where_nothing_was_recorded(store):
    (planned,) = planned_runs("drift", seeds=1)
    assert steering_summary(store, [file_run(store, planned, {"cost": ([0], 0.1)})]).rows == []
