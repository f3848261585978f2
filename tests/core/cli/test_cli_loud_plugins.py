"""Plugins that write to standard output, or would end the command, while one of its commands works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOUD = """\
import ctypes, os, sys
import toy_plugin
from dataclasses import replace

def write(where):
    print(f"{where} print")
    os.write(1, f"{where} os.write\\n".encode())
    ctypes.CDLL(None).printf(f"{where} printf\\n".encode())
    os.system(f"echo {where} echo")

class Loud(toy_plugin.WalkEnvironment):
    def step(self, actions, out=None):
        write("step")
        return super().step(actions, out)

def check(environment, config):
    write("check")
    if environment.size == 13:
        sys.exit(0)

@toy_plugin.hookimpl(specname="qecforge_environments")
def environments():
    return [replace(spec, make=Loud) for spec in toy_plugin.qecforge_environments()]

@toy_plugin.hookimpl(specname="qecforge_agents")
def agents():
    return [replace(spec, check=check) for spec in toy_plugin.qecforge_agents()]

@toy_plugin.hookimpl
def qecforge_cli(app):
    @app.command("shout")
    def shout():
        print("a plugin's own command")

write("import")
"""
MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk}
agent: {plugin: walker, total_steps: 40}
seeds: [5]
"""
WAYS = ("print", "os.write", "printf", "echo")


@pytest.fixture
def command(tmp_path):
    """Runs a command line with the loud plugin as the only one."""
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "walk.yaml").write_text(MANIFEST)
    places = [str(tmp_path), str(Path(__file__).resolve().parents[2])]
    code = (
        f"import sys; sys.path[:0] = {places!r}\n"
        "from importlib.metadata import EntryPoint\nfrom qecforge.registry import Registry\n"
        "load = Registry.load.__func__\n"
        "Registry.load = classmethod(lambda cls: load(cls, [EntryPoint('loud', 'loud', 'qecforge')]))\n"
        "from qecforge.cli import main; main()\n"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip

    return run


def test_standard_output_has_results_alone(command):
    done = command("run", "walk.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [code["parameters"] for code in json.loads(done.stdout)] == ["[[5,1,3]]"]
    for where in ("import", "check", "step"):
        for way in WAYS:
            assert f"{where} {way}\n" in done.stderr
    assert json.loads(command("run", "walk.yaml", "--dry-run", "--format", "json").stdout)[0]["seed"] == 5


def test_a_plugins_own_command_writes_there(command):
    done = command("shout")
    assert (done.returncode, done.stdout) == (0, "a plugin's own command\n")


def test_a_plugin_does_not_end_the_command(command):
    done = command("validate", "walk.yaml", "--set", "environment.size=13")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = (each for each in done.stderr.splitlines() if "loud.py:" in each)
    assert line.endswith("would have ended the command (SystemExit: 0): report it to the plugin's authors")
