"""Arguments that nobody expects: each ends in one line, and nothing that a store says steers a terminal."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
import typer
from cli_harness import invoke
from typer.main import get_command

from qecforge.cli._app import app
from qecforge.store import Store

REAL = """\
qecforge: 1
name: real
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3, max_gates: 20, gates: [h, s, cx]}
reward: knill_laflamme
agent: {plugin: ppo, total_steps: 2048, num_envs: 32, horizon: 16}
"""
HUGE = ("99999999999999999999", "-99999999999999999999", "1e400", "nan", "9223372036854775808")


def commands(group=None, path=()):
    """(path, command) of every command there is."""
    group = group or get_command(app)
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def numeric_options():
    for path, command in commands():
        if path[0] in ("bench", "reproduce"):
            continue
        for parameter in command.params:
            if parameter.opts[0].startswith("-") and parameter.type_descriptor.annotation in (int, float):
                needed = [each for each in command.params if each.required and each.name != parameter.name]
                yield pytest.param(path, needed, parameter.opts[0], id=f"{' '.join(path)} {parameter.opts[0]}")


@pytest.mark.parametrize(("path", "needed", "option"), list(numeric_options()))
def test_numbers_past_every_bound(filled, path, needed, option):
    with Store("sqlite:///results.db") as store:
        known = {"run": store.runs()[0].id, "runs": store.runs()[0].id, "code": store.codes()[0].id}
    arguments = []
    for each in needed:
        value = known.get(each.name, {"manifest": "walk.yaml", "metric": "episode_return"}.get(each.name, "x"))
        arguments += [each.opts[0], value] if each.opts[0].startswith("-") else [value]
    for number in HUGE:
        result = invoke(*path, *arguments, f"{option}={number}")
        assert result.exception is None or isinstance(result.exception, SystemExit), (number, result.exception)
        assert "Traceback" not in result.stderr
        if result.exit_code:
            assert result.exit_code in (1, 2)
            assert len(result.stderr.splitlines()) == 1, result.stderr


def process(folder, *arguments):
    """The command as a process of its own: what the shell hands over need not be UTF-8."""
    command = [os.fsencode(sys.executable), b"-m", b"qecforge", *map(os.fsencode, arguments)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "show", b"\xff"),
        ("runs", "list", "--name", b"\xff"),
        ("runs", "list", "--store", b"sqlite:///\xff.db"),
        ("run", b"\xff.yaml"),
        ("codes", "import", b"\xff.txt"),
        ("codes", "import", "--source", b"\xff", "five.txt"),
        ("runs", "list", "--store", "sqlite:///" + "x" * 300),
        ("runs", "list", "--store", "sqlite:///" + "x/" * 3000 + "x.db"),
        ("run", "real.yaml", "--store", "sqlite:///" + "x" * 250),
        ("run", "real.yaml", "--store", "sqlite:///q?x.db"),
        ("run", "real.yaml", "--store", "sqlite:///:memory:"),
        ("runs", "list", "--store", "sqlite:///:memory:"),
        ("run", "y" * 300 + ".yaml"),
    ],
)
def test_text_that_cannot_be_used(finished, tmp_path, arguments):
    folder = tmp_path / "filled"
    folder.mkdir()
    for name in ("walk.yaml", "results.db"):
        (folder / name).write_bytes((finished / name).read_bytes())
    (folder / "real.yaml").write_text(REAL)
    (folder / "five.txt").write_text("XZZXI\nIXZZX\nXIXZZ\nZXIXZ\n")
    before = sorted(folder.iterdir())
    code, _, said = process(folder, *arguments)
    assert code == 2, said
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    assert [each for each in sorted(folder.iterdir()) if not each.name.startswith("results.db-")] == before


def test_escapes_in_a_store_do_not_steer_the_terminal(filled):
    evil = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"
    with sqlite3.connect("results.db") as database:
        database.execute("UPDATE runs SET name = ?, error = ?, phase = ?, manifest_source = ?", [evil] * 4)
        database.execute("UPDATE runs SET sweep_point = ?", [json.dumps({"a.b": evil})])
        database.execute("UPDATE codes SET source = ?, distance_lower_method = ?", [evil, evil])
        database.execute("UPDATE events SET kind = ?, payload = ?", [evil, json.dumps({"line": evil})])
        database.execute("UPDATE metrics SET name = 'x' || ? || name", [evil])
        database.execute("UPDATE policy_evaluations SET name = ?", [evil])
    database.close()
    with Store("sqlite:///results.db") as store:
        run, code = store.runs()[0].id, store.codes()[0].id
    printed = ""
    for command in (
        ("runs", "list"), ("runs", "show", run), ("codes", "list"), ("codes", "show", code),
        ("runs", "compare", "--metric", "nothing"), ("codes", "verify", code), ("runs", "delete", run, "--yes"),
    ):  # fmt: skip
        for form in ("table", "json") if command[1] in ("list", "show") else (None,):
            result = invoke(*command, *(("--format", form) if form else ()))
            shown = result.stdout + result.stderr
            printed += shown
            assert not [each for each in shown if not (each.isprintable() or each == "\n")], (command, form)
            if form == "json":
                json.loads(result.stdout)
    assert "\\u001b[2J" in printed
