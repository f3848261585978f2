"""`qecforge reproduce steering`: what it would do, what it prints, what it refuses."""

from __future__ import annotations

from collections import Counter

import pytest
from cli_harness import invoke, one_line
from steering_records import file_runs

from qecforge import Store


def test_quick_is_every_result_with_two_seeds(tmp_path):
    url = f"sqlite:///{tmp_path}/none.db"
    result = invoke("reproduce", "steering", "--quick", "--dry-run", "--store", url)
    assert result.exit_code == 0, result.output
    counted = Counter(line.split()[1] for line in result.stdout.splitlines()[2:])
    assert list(counted) == [
        "gradient_relation",
        "fine_tuning",
        "drift",
        "amplitudes",
        "decoder",
        "response",
        "recovery",
        "map",
        "scaling",
        "natural_drift",
        "baselines",
    ]
    assert (counted["drift"], counted["map"], counted["baselines"]) == (2, 28, 16)
    assert not (tmp_path / "none.db").exists()


def test_tables_of_a_store_are_printed_and_written(tmp_path):
    url = f"sqlite:///{tmp_path}/results.db"
    with Store(url) as store:
        file_runs(store, "drift", "response", seeds=1)
    options = ("--quick", "--results", "drift,response", "--store", url)
    result = invoke("reproduce", "steering", *options, "--tables-only", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 of 4 runs are not in the store" in result.stderr
    (claim,) = [line for line in result.stdout.splitlines() if "response to a step, epochs" in line]
    assert claim.split()[6:] == ["130", "120", "1", "at", "most", "130", "yes"]
    assert (tmp_path / "out" / "claims.csv").exists()
    assert (tmp_path / "out" / "response.png").read_bytes().startswith(b"\x89PNG")
    shown = invoke("reproduce", "steering", *options, "--dry-run").stdout
    assert (shown.count("finished"), shown.count("new")) == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--results", "respnse"), "unknown result 'respnse'. Did you mean 'response'? Known: gradient_relation, "),
        (("--dry-run", "--tables-only"), "choose one of them"),
        (("--results", "response", "--set", "agent.clipp=1", "--dry-run"), "agent.clipp"),
        (("--results", "scaling", "--set", "environment.distance=3", "--dry-run"), "sweep.environment.distance"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, message):
    assert message in one_line(invoke("reproduce", "steering", *arguments))


TINY = (
    "environment.distance=3",
    "environment.rounds=4",
    "agent.total_epochs=40",
    "agent.snapshots=41",
    "evaluation.steering.ler_epochs=3",
    "evaluation.steering.shots=200",
    "evaluation.steering.calibration_shots=500",
    "environment.drift=[{profile: step, begins: 10, amplitude: 3.0, gates: ['xy*'], kinds: [amplitude]}]",
)


def test_it_carries_out_what_it_tabulates_and_skips_what_is_there(tmp_path):
    """Drift, in small: a row of each control, and the second time nothing is run."""
    store = f"sqlite:///{tmp_path}/results.db"
    settings = [argument for value in TINY for argument in ("--set", value)]
    command = ["reproduce", "steering", "--results", "drift", "--seeds", "1", "--store", store, *settings]
    first = invoke(*command, "--workers", "1")
    assert first.exit_code == 0, first.output
    for title in ("Claims of the paper", "Injected drift, beside fixed control", "Response to a step", "Factor graph"):
        assert title in first.stdout
    with Store(store, read_only=True) as opened:
        before = {run.id: run.ended_at for run in opened.runs()}
        (run,) = before
        names = opened.metric_names(run)
        assert {"steering/steered/learned/ler", "steering/optimal/nominal/errors", "steering/response/0"} <= set(names)
    second = invoke(*command)
    assert second.stdout == first.stdout
    with Store(store, read_only=True) as opened:
        assert {run.id: run.ended_at for run in opened.runs()} == before
