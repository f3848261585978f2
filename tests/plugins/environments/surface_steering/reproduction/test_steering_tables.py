"""The reproduction of the steering paper: its runs, and the tables made of records whose answers are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from steering_records import FACTOR, GAMMA, SLOWNESS, error_rates, file_run, file_runs, planned_runs

from qecforge import Registry, Store
from qecforge.errors import ConfigurationError
from qecforge.reporting.tables import to_csv, to_json, to_text
from qecforge.reproduction.claims import claims_table
from qecforge.reproduction.files import tables_of
from qecforge_surface_steering.reproduction import sweeps as sweeps
from qecforge_surface_steering.reproduction import tables as tables
from qecforge_surface_steering.reproduction.claims import claims
from qecforge_surface_steering.reproduction.report import report_of
from qecforge_surface_steering.reproduction.runs import collect, experiments, manifest_names, plan_runs


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture
def filled(store):
    """Of results, with their known records."""
    return lambda *results, **options: collect(store, file_runs(store, *results, **options))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """All results, each with its known records."""
    with Store(tmp_path_factory.mktemp("everything") / "results.db") as opened:
        return collect(opened, file_runs(opened, *experiments()))


def test_every_result_is_valid_in_both_sizes():
    sizes = {}
    for quick in (False, True):
        planned = planned_runs(*experiments(), seeds=1, quick=quick)
        assert len({each.plan.identity for each in planned}) == len(planned)
        assert {each.experiment for each in planned} == set(experiments())
        sizes[quick] = len(planned)
    assert sizes[True] < sizes[False]


def test_every_manifest_of_a_result_is_an_example():
    used = {name for each in experiments().values() for name in each.manifests}
    assert used <= set(manifest_names())


def test_overrides_reach_the_manifests_that_they_are_about():
    planned = planned_runs("gradient_relation", "drift", overrides=["evaluation.steering.shots=77", "agent.clip=0.1"])
    assert {each.plan.agent.config.clip for each in planned} == {0.1}
    for each in planned:
        ((spec, config),) = each.plan.evaluation.others
        assert (spec.name, config.shots == 77) == (spec.name, each.experiment == "drift")


def test_an_unknown_result_is_one_line():
    with pytest.raises(ConfigurationError, match=r"unknown result 'drfit'\. Did you mean 'drift'"):
        plan_runs(["drfit"], seeds=[0], registry=Registry.load())


def test_labels_say_what_the_sweep_sets():
    labels = [each.labels["sweep"] for each in planned_runs("map", "scaling", seeds=1)]
    assert labels[0] == "entropy 0.01, frequency 0.001, amplitude 1.0"
    assert labels[-1] == "distance 7"


def test_gradient_relation(filled):
    rows = tables.gradient_table(filled("gradient_relation")).rows
    assert [row["distance"] for row in rows] == [3, 5]
    assert [row["slope"]["mean"] for row in rows] == pytest.approx([0.95 * 2, 0.95 * 3])
    half = 12.7062 * 0.1  # Student's t with one degree of freedom; the seeds have 1.8 and 2.0
    assert (rows[0]["slope"]["low"], rows[0]["slope"]["high"]) == pytest.approx((1.9 - half, 1.9 + half), rel=1e-5)
    assert (rows[0]["seeds"], rows[0]["directions"], rows[0]["ler"]["mean"]) == (2, 40, 2e-3)


def test_fine_tuning(filled):
    rows = tables.fine_tuning_table(filled("fine_tuning")).rows
    assert [row["code"] for row in rows] == ["color, d = 5", "surface, d = 5"]
    for row in rows:
        assert row["reduction"]["mean"] == pytest.approx(0.2)
        assert row["optimal"]["mean"] == pytest.approx(0.3)
        assert row["rate"]["mean"] == pytest.approx(0.1)


def test_injected_drift(filled):
    rows = {row["control"]: row for row in tables.drift_table(filled("drift")).rows}
    steered, with_decoder = rows["steered"], rows["steered, decoder steered"]
    assert (steered["reduction"]["mean"], steered["stability"]["mean"]) == pytest.approx((0.24, 2.4), rel=1e-3)
    assert (with_decoder["reduction"]["mean"], with_decoder["stability"]["mean"]) == pytest.approx(
        (0.31, 3.5), rel=1e-3
    )
    assert (steered["rate_reduction"]["mean"], steered["rate_stability"]["mean"]) == pytest.approx((0.1, 4), rel=1e-3)
    assert "fixed, decoder steered" not in rows
    assert rows["optimal control"]["reduction"] is None
    assert rows["optimal control"]["note"] == "no logical error rates of optimal, nominal (2 of 2 seeds)"


def test_a_tuned_decoder(filled):
    rows = {row["prior"]: row for row in tables.decoder_table(filled("decoder")).rows}
    assert list(rows) == ["nominal", "tuned", "learned", "true"]
    assert rows["tuned"]["reduction"]["mean"] == pytest.approx(0.5)
    assert rows["true"]["reduction"]["mean"] == pytest.approx(1 - 1.9 / 4)
    assert (rows["nominal"]["reduction"], rows["nominal"]["ler"]["mean"]) == (None, 4e-3)


def test_counting_noise_is_not_instability(store):
    """What fluctuates by counting alone has no stability; what fluctuates more keeps its own."""
    (planned,) = planned_runs("drift", seeds=1)
    rng, epochs, shots, rounds = np.random.default_rng(0), np.arange(0, 30_000, 10), 2000, 25
    series = {}
    for policy, amplitude in (("fixed", 1e-3), ("steered", 5e-4)):
        truth = 4e-3 + amplitude * np.sin(2 * np.pi * epochs / 1000)
        errors = rng.binomial(shots, (1 - (1 - 2 * truth) ** rounds) / 2)
        ler = (1 - (1 - 2 * errors / shots) ** (1 / rounds)) / 2
        path = f"steering/{policy}/nominal"
        series |= {f"{path}/ler": (epochs, ler), f"{path}/errors": (epochs, errors), f"{path}/shots": (epochs, shots)}
    file_run(store, planned, series)
    row = tables.drift_table(collect(store, [planned])).rows[0]
    assert row["stability"]["mean"] == pytest.approx(2, rel=0.05)
    assert row["rate_stability"] is None


def test_amplitudes(filled):
    rows = tables.amplitudes_table(filled("amplitudes")).rows
    steered = {row["amplitude"]: row["reduction"]["mean"] for row in rows if row["control"] == "steered"}
    assert steered == pytest.approx({amplitude: amplitude / 10 for amplitude in steered})
    assert len(steered) == 4


def test_response(filled):
    rows = {row["manifest"]: row for row in tables.response_table(filled("response", "drift")).rows}
    assert rows["step_response"]["epochs"]["mean"] == pytest.approx(120, rel=1e-3)
    assert rows["step_response"]["followed"]["mean"] == pytest.approx(0.9, rel=1e-3)
    assert rows["step_response"]["step"] == "amplitude"
    assert rows["drift_d5"]["epochs"]["mean"] == pytest.approx(60, rel=1e-3)


def test_recovery(filled):
    (row,) = tables.recovery_table(filled("recovery")).rows
    assert row["epochs"]["mean"] == pytest.approx(900, rel=1e-6)
    assert row["start"]["mean"] == pytest.approx(10)
    assert row["final"]["mean"] == pytest.approx(1.015)


def test_a_recovery_that_one_seed_misses_has_no_mean(store):
    first, second = planned_runs("recovery")
    epochs = np.arange(0, 1501, 10)
    for planned, end in ((first, 1.0), (second, 2.0)):
        ratio = np.maximum(10.0 ** (1 - epochs / 1000), end)
        file_run(
            store, planned, {"steering/steered/rate": (epochs, ratio / 20), "steering/optimal/rate": (epochs, 0.05)}
        )
    (row,) = tables.recovery_table(collect(store, [first, second])).rows
    assert row["epochs"] is None
    assert row["note"] == "not reached (1 of 2 seeds)"


def test_map_and_its_critical_frequency(filled):
    rows = sweeps.map_table(filled("map")).rows
    critical = {row["entropy"]: row["critical"]["mean"] for row in rows if "critical" in row}
    assert critical == pytest.approx({0.01: 1 / 150, 0.1: 1 / 150})
    points = {row["frequency"]: row["improvement"]["mean"] for row in rows if row.get("frequency")}
    assert points[0.001] == pytest.approx(math.log(1000 / 150))


def test_settling_epochs_are_left_out(store):
    (planned, *_) = planned_runs("map", seeds=1, overrides=["evaluation.steering.settle=500"])
    steps = np.arange(10, 1001, 10)
    series = {"true_cost": (steps, np.where(steps > 500, 0.045, 9.0))}
    file_run(
        store, planned, series | {"steering/fixed/total": ([1000], 0.05), "steering/optimal/total": ([1000], 0.04)}
    )
    rows = sweeps.map_table(collect(store, [planned])).rows
    assert rows[0]["improvement"]["mean"] == pytest.approx(0.5)
    assert rows[1]["note"] == "fewer than two frequencies (1 of 1 seeds)"


def test_scaling_finds_one_rate_at_every_size(filled):
    results = filled("scaling")
    rows = sweeps.scaling_table(results).rows
    assert [(row["parameters_per_gate"], row["distance"]) for row in rows] == [
        *((P, d) for P in (1, 10) for d in (3, 5, 7, 9)),
        *((30, d) for d in (3, 5, 7)),
    ]
    assert (rows[0]["parameters"], rows[7]["parameters"]) == (41, 4490)
    for row in rows:
        assert row["gamma"]["mean"] == pytest.approx(GAMMA, rel=1e-3)
        assert row["gamma_ler"]["mean"] == pytest.approx(GAMMA, rel=0.02)
        assert row["factor"]["mean"] == pytest.approx(FACTOR, rel=1e-3)
    for row in sweeps.trend_table(results).rows:
        assert row["exponent"] == pytest.approx(0, abs=0.02)
        assert (row["points"], row["mean"]["seeds"]) == (6 if row["parameters_per_gate"] == 30 else 8, 2)


def test_a_scaling_without_logical_errors_says_so(store):
    planned = planned_runs("scaling", seeds=1)
    epochs = np.arange(0, 201, 4)
    for each in planned:
        file_run(store, each, error_rates("optimal", epochs, 0.0, rounds=10))
    row = sweeps.scaling_table(collect(store, planned)).rows[0]
    assert row["gamma"] is row["gamma_ler"] is row["factor"] is None
    assert "LER: logical errors of fewer than two distances (1 of 1 seeds)" in row["note"]


def test_natural_drift_is_suppressed_by_half(filled):
    rows = {row["of"]: row for row in sweeps.natural_drift_table(filled("natural_drift")).rows}
    for row in rows.values():
        assert row["suppression"]["mean"] == pytest.approx(20 * math.log10(2), abs=0.05)
        assert row["corner"]["mean"] == pytest.approx(60 / 4096, rel=0.3)


def test_baselines(filled):
    rows = sweeps.baselines_table(filled("baselines")).rows
    assert [row["method"] for row in rows[:4]] == ["parameter_ppo", "PGPE", "CMA-ES", "SPSA"]
    assert rows[0]["epochs_50"]["mean"] == pytest.approx(SLOWNESS["parameter_ppo"] * math.log(2), rel=0.01)
    assert rows[0]["epochs_10"]["mean"] == pytest.approx(SLOWNESS["parameter_ppo"] * math.log(10), rel=0.01)
    assert rows[0]["cycles"] == pytest.approx(40_000 * rows[0]["epochs_50"]["mean"])
    assert rows[1]["left"]["mean"] == pytest.approx(math.exp(-500 / 80))
    assert (rows[3]["epochs_50"], rows[3]["cycles"]) == (None, None)
    assert rows[3]["note"] == "50% not reached (2 of 2 seeds); 10% not reached (2 of 2 seeds)"
    assert [row["parameters"] for row in rows[::4]] == [3 * 41, 3 * 129]


def test_factor_graph_is_beside_the_papers(filled):
    stabilizers, detectors = sweeps.graph_table(filled("drift", seeds=1)).rows
    assert (stabilizers["parameters"], stabilizers["per_objective_theirs"], detectors["per_parameter_theirs"]) == (
        1290,
        302,
        18,
    )
    assert stabilizers["per_objective"] * 24 == pytest.approx(stabilizers["per_parameter"] * 1290)


def test_claims_say_what_holds(everything):
    said = {row["claim"]: row for row in claims_table(claims(everything)).rows}
    holding = [
        "d log LER = (d+1)/2 d log C at d = 3",
        "fine-tuning lowers the LER, surface, d = 5",
        "steered: lower LER",
        "steered, decoder steered: LER more stable, times",
        "decoder steering lowers the LER further, by",
        "recovery from randomised controls, epochs",
        "γ independent of d, P = 1, from detection rates: exponent",
        "slow fluctuations of log LER suppressed, dB",
        "epochs to half the excess at d = 5, beside the best other",
    ]
    assert [said[name]["holds"] for name in holding] == [True] * len(holding)
    assert said["decoder steering lowers the LER further, by"]["value"]["mean"] == pytest.approx(0.07, rel=1e-3)
    assert said["epochs to half the excess at d = 5, beside the best other"]["criterion"].endswith("PGPE's")
    assert said["response to a step, epochs"]["value"]["mean"] == pytest.approx(120, rel=1e-3)


@pytest.mark.parametrize(("noise", "growth", "holds"), [(0.0, 0.0, True), (0.3, 0.0, None), (0.0, 1.0, False)])
def test_an_exponent_is_small_or_large_or_untold(store, noise, growth, holds):
    """γ ~ d^growth, with a scatter over the sizes."""
    planned = planned_runs("scaling", seeds=1)
    epochs, rng = np.arange(0, 401, 4), np.random.default_rng(0)
    for each in planned:
        d = each.plan.environment.config.distance
        gamma = GAMMA * (d / 5) ** growth * math.exp(noise * rng.standard_normal())
        rates = 0.04 / (1 - 0.5 * np.exp(-gamma * epochs))
        file_run(store, each, {"steering/steered/rate": (epochs, rates), "steering/optimal/rate": (epochs, 0.04)})
    row = claims_table(claims(collect(store, planned))).rows[0]
    assert row["claim"] == "γ independent of d, P = 1, from detection rates: exponent"
    assert row["holds"] is holds
    assert row["value"]["low"] - 1e-6 <= growth <= row["value"]["high"] + 1e-6
    assert "nan" not in row["ours"]


def test_a_claim_without_a_number_neither_holds_nor_fails(store):
    planned = planned_runs("response", seeds=1)
    file_run(store, planned[0], {"steering/response/0": ([300, 305], [0.0, 0.5])})
    (row,) = claims_table(claims(collect(store, planned))).rows
    assert (row["ours"], row["holds"], row["note"]) == ("", None, "2 points, 5 are needed (1 of 1 seeds)")


def test_nothing_finished_is_no_table_and_no_figure():
    assert tables_of(report_of([])) == {}
    assert report_of([]).figures() == {}


def test_tables_can_be_written_in_every_format(everything):
    for table in tables_of(report_of(everything)).values():
        assert len(json.loads(to_json(table))) == len(table.rows)
        assert len(to_csv(table).splitlines()) == len(table.rows) + 1
        assert to_text(table)
