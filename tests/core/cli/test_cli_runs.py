"""`qecforge runs`."""

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from cli_harness import MANIFEST, invoke, one_line

from qecforge import Store

OLD_STORE = Path(__file__).parents[1] / "runs" / "assets" / "store_0001.tar.gz"


def ids(*arguments):
    result = invoke("runs", "list", "--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [row["id"] for row in json.loads(result.stdout)]


def test_list_as_table_json_and_csv_agree(filled):
    table = invoke("runs", "list").stdout
    rows = json.loads(invoke("runs", "list", "--format", "json").stdout)
    lines = list(csv.DictReader(io.StringIO(invoke("runs", "list", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert [row["seed"] for row in rows] == [6, 5]
    for row in rows:
        assert row["id"] in table
        assert (row["status"], row["environment"], row["agent"]) == ("finished", "walk", "walker")
    assert rows[0].keys() == lines[0].keys()


def test_list_filters(filled):
    newest, oldest = ids()
    assert ids("--seed", 5) == [oldest]
    assert ids("--limit", 1) == [newest]
    assert ids("--status", "finished", "--environment", "walk", "--agent", "walker", "--name", "walk") == [
        newest,
        oldest,
    ]
    assert ids("--status", "failed") == []
    none = invoke("runs", "list", "--status", "failed")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "no run matches\n")


def test_show_has_all_of_a_run(filled):
    run_id = ids("--seed", 5)[0]
    text = invoke("runs", "show", run_id[:6]).stdout
    assert text.startswith(f"run {run_id}: walk, seed 5\nfinished, after ")
    for part in (
        "[[5,1,3]]",
        "policy.safetensors",
        "visits",
        f"manifest, as in its file (--format json shows it with the values of --set)\n{MANIFEST.strip()}",
    ):
        assert part in text
    document = json.loads(invoke("runs", "show", run_id, "--format", "json").stdout)
    assert document["manifest"]["seed"] == 5
    assert document["manifest_source"] == MANIFEST
    assert document["metrics"]["visits"]["last"] == 200.0
    assert [code["n"] for code in document["codes"]] == [5]
    (line,) = csv.DictReader(io.StringIO(invoke("runs", "show", run_id, "--format", "csv").stdout))
    assert line["id"] == run_id


def test_compare_gives_mean_and_interval_of_a_group(filled):
    with Store("sqlite:///results.db") as store:
        for run, value in zip(store.runs(), (1.0, 3.0), strict=True):
            store.add_policy_evaluation(run.id, "agreement", value)
    (row,) = json.loads(invoke("runs", "compare", *ids(), "--metric", "agreement", "--format", "json").stdout)
    assert (row["group"], row["runs"], row["mean"]) == ("walk", 2, 2.0)
    assert row["std"] == pytest.approx(2**0.5)
    assert row["interval"] == pytest.approx([2 - 12.7062, 2 + 12.7062], rel=1e-5)
    assert sorted(row["values"].values()) == [1.0, 3.0]
    assert "[-10.71, 14.71]" in invoke("runs", "compare", *ids(), "--metric", "agreement").stdout


def test_compare_has_a_dash_and_a_reason_where_there_is_no_number(filled):
    first, second = ids()
    with Store("sqlite:///results.db") as store:
        store.add_policy_evaluation(first, "alone", 1.0)
        for run_id, value in ((first, 1.0), (second, float("inf"))):
            store.add_metrics(run_id, [("endless", 1, value, 0.0)])
    result = invoke("runs", "compare", first, second, "--metric", "alone")
    assert result.stdout.splitlines()[-1].split()[:6] == ["walk", "alone", "1", "1", "-", "-"]
    assert result.stderr.splitlines() == [
        f"walk: run {second} has no alone",
        "walk: one run alone has no standard deviation and no interval: add seeds",
    ]
    result = invoke("runs", "compare", first, second, "--metric", "endless")
    assert f"walk: run {second}: the last endless is inf, and so is the mean: there is no interval" in result.stderr
    assert "nan" not in result.stdout + result.stderr
    rows = json.loads(invoke("runs", "compare", first, second, "--metric", "alone", "--format", "json").stdout)
    assert (rows[0]["std"], rows[0]["interval"]) == (None, [None, None])


def test_compare_refuses_one_run_that_is_named_twice(filled):
    first = ids()[0]
    for named in ((first, first), (first, first[:8])):
        assert "got one run, expected two or more" in one_line(invoke("runs", "compare", *named, "--metric", "cost"))


def test_compare_refuses_one_run_and_an_unknown_metric(filled):
    assert "two or more" in one_line(invoke("runs", "compare", ids()[0], "--metric", "visits"))
    assert "visits" in one_line(invoke("runs", "compare", *ids(), "--metric", "vists"))
    assert "confidence" in one_line(invoke("runs", "compare", *ids(), "--metric", "visits", "--confidence", "2"))


def test_delete_asks_first(filled):
    first, second = ids()
    refused = invoke("runs", "delete", first, input="n\n")
    assert refused.exit_code == 130
    assert "nothing was changed" in refused.stderr
    assert ids() == [first, second]
    done = invoke("runs", "delete", first, input="y\n")
    assert done.exit_code == 0
    assert ids() == [second]
    assert len(json.loads(invoke("codes", "list", "--format", "json").stdout)) == 1
    assert invoke("runs", "delete", second, "--yes").stdout == f"deleted: {second}\n"
    assert ids() == []
    assert json.loads(invoke("codes", "list", "--format", "json").stdout) == []


def test_delete_without_an_answer_deletes_nothing(filled):
    before = ids()
    assert invoke("runs", "delete", before[0]).exit_code == 130
    assert ids() == before
    assert invoke("runs", "delete", before[0], "zz", "--yes").exit_code == 2
    assert ids() == before


def test_a_point_of_a_sweep_is_an_object_in_json_and_words_in_tables(manifest, folder):
    manifest.write_text(
        manifest.read_text().replace("{count: {episodes: 5}}", "{returns: {episodes: 4}}").replace("[5, 6]", "[5]")
        + "sweep: {environment.size: [9, 11], agent.total_steps: [40]}\n"
    )
    ran = invoke("run", "walk.yaml")
    assert ran.exit_code == 0, ran.stderr
    table = ran.stdout[ran.stdout.index("policies") :]
    assert "sweep" in table.splitlines()[1]
    assert "environment.size=11, agent.total_steps=40" in table
    listed = json.loads(invoke("runs", "list", "--format", "json").stdout)
    assert [row["sweep_point"] for row in listed] == [
        {"agent.total_steps": 40, "environment.size": 11},
        {"agent.total_steps": 40, "environment.size": 9},
    ]
    assert "agent.total_steps=40, environment.size=11" in invoke("runs", "list").stdout
    assert '"{""agent.total_steps"": 40, ""environment.size"": 11}"' in invoke("runs", "list", "--format", "csv").stdout


def test_finished_runs_are_evaluated_further(filled):
    ids = [row["id"] for row in json.loads(invoke("runs", "list", "--format", "json").stdout)]
    result = invoke("runs", "evaluate", *ids, "--set", "evaluation.returns.episodes=4")
    assert result.exit_code == 0, result.stderr
    for run_id in ids:
        shown = json.loads(invoke("runs", "show", run_id, "--format", "json").stdout)
        assert shown["status"] == "finished"
        assert "return_mean" in shown["policy_evaluations"]["returns"]
        assert shown["manifest"]["evaluation"] == {
            "count": {"episodes": 5},
            "returns": {"deterministic": True, "episodes": 4},
        }
    again = invoke("runs", "evaluate", *ids, "--set", "evaluation.returns.episodes=4")
    assert again.exit_code == 0
    assert "nothing to do" in again.stderr
    wanted = ("--set", "evaluation.returns.episodes=5", "--dry-run", "--format", "json")
    rows = json.loads(invoke("run", "walk.yaml", *wanted).stdout)
    assert {row["in_store"] for row in rows} == {"finished, will be evaluated: returns"}
    for wrong, said in (
        ("agent.total_steps=3", "of a finished run only evaluations can be changed"),
        ("evaluation.retruns={}", "Did you mean 'returns'"),
    ):
        assert said in one_line(invoke("runs", "evaluate", ids[0], "--set", wrong))


def test_fewer_shots_than_are_there_are_enough(manifest):
    rates = "evaluation.logical_error_rate={p: [0.01], noise: depolarizing, shots: SHOTS}"
    asked = {shots: ("--set", rates.replace("SHOTS", str(shots))) for shots in (100, 200, 300)}
    ran = invoke("run", "walk.yaml", *asked[200])
    assert ran.exit_code == 0, ran.stderr

    def planned(*words):
        listed = invoke("run", "walk.yaml", *words, "--dry-run", "--format", "json")
        return {row["in_store"] for row in json.loads(listed.stdout)}

    assert planned(*asked[200]) == {"finished, will be skipped"}
    assert planned(*asked[100]) == {"finished, has enough shots: 200 were asked for before, 100 now"}
    assert planned(*asked[300]) == {"finished, will be evaluated: logical_error_rate"}
    assert planned(*asked[100], "--set", "evaluation.returns={}") == {
        "finished, has enough shots: 200 were asked for before, 100 now, will be evaluated: returns"
    }
    assert planned(*asked[100], "--set", "evaluation.logical_error_rate.max_errors=5") == {
        "finished, will be evaluated: logical_error_rate"
    }
    run_id = ids()[0]

    def drawn():
        with Store("sqlite:///results.db") as store:
            return [rate.shots for rate in store.error_rates(run=run_id)]

    before = drawn()
    assert before[0] >= 200
    result = invoke("runs", "evaluate", run_id, "--set", "evaluation.logical_error_rate.shots=100")
    assert result.exit_code == 0, result.stderr
    assert (
        result.stderr.splitlines()[0]
        == f"run {run_id} has enough shots: 200 were asked for before, 100 now: none are drawn"
    )
    assert drawn() == before
    again = invoke("run", "walk.yaml", *asked[100])
    assert "evaluates" not in again.stderr
    assert drawn() == before
    assert planned(*asked[200]) == {"finished, will be skipped"}  # what was asked for before is not forgotten


def test_groups_are_what_is_computed_and_unfinished_runs_are_named(manifest, folder):
    for steps in (40, 80):
        assert invoke("run", "walk.yaml", "--set", f"agent.total_steps={steps}").exit_code == 0
    with Store("sqlite:///results.db") as store:
        ids = [run.id for run in store.runs()]
        store.mark_run(ids[0], "interrupted")
    result = invoke("runs", "compare", *ids, "--metric", "reward", "--format", "json")
    groups = {row["group"]: row for row in json.loads(result.stdout)}
    assert {name: row["runs"] for name, row in groups.items()} == {
        "walk [agent.total_steps=40]": 2,
        "walk [agent.total_steps=80]": 2,
    }
    assert [line for line in result.stderr.splitlines() if ids[0] in line] == [
        f"walk [agent.total_steps=80]: run {ids[0]} is interrupted"
    ]


def test_a_store_of_an_older_schema_is_read(folder):
    with tarfile.open(OLD_STORE) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # Python 3.11.4
    result = invoke("runs", "list", "--store", "sqlite:///runs_0001.db", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)) == 7
    assert result.stderr == "the store is of an older schema; it is migrated\n"
    assert invoke("runs", "list", "--store", "sqlite:///runs_0001.db").stderr == ""
    (folder / "empty.db").touch()
    assert "empty, and opened read-only" in one_line(invoke("runs", "list", "--store", "sqlite:///empty.db"))
    assert (folder / "empty.db").stat().st_size == 0
