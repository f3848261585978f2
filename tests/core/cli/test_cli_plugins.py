"""`qecforge plugins`."""

import json
from importlib.metadata import EntryPoint

import pytest
from cli_harness import LOAD, invoke, one_line

from qecforge.registry import Registry


def install(monkeypatch, *entries):
    points = [EntryPoint(name, value, "qecforge") for name, value in entries]
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: LOAD(cls, points)))


def test_list_has_the_built_in_plugins():
    rows = json.loads(invoke("plugins", "list", "--format", "json").stdout)
    assert {("environment", "code_discovery"), ("reward", "knill_laflamme"), ("agent", "ppo")} <= {
        (row["kind"], row["name"]) for row in rows
    }
    table = invoke("plugins", "list").stdout
    for row in rows:
        assert row["summary"] in table
        assert (row["distribution"], row["status"]) == ("qecforge", "ok")


@pytest.fixture
def one_broken(monkeypatch, tmp_path):
    (tmp_path / "broken_plugin.py").write_text("def load():\n    raise RuntimeError('out of order')\n\nload()\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(monkeypatch, ("toy", "toy_plugin"), ("sad", "broken_plugin"))


def test_a_broken_plugin_is_named_and_harms_no_other(one_broken):
    result = invoke("plugins", "list")
    assert result.exit_code == 0
    assert "RuntimeError: out of order" in result.stdout
    assert "walker" in result.stdout
    assert result.stderr == "`qecforge plugins list --traceback` shows where a broken plugin fails\n"
    full = invoke("plugins", "list", "--traceback")
    assert 'broken_plugin.py", line 2, in load' in full.stderr
    rows = json.loads(invoke("plugins", "list", "--format", "json", "--traceback").stdout)
    (row,) = [row for row in rows if row["status"] == "broken"]
    assert row["name"] == "sad"
    assert row["error"].startswith("Traceback (most recent call last)")


def test_a_name_given_twice_is_said(monkeypatch):
    install(monkeypatch, ("toy", "toy_plugin"), ("copy", "toy_copy"))
    monkeypatch.setitem(__import__("sys").modules, "toy_copy", copy_of_toy())
    rows = json.loads(invoke("plugins", "list", "--format", "json").stdout)
    names = (("agent", "walker"), ("environment", "walk"), ("quantizer", "learn"), ("quantizer", "round"))
    given = [(*name, "given twice") for name in names for _ in range(2)]
    assert sorted((row["kind"], row["name"], row["status"]) for row in rows) == given
    assert "given twice" in one_line(invoke("plugins", "show", "walk"))


def copy_of_toy():
    import types

    import toy_plugin

    module = types.ModuleType("toy_copy")
    module.qecforge_environments = toy_plugin.qecforge_environments
    module.qecforge_agents = toy_plugin.qecforge_agents
    module.qecforge_quantizers = toy_plugin.qecforge_quantizers
    return module


def test_show_says_what_resumes_between_episodes(monkeypatch):
    install(monkeypatch, ("off_policy", "off_policy_plugin"))
    for name, words in (("unsaved", "between episodes"), ("forgetful", "between episodes"), ("corridor", "to the bit")):
        assert f"\nan interrupted run resumes {words}\n" in invoke("plugins", "show", name).stdout


def test_show_prints_the_settings(toys):
    text = invoke("plugins", "show", "walk").stdout
    assert text.startswith("environment walk: A random walk that finds the five-qubit code.\n")
    assert "integer, >= 2" in text
    assert "evaluation count: Counts visits." in text
    assert "\nan interrupted run resumes to the bit\n" in text
    rows = json.loads(invoke("plugins", "show", "walk", "--format", "json").stdout)
    assert rows == [
        {"field": "size", "type": "integer, >= 2", "default": "9", "description": "Positions."},
        {
            "field": "find_at",
            "type": "integer, >= 0",
            "default": "40",
            "description": "Environment step at which the five-qubit code is found.",
        },
    ]
    schema = json.loads(invoke("plugins", "show", "walk", "--schema").stdout)
    assert schema["properties"]["size"]["minimum"] == 2
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", ["code_discovery", "knill_laflamme", "ppo"])
def test_every_setting_of_the_built_in_plugins_is_described(name):
    rows = json.loads(invoke("plugins", "show", name, "--format", "json").stdout)
    assert rows
    assert [row["field"] for row in rows if not row["description"] or not row["type"]] == []


def test_show_offers_the_nearest_name(toys):
    assert "walk" in one_line(invoke("plugins", "show", "wallk"))
    assert "unknown agent 'walk'" in one_line(invoke("plugins", "show", "walk", "--kind", "agent"))


EXTENSION = """\
import typer
from qecforge.hookspecs import hookimpl

@hookimpl
def qecforge_cli(app: typer.Typer):
    @app.command("greet")
    def greet(name: str):
        typer.echo(f"hello {name}")

    @app.command("run")
    def run():
        typer.echo("not ours")
"""


def test_a_plugin_adds_commands_but_replaces_none(monkeypatch, tmp_path, fresh_commands):
    (tmp_path / "greeting_plugin.py").write_text(EXTENSION)
    monkeypatch.syspath_prepend(tmp_path)
    install(monkeypatch, ("greeting", "greeting_plugin"))
    assert invoke("greet", "world").stdout == "hello world\n"
    assert "greet" in invoke("--help").stdout
    assert "Missing argument 'name'" in one_line(invoke("greet"))
    assert "MANIFEST" in one_line(invoke("run"))


def test_a_plugin_whose_commands_fail_is_named(monkeypatch, tmp_path, fresh_commands):
    (tmp_path / "clumsy_plugin.py").write_text(
        "from qecforge.hookspecs import hookimpl\n\n@hookimpl\ndef qecforge_cli(app):\n    raise ValueError('oh')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    install(monkeypatch, ("clumsy", "clumsy_plugin"))
    result = invoke("--help")
    assert result.exit_code == 0
    assert "the commands of plugin clumsy" in result.stderr
    assert "ValueError: oh" in result.stderr


@pytest.fixture
def fresh_commands():
    """Commands of plugins are looked up once a process."""
    from qecforge.cli import _app

    _app._plugin_commands.cache_clear()
    yield
    _app._plugin_commands.cache_clear()
