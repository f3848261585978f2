"""The table of widths, and runs of the reproduction in a file of records."""

import json

import pytest
from apq_records import file_run, planned_runs

from qecforge import Registry, Store
from qecforge.reproduction.records import adopt_records, keep_records, read_records, records_of
from qecforge_apq.reproduction.latencies import measure_latencies
from qecforge_apq.reproduction.report import report_of
from qecforge_apq.reproduction.runs import collect, plan_runs
from qecforge_apq.reproduction.spec import REPRODUCTION

METHODS = ("fp32", "ptq", "distil")
EXPERIMENTS = ("e1", "e1_4bits", "e2_4bits", "e3_4bits")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture
def planned():
    return planned_runs(EXPERIMENTS, METHODS)


@pytest.fixture
def filled(store, planned):
    for each in planned:
        file_run(store, each, latency=False)
    return store


def test_methods_side_by_side_at_each_width(filled, planned):
    report = report_of(collect(filled, planned))
    rows = report.tables["widths"].rows
    ptq, distilled = "PTQ (per-tensor)", "distilled"
    assert [(row["bits"], row["experiment"], row["method"]) for row in rows] == [
        (8, "e1", ptq),
        (8, "e1", distilled),
        *((4, experiment, method) for experiment in ("e1", "e2", "e3") for method in (ptq, distilled)),
        (4, "mean", ptq),
        (4, "mean", distilled),
    ]
    last = rows[-1]
    assert last["seeds"] == 2
    assert last["top1"]["mean"] == pytest.approx(0.951)
    assert last["held_out"]["mean"] == pytest.approx(0.805)
    assert (last["seconds"]["mean"], last["step_change"]["mean"]) == pytest.approx((7.0, 0.1))
    assert (last["cpu_seconds"], rows[0]["held_out"]) == (None, None)


def test_tables_and_claims_of_the_paper_are_of_its_own_width(filled, planned):
    report = report_of(collect(filled, planned))
    assert {row["experiment"] for row in report.tables["table2"].rows} == {"e1"}
    assert {claim.part for claim in report.claims} <= {"e1"}


def test_records_say_what_the_store_said(filled, planned, tmp_path):
    registry, path = Registry.load(), tmp_path / "apq.jsonl"
    before = report_of(collect(filled, planned)).tables
    assert keep_records(path, REPRODUCTION, filled, planned, registry) == len(planned)
    with Store(tmp_path / "other.db") as other:
        adopt_records(other, planned, records_of(planned, read_records(path), registry))
        after = report_of(collect(other, planned)).tables
        measure_latencies(other, planned, registry)  # there is no policy to measure
    for name in ("widths", "flips", "noise", "search"):
        assert after[name].rows == before[name].rows, name


def test_a_recorded_teacher_is_trained_where_a_student_of_it_is_new(filled, planned, tmp_path):
    """Records have no policies: what is to be quantized is not adopted."""
    registry, path = Registry.load(), tmp_path / "apq.jsonl"
    keep_records(path, REPRODUCTION, filled, planned, registry)
    more = planned_runs(("e1",), ("fp32", "ptq", "apq"), seeds=1)
    with Store(tmp_path / "other.db") as other:
        adopt_records(other, more, records_of(more, read_records(path), registry))
        assert [(run.quantizer, run.seed) for run in other.runs()] == [("ptq", 0)]


def test_decisions_alone_are_of_the_same_trainings():
    registry = Registry.load()
    both = [
        plan_runs(["e1", "e1_4bits"], METHODS, seeds=[0], registry=registry, decisions_only=alone)
        for alone in (False, True)
    ]
    assert [each.plan.identity for each in both[0]] == [each.plan.identity for each in both[1]]
    measured = [set(json.loads(each.plan.canonical)["evaluation"]) for each in both[1]]
    assert measured == [set() if each.method.name == "fp32" else {"decision_fidelity"} for each in both[1]]
    assert all("search" in json.loads(each.plan.canonical)["evaluation"] for each in both[0])
