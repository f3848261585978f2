"""`qecforge reproduce apq`: what it would do, what it prints, what it refuses."""

from __future__ import annotations

import pytest
from apq_records import file_run, planned_runs
from cli_harness import invoke, one_line

from qecforge import Store


def test_quick_is_e1_and_table_2_with_two_seeds(tmp_path):
    result = invoke("reproduce", "apq", "--quick", "--dry-run", "--store", f"sqlite:///{tmp_path}/none.db")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [(line[1], line[2], line[3]) for line in lines] == [
        ("e1", method, seed) for method in ("fp32", "ptq", "smoothquant", "lsq", "apq") for seed in "01"
    ]
    assert not (tmp_path / "none.db").exists()


def test_everything_is_four_experiments_nine_methods_five_seeds(tmp_path):
    result = invoke("reproduce", "apq", "--dry-run", "--store", f"sqlite:///{tmp_path}/none.db")
    assert len(result.stdout.splitlines()) == 2 + 4 * 9 * 5


def test_tables_of_a_store_are_printed_and_written(tmp_path):
    url = f"sqlite:///{tmp_path}/results.db"
    with Store(url) as store:
        for each in planned_runs(methods=("fp32", "ptq"), seeds=2):
            file_run(store, each)
    result = invoke("reproduce", "apq", "--quick", "--tables-only", "--store", url, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "90.10 ± 0.14 [88.83, 91.37]" in result.stdout
    assert "6 of 10 runs are not in the store" in result.stderr
    assert (tmp_path / "out" / "table2.csv").exists()
    assert (tmp_path / "out" / "e1_flips.png").exists()
    shown = invoke("reproduce", "apq", "--quick", "--dry-run", "--store", url).stdout
    assert shown.count("finished") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "apqq"), "unknown method 'apqq'. Did you mean 'apq'? Known: "),
        (("--experiments", "e9"), "unknown experiment 'e9'"),
        (("--dry-run", "--tables-only"), "choose one of them"),
        (("--set", "agent.gama=1", "--dry-run"), "agent.gama"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, message):
    assert message in one_line(invoke("reproduce", "apq", *arguments))


def test_a_missing_store_is_one_line(tmp_path):
    result = invoke("reproduce", "apq", "--tables-only", "--store", f"sqlite:///{tmp_path}/none.db")
    assert "none.db" in one_line(result)


SMALL = (
    "agent.policy={hidden_sizes: [16], activation: gelu}",
    "agent.total_steps=1024",
    "agent.num_envs=16",
    "agent.horizon=32",
    "quantizer.fine_tune.total_steps=1024",
    "evaluation.search.episodes=16",
    "evaluation.decision_fidelity.states=100",
    "evaluation.logical_error_rate={p: [3.0e-3], shots: 1000}",
)


@pytest.mark.slow
def test_it_carries_out_what_it_tabulates_and_skips_what_is_there(tmp_path):
    """Every method, in small: table 2 has a row of each, table 3 too, and the second time nothing is run."""
    store = f"sqlite:///{tmp_path}/results.db"
    settings = [argument for value in SMALL for argument in ("--set", value)]
    command = ["reproduce", "apq", "--experiments", "e1", "--seeds", "1", "--store", store, *settings]
    first = invoke(*command)
    assert first.exit_code == 0, first.output
    for title in ("Table 2", "Table 3", "Claims", "Flips", "Logit noise", "Search", "Latency"):
        assert title in first.stdout
    with Store(store, read_only=True) as opened:
        runs = opened.runs()
        assert {run.status for run in runs} == {"finished"}
        assert len(runs) == 9
        assert len([run for run in runs if run.quantizer is None]) == 1
        before = {run.id: run.ended_at for run in runs}
    second = invoke(*command)
    assert second.stdout == first.stdout
    with Store(store, read_only=True) as opened:
        assert {run.id: run.ended_at for run in opened.runs()} == before
