"""Arguments that nobody expects, for every command that the installed plugins add: each ends in one line."""

import json

import pytest
import typer
from cli_harness import invoke
from typer.main import get_command

from qecforge.cli._app import _plugin_commands as plugin_commands
from qecforge.cli._app import app

TASK = {
    "id": "one",
    "level": "basic",
    "prompt": "def one():\n",
    "hard_prompt": "Write one().",
    "entry_point": "one",
    "reference": "def one():\n    return 1\n",
    "tests": "def test_one(program):\n    assert program.one() == 1\n",
}
CIRCUIT = "R 0\nX 0\nM 0\nDETECTOR rec[-1]\n"
NAMED = {"tasks": "tasks.jsonl", "circuit": "c.stim", "events": "e.01", "source": "c.stim", "target": "out.stim"}
MORE = {
    ("tasks", "check"): ("--repeats=1", "--mutants=1"),
    ("tasks", "eval"): ("--model=file:samples.jsonl",),
    ("tasks", "generate"): ("--count=3", "--out=t.jsonl"),
}
TEXTS = ("x" * 300, "x/" * 3000 + "x", "/dev/null/x", "\x1b[2Jx", "\udcff", "http://127.0.0.1:1/x")
NUMBERS = ("99999999999999999999", "-1", "nan", "1e400", "")


def commands(group, path):
    """(path, command) of every command of a group."""
    if not hasattr(group, "list_commands"):
        yield path, group
        return
    context = typer.Context(group)
    for name in group.list_commands(context):
        yield from commands(group.get_command(context, name), (*path, name))


def added():
    for name, group in plugin_commands().items():
        for path, command in commands(group, (name,)):
            for parameter in command.params:
                if parameter.type_descriptor.annotation is not bool and parameter.name != "help":
                    yield pytest.param(path, command, parameter, id=f"{' '.join(path)} {parameter.name}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.jsonl").write_text(json.dumps(TASK))
    (tmp_path / "samples.jsonl").write_text(json.dumps({"task_id": "two", "completion": ""}))
    (tmp_path / "c.stim").write_text(CIRCUIT)
    (tmp_path / "e.01").write_text("0\n1\n")
    return tmp_path


def test_plugins_add_commands():
    assert {"tasks", "decoders", "steering"} <= set(plugin_commands())
    assert set(plugin_commands()).isdisjoint(get_command(app).commands)


@pytest.mark.parametrize(("path", "command", "parameter"), list(added()))
def test_values_that_nobody_expects(folder, path, command, parameter):
    positional = [each for each in command.params if not each.opts[0].startswith("-")]
    is_number = parameter.type_descriptor.annotation in (int, float)
    more = [each for each in MORE.get(path, ()) if each.partition("=")[0] not in parameter.opts]
    before = {*folder.iterdir()}
    for value in NUMBERS if is_number else TEXTS:
        option = parameter not in positional
        given = [
            f"{parameter.opts[0]}={value}" if parameter.opts[0].startswith("--") else f"-{parameter.name[0]}{value}"
        ]
        places = [value if each is parameter else NAMED.get(each.name, "abc") for each in positional if each.required]
        places += [value] if parameter in positional and not parameter.required else []
        places = places or (["tasks.jsonl"] if path == ("tasks", "eval") else [])
        result = invoke(*path, *more, *(given if option else ()), "--", *places)
        assert result.exception is None or isinstance(result.exception, SystemExit), (value, result.exception)
        assert result.exit_code in (0, 1, 2), (value, result.output)
        assert "Traceback" not in result.output
        assert all(each.isprintable() or each == "\n" for each in result.stderr)
        if result.exit_code == 2 and not result.stdout:
            assert len(result.stderr.splitlines()) == 1, (value, result.stderr)
    made = {each.name for each in {*folder.iterdir()} - before}
    assert not any(":" in each for each in made), "a URL became a folder"
