"""Exit codes, and bad input: one line that says where, what, and what to do; nothing half-written."""

import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from cli_harness import MANIFEST, invoke, one_line, toy_process

from qecforge import Registry, Store, load_manifest
from qecforge.errors import Interrupted
from qecforge.runs.execute import checkpoint_path

STEANE = """\
qecforge: 1
name: steane
environment: {plugin: code_discovery, n: 7, k: 1, target_distance: 3, max_gates: 20, gates: [h, cx]}
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, total_steps: 1000, num_envs: 8}
"""

USAGE = [
    (["frobnicate"], "No such command 'frobnicate'", "qecforge --help"),
    (["ruN"], "Did you mean 'run'", "qecforge --help"),
    (["run"], "Missing argument 'MANIFEST'", "qecforge run --help"),
    (["run", "walk.yaml", "--bla"], "No such option", "qecforge run --help"),
    (
        ["run", "walk.yaml", "--workers", "0"],
        "'--workers': got '0', expected 1 or more",
        "qecforge run --help",
    ),
    (["run", "walk.yaml", "extra"], "extra", "qecforge run --help"),
    (["runs", "list", "--limit", "0"], "'--limit': got '0', expected 1 or more", "qecforge runs list --help"),
    (["runs", "list", "--format", "xml"], "'table', 'json', 'csv'", "qecforge runs list --help"),
    (["runs", "list", "--status", "lost"], "'finished'", "qecforge runs list --help"),
    (["codes", "export", "ab", "--format", "svg"], "'qasm3'", "qecforge codes export --help"),
    (["codes", "list", "--n", "many"], "'--n': got 'many', expected a whole number", "qecforge codes list --help"),
    (["--version", "--store"], "--store", "qecforge --help"),
]


@pytest.mark.parametrize(("arguments", "what", "remedy"), USAGE, ids=lambda value: str(value)[:40])
def test_a_command_line_that_cannot_be_read(folder, arguments, what, remedy):
    line = one_line(invoke(*arguments))
    assert what in line
    assert f"see `{remedy}`" in line


def test_an_unknown_executor_is_refused_before_anything_is_read(folder):
    line = one_line(invoke("run", "no.yaml", "--executor", "lokal"))
    assert line == "--executor: got 'lokal', expected 'process', 'local' or 'ray'. Did you mean 'local'?"


BAD_MANIFESTS = {
    "unknown plugin": ("plugin: walk,", "plugin: wlak,", "bad.yaml:3:23 environment.plugin", "'walk'"),
    "unknown key": ("find_at", "found_at", "bad.yaml:3:38 environment.found_at", "find_at"),
    "wrong type": ("size: 9", "size: nine", "bad.yaml:3:35 environment.size", "whole number"),
    "out of range": ("size: 9", "size: 1", "bad.yaml:3:35 environment.size", "2"),
    "missing section": ("agent:", "# agent:", "agent", "agent"),
    "empty sweep": ("seeds:", "sweep: {environment.size: []}\nseeds:", "bad.yaml:6:27 sweep", "value"),
    "duplicate combination": ("seeds:", "sweep: {environment.size: [9, 9]}\nseeds:", "sweep", "9"),
    "duplicate seed": ("[5, 6]", "[5, 5]", "bad.yaml:6:12 seeds", "5"),
    "not YAML": ("[5, 6]", "[5, 6", "bad.yaml:", "YAML"),
    "another version": ("qecforge: 1", "qecforge: 2", "bad.yaml:1:11 qecforge", "1"),
    "a bomb": (
        "seeds: [5, 6]",
        "seeds:\n- &a0 [1, 1]\n" + "".join(f"- &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "bad.yaml:",
        "aliases expanded",
    ),
}


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_manifest_that_cannot_be_run(folder, toys, case, command):
    before, after, where, what = BAD_MANIFESTS[case]
    assert before in MANIFEST
    (folder / "bad.yaml").write_text(MANIFEST.replace(before, after))
    line = one_line(invoke(command, "bad.yaml"))
    assert where in line
    assert what in line
    assert [path.name for path in folder.iterdir()] == ["bad.yaml"]


BUILT_IN = {
    "k >= n": ("k: 1", "k: 7", "k"),
    "beyond the Singleton bound": ("target_distance: 3", "target_distance: 5", "Singleton"),
    "connectivity out of range": (
        "max_gates: 20",
        "connectivity: {edges: [[0, 9]]}",
        "out of range: qubits are counted 0..6",
    ),
    "disconnected": ("max_gates: 20", "connectivity: {edges: [[0, 1]]}", "disconnected"),
    "gate not in the set": ("[h, cx]", "[h, cy_x]", "cy_x"),
    "reward that does not fit": ("{plugin: knill_laflamme}", "native", "reward"),
    "unknown agent": ("plugin: ppo", "plugin: pppo", "'ppo'"),
}


@pytest.mark.parametrize("case", BUILT_IN)
def test_settings_of_the_built_in_plugins_that_cannot_be_run(folder, case):
    before, after, what = BUILT_IN[case]
    (folder / "bad.yaml").write_text(STEANE.replace(before, after))
    line = one_line(invoke("run", "bad.yaml"))
    assert line.startswith("bad.yaml:")
    assert what in line
    assert [path.name for path in folder.iterdir()] == ["bad.yaml"]


def test_an_override_that_cannot_be_used(manifest):
    assert "agent.totl_steps" in one_line(invoke("run", manifest, "--set", "agent.totl_steps=3"))
    assert "total_steps" in one_line(invoke("run", manifest, "--set", "total_steps"))


def test_a_manifest_that_is_not_there(folder, toys):
    assert one_line(invoke("run", "no.yaml")).startswith("no.yaml")
    assert list(folder.iterdir()) == []


def contents(folder):
    """Files with their bytes; SQLite's sidecars, which a reader may leave behind, only where they hold something."""
    files = {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}
    assert not files.pop("results.db-wal", b"")
    files.pop("results.db-shm", None)
    return files


def not_a_database(folder):
    (folder / "results.db").write_bytes(b"certainly not SQLite, but long enough to be read as a header" * 20)
    return "sqlite:///results.db"


def a_folder(folder):
    (folder / "results.db").mkdir()
    return "sqlite:///results.db"


def of_a_newer_schema(folder):
    Store("sqlite:///results.db").close()
    with sqlite3.connect(folder / "results.db") as database:
        database.execute("UPDATE qecforge_schema SET version_num = 'ffffffffffff'")
    database.close()
    return "sqlite:///results.db"


def of_another_program(folder):
    with sqlite3.connect(folder / "results.db") as database:
        database.execute("CREATE TABLE runs (number INTEGER)")
    database.close()
    return "sqlite:///results.db"


def no_url(folder):
    return "results.db"


@pytest.mark.parametrize("make", [not_a_database, a_folder, of_a_newer_schema, of_another_program, no_url])
@pytest.mark.parametrize("command", [["runs", "list"], ["codes", "list"], ["run", "walk.yaml"]], ids=" ".join)
def test_a_store_that_cannot_be_used(manifest, folder, make, command):
    url = make(folder)
    before = contents(folder)
    assert "results.db" in one_line(invoke(*command, "--store", url))
    assert contents(folder) == before


@pytest.mark.parametrize(
    "command", [["runs", "list"], ["codes", "list"], ["runs", "show", "a"], ["codes", "show", "a"]]
)
def test_a_store_that_is_not_there_is_not_made(folder, command):
    assert "results.db" in one_line(invoke(*command))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "show", "zz"],
        ["runs", "delete", "zz", "--yes"],
        ["runs", "compare", "zz", "yy", "--metric", "visits"],
        ["codes", "show", "zz"],
        ["codes", "verify", "zz"],
        ["codes", "export", "zz", "--format", "json"],
        ["codes", "list", "--run", "zz"],
    ],
    ids=" ".join,
)
def test_an_id_that_is_not_there(filled, command):
    line = one_line(invoke(*command))
    assert "'zz'" in line
    assert "list`" in line


def test_a_damaged_checkpoint_is_refused_and_kept(manifest, folder):
    plan = load_manifest(manifest, registry=Registry.load()).runs()[0]
    with Store("sqlite:///results.db") as store:
        run = store.begin_run(
            plan.identity,
            name="walk",
            seed=5,
            manifest=plan.canonical,
            manifest_source=MANIFEST,
            environment="walk",
            reward=None,
            agent="walker",
            provenance={},
        )
        path = checkpoint_path(store, run.id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 cut short")
    result = invoke("run", manifest)
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert path.name in last
    assert last.endswith("or start the run anew with --force")
    assert path.read_bytes() == b"PK\x03\x04 cut short"
    assert invoke("run", manifest, "--force").exit_code == 0


def test_debug_adds_the_traceback(folder, toys):
    for arguments in (["--debug", "run", "no.yaml"], ["run", "no.yaml", "--debug"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "Traceback (most recent call last)" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("no.yaml")


def test_a_run_that_fails_ends_with_1_and_the_others_run(manifest):
    result = invoke("run", manifest, "--set", "agent.fail_at=60")
    assert result.exit_code == 1
    assert "2 of 2 runs failed" in result.stderr.splitlines()[-1]
    assert "asked to fail at step" in result.stderr
    failed = invoke("runs", "list", "--status", "failed", "--format", "csv")
    assert len(failed.stdout.splitlines()) == 3
    identity = failed.stdout.splitlines()[1].split(",")[0]
    shown = invoke("runs", "show", identity)
    assert "ArithmeticError: asked to fail at step" in shown.stdout
    assert "Traceback (most recent call last)" in shown.stdout


@pytest.mark.parametrize(
    "stop", [Interrupted("1 of 2 runs were interrupted"), KeyboardInterrupt()], ids=["saved", "at once"]
)
def test_an_interrupted_run_ends_with_130(manifest, monkeypatch, stop):
    def interrupted(*arguments, **options):
        raise stop

    monkeypatch.setattr("qecforge.executors.run_manifest", interrupted)
    result = invoke("run", manifest)
    assert one_line(result, 130) == (str(stop) or "interrupted")


def test_ctrl_c_saves_the_run_and_the_same_command_ends_it(manifest, folder):
    arguments = ["run", "walk.yaml", "--set", "agent.total_steps=4000000", "--set", "seeds=[5]"]
    with toy_process(folder, *arguments) as process:
        assert "starts" in process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    (run,) = Store("sqlite:///results.db", read_only=True).runs()
    assert run.status == "interrupted"
    with toy_process(folder, *arguments) as process:
        assert "continues" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_reader_that_goes_away_is_no_error(filled):
    with toy_process(filled, "codes", "show", "c") as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors == ""


def test_help_and_listings_import_nothing_heavy():
    program = (
        "import sys\nfrom qecforge.cli._app import app\nfrom typer.testing import CliRunner\n"
        "for arguments in (['--help'], ['plugins', 'list'], ['plugins', 'show', 'ppo'], ['--version']):\n"
        "    assert CliRunner().invoke(app, arguments).exit_code == 0\n"
        "heavy = {'torch', 'numba', 'scipy', 'qiskit', 'sinter', 'stim', 'ldpc', 'pandas', 'sqlalchemy', 'alembic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_python_m_qecforge_is_qecforge():
    done = subprocess.run([sys.executable, "-m", "qecforge", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("qecforge ")


def test_groups_alone_print_their_help(folder):
    for arguments in ([], ["runs"], ["codes"], ["plugins"]):
        result = invoke(*arguments)
        assert "Usage:" in result.output


def test_a_choice_that_there_is_not_has_one_full_stop_less():
    said = one_line(invoke("runs", "list", "--format", "nosuch"))
    assert said.endswith("'nosuch' is not one of 'table', 'json', 'csv'; see `qecforge runs list --help`")
