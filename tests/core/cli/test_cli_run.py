"""`qecforge run`, `validate`, `schema`: what is printed, what is left in the store."""

import csv
import io
import json

import pytest
from cli_harness import MANIFEST, invoke

from qecforge import Registry, Store, load_manifest
from qecforge.reporting.tables import interval, number


def rows_of(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_run_prints_the_code_its_proof_its_circuit_and_how_to_query_it(manifest):
    result = invoke("run", manifest)
    assert result.exit_code == 0, result.stderr
    with Store("sqlite:///results.db", read_only=True) as store:
        (record,) = store.codes()
    lines = result.stdout.splitlines()
    assert f"[[5,1,3]]  code {record.id}" in lines
    assert f"distance 3 is proved: {record.distance_method}" in lines
    assert "stabilizers  XZZXI" in lines
    for generator in ("IXZZX", "XIXZZ", "ZXIXZ"):
        assert f"             {generator}" in lines
    assert [line[:4] for line in lines if line[:1] == "q" and line[2:3] == ":"] == [
        "q0: ",
        "q1: ",
        "q2: ",
        "q3: ",
        "q4: ",
    ]
    assert any(line.startswith(f"encoder, {record.gate_count} gates") for line in lines)
    assert f'        record = store.code("{record.id}")   # record.code, .encoder, .distance' in lines
    assert f"    qecforge codes show {record.id}" in lines


def test_the_printed_python_runs_and_gives_the_code_back(filled):
    lines = invoke("run", "walk.yaml").stdout.splitlines()
    program = [line[4:] for line in lines[lines.index("in Python") + 1 : lines.index("in the shell")]]
    names = {}
    exec("\n".join(program), names)  # what we print must run
    assert names["record"].code.stabilizers == ("XZZXI", "IXZZX", "XIXZZ", "ZXIXZ")
    assert [each.id for each in names["similar"]] == [names["record"].id]


def test_the_printed_shell_runs(filled):
    lines = invoke("run", "walk.yaml").stdout.splitlines()
    commands = [line.split() for line in lines[lines.index("in the shell") + 1 :]]
    assert [command[1:3] for command in commands] == [
        ["codes", "show"],
        ["codes", "export"],
        ["codes", "list"],
        ["runs", "figures"],
    ]
    for command in commands:
        result = invoke(*command[1:])
        assert result.exit_code == 0, result.stderr


def test_a_store_elsewhere_is_named_in_the_printed_commands(manifest, folder):
    lines = invoke("run", manifest, "--store", "sqlite:///other.db").stdout.splitlines()
    assert (folder / "other.db").exists()
    assert not (folder / "results.db").exists()
    assert all(line.endswith("--store sqlite:///other.db") for line in lines[lines.index("in the shell") + 1 :])


def test_progress_is_plain_lines_on_stderr(manifest):
    lines = invoke("run", manifest).stderr.splitlines()
    plan = load_manifest(manifest, registry=Registry.load()).runs()[0]
    assert lines[0] == f"walk seed 5: run {plan.identity[:12]} starts"
    assert lines[1].startswith("walk seed 5: found [[5,1,3]] with ")
    assert lines[2] == "walk seed 5: evaluates count"
    assert lines[3].startswith("walk seed 5: finished in ")
    assert len(lines) == 8


QUANTIZED = MANIFEST.replace(
    "evaluation: {count: {episodes: 5}}",
    "quantizer: {plugin: learn, fine_tune: {total_steps: 80}}\n"
    "evaluation: {decision_fidelity: {states: 40}, search: {episodes: 20, runtime: reference}}",
)


def test_a_quantized_run_is_reported_with_its_teacher_and_what_was_measured_of_its_policy(manifest):
    manifest.write_text(QUANTIZED.replace("[5, 6]", "[5]"))
    result = invoke("run", manifest)
    assert result.exit_code == 0, result.stderr
    plan = load_manifest(manifest, registry=Registry.load()).runs()[0]
    passing = (": found ", ": compiling kernels")
    lines = [line for line in result.stderr.splitlines() if not any(words in line for words in passing)]
    assert [line.split("ished in ")[0] for line in lines] == [
        f"walk seed 5: run {plan.identity[:12]} starts",
        f"walk-teacher seed 5: run {plan.quantization.teacher.identity[:12]} starts",
        "walk-teacher seed 5: fin",
        "walk seed 5: fine-tunes its student",
        "walk seed 5: turns its policy into integers",
        "walk seed 5: fin",
    ]
    lines = result.stdout.splitlines()
    head, _, row = lines[lines.index("policies") + 1 :][:3]
    assert head.split()[0] == "run"
    for word in ("top-1 %", "Kendall tau", "codes found", "steps per second"):
        assert word in head
    assert row.split()[:4] == [plan.identity[:12], "walk", "5", "learn"]
    assert row.split()[-1] == "reference"
    with Store("sqlite:///results.db", read_only=True) as store:
        measured = {
            name: value for each in store.policy_evaluations(plan.identity[:12]) for name, value in each.values.items()
        }
    assert f"{100 * measured['top1_agreement']:.1f} %" in row


def test_returns_are_in_the_summary_and_in_what_the_store_shows_of_the_run(manifest):
    manifest.write_text(MANIFEST.replace("{count: {episodes: 5}}", "{returns: {episodes: 8}}").replace("[5, 6]", "[5]"))
    result = invoke("run", manifest)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    head, _, row = lines[lines.index("policies") + 1 :][:3]
    assert head.split() == ["run", "name", "seed", "return", "95", "%", "interval"]
    with Store("sqlite:///results.db", read_only=True) as store:
        (run,) = store.runs()
        (found,) = store.policy_evaluations(run.id)
    assert (found.name, len(found.payload["returns"]), len(found.payload["lengths"])) == ("returns", 8, 8)
    assert row.split()[:4] == [run.id, "walk", "5", number(found.values["return_mean"])]
    assert row.split()[4:] == interval([found.values["return_low"], found.values["return_high"]]).split()
    shown = invoke("runs", "show", run.id).stdout.splitlines()
    assert f"    return_mean = {number(found.values['return_mean'])}" in shown
    document = json.loads(invoke("runs", "show", run.id, "--format", "json").stdout)
    assert document["policy_evaluations"] == {"returns": dict(found.values)}


def test_a_quantizer_that_does_not_play_is_not_said_to_have_found_nothing(manifest):
    manifest.write_text(MANIFEST.replace("evaluation: {count: {episodes: 5}}", "quantizer: round"))
    result = invoke("run", manifest)
    assert result.exit_code == 0, result.stderr
    assert "no code was found" not in result.stderr
    assert result.stdout == ""


def test_finished_runs_are_skipped_and_forced_ones_run_anew(filled):
    before = Store("sqlite:///results.db", read_only=True).runs()
    skipped = invoke("run", "walk.yaml")
    assert skipped.exit_code == 0
    assert skipped.stderr.count("was finished before") == 2
    assert "[[5,1,3]]" in skipped.stdout
    assert Store("sqlite:///results.db", read_only=True).runs() == before
    forced = invoke("run", "walk.yaml", "--force")
    assert forced.exit_code == 0
    assert forced.stderr.count("starts") == 2
    after = Store("sqlite:///results.db", read_only=True).runs()
    assert [run.identity for run in after] == [run.identity for run in before]
    assert all(new.started_at > old.ended_at for new, old in zip(after, before, strict=True))


def test_set_changes_the_run(manifest):
    result = invoke("run", manifest, "--set", "agent.total_steps=80", "--set", "seeds=[1]")
    assert result.exit_code == 0, result.stderr
    (run,) = Store("sqlite:///results.db", read_only=True).runs()
    assert (run.seed, json.loads(run.manifest)["agent"]["total_steps"]) == (1, 80)


def test_a_run_that_finds_nothing_says_what_may_help(manifest):
    result = invoke("run", manifest, "--set", "environment.find_at=100000")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("no code was found; try more steps")


def test_run_lists_codes_for_programs(filled):
    (row,) = rows_of(invoke("run", "walk.yaml", "--format", "json"))
    assert (row["parameters"], row["distance"], row["distance_kind"]) == ("[[5,1,3]]", 3, "exact")
    (row,) = csv.DictReader(io.StringIO(invoke("run", "walk.yaml", "--format", "csv").stdout))
    assert (row["n"], row["k"], row["distance"]) == ("5", "1", "3")


def test_show_says_how_many_codes_are_printed_in_full(filled):
    none = invoke("run", "walk.yaml", "--show", "0")
    assert "stabilizers" not in none.stdout
    assert "1 other codes" in none.stdout


def test_dry_run_does_nothing(manifest, folder):
    rows = rows_of(invoke("run", manifest, "--dry-run", "--format", "json"))
    assert [(row["seed"], row["in_store"]) for row in rows] == [(5, "new"), (6, "new")]
    assert [path.name for path in folder.iterdir()] == ["walk.yaml"]


def test_dry_run_says_what_the_store_has(filled):
    rows = rows_of(invoke("run", "walk.yaml", "--dry-run", "--format", "json"))
    assert {row["in_store"] for row in rows} == {"finished, will be skipped"}
    rows = rows_of(invoke("run", "walk.yaml", "--dry-run", "--force", "--format", "json"))
    assert {row["in_store"] for row in rows} == {"finished, will be run anew"}
    with Store("sqlite:///results.db") as store:
        store.mark_run(store.runs(seed=6)[0].id, "interrupted")
    rows = rows_of(invoke("run", "walk.yaml", "--dry-run", "--format", "json"))
    assert [row["in_store"] for row in rows] == ["finished, will be skipped", "interrupted, will be resumed"]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_validate_lists_the_runs_of_a_sweep(manifest, folder, form):
    manifest.write_text(MANIFEST + "sweep: {environment.size: [9, 11]}\n")
    result = invoke("validate", manifest, "--format", form)
    assert result.exit_code == 0, result.stderr
    plans = load_manifest(manifest, registry=Registry.load()).runs()
    if form == "json":
        assert [row["identity"] for row in json.loads(result.stdout)] == [plan.identity for plan in plans]
        assert json.loads(result.stdout)[2]["sweep"] == {"environment.size": 11}
    for plan in plans:
        assert plan.identity[:12] in result.stdout
    assert [path.name for path in folder.iterdir()] == ["walk.yaml"]


def test_schema_knows_the_installed_plugins(folder, toys):
    document = json.loads(invoke("schema").stdout)
    assert document["$schema"].startswith("https://json-schema.org/")
    assert "walker" in json.dumps(document)
    assert "find_at" in json.dumps(document)


@pytest.mark.parametrize(
    ("arguments", "executor", "pool", "measuring"),
    [
        ([], "process", None, None),
        (["--workers", "3"], "process", 3, 3),
        (["--executor", "local"], "local", None, None),
        (["--executor", "local", "--workers", "3", "--force"], "local", 3, None),
    ],
)
def test_executor_and_workers_are_handed_on(filled, monkeypatch, arguments, executor, pool, measuring):
    seen = {}

    def run_manifest(manifest, **options):
        seen.update(options)
        return []

    monkeypatch.setattr("qecforge.executors.run_manifest", run_manifest)
    assert invoke("run", "walk.yaml", *arguments).exit_code == 0
    assert (seen["executor"], seen["workers"], seen["options"].workers) == (executor, pool, measuring)
    assert seen["options"].force == ("--force" in arguments)
    assert seen["options"].store_url == "sqlite:///results.db"


def test_a_steered_device_is_not_searched_for_codes(folder):
    (folder / "steer.yaml").write_text(
        "qecforge: 1\nname: steer\nenvironment: {plugin: surface_steering, distance: 3, rounds: 4, cycles: 8}\n"
        "agent: {plugin: parameter_ppo, total_epochs: 2, candidates: 4}\n"
    )
    result = invoke("run", "steer.yaml")
    assert result.exit_code == 0, result.stderr
    assert "finished" in result.stderr
    assert "no code was found" not in result.stderr
