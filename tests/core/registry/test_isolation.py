"""What plugins do while they are imported does not reach the commands."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from qecforge.registry import Registry, _isolation

GOOD = "from toy_plugin import *\nfrom toy_plugin import qecforge_environments\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def load(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        return Registry.load([EntryPoint("bad", name, "qecforge"), EntryPoint("toy", "toy_plugin", "qecforge")])

    return load


def test_what_is_printed_goes_to_stderr(load, capsys):
    registry = load("prints_at_import", f"print('hello')\n{GOOD}")
    assert not registry.broken
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "hello" in printed.err


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("changes_folder", "import os\nos.chdir('/')\n", "changed the current folder while it was imported"),
        ("leaves", "import os\nos._exit(0)\n", "would have ended the process (os._exit(0))"),
        ("exits", "import sys\nsys.exit(0)\n", "SystemExit"),
    ],
)
def test_what_it_does_is_undone_and_named(load, tmp_path, monkeypatch, name, code, said):
    monkeypatch.chdir(tmp_path)
    registry = load(name, code + GOOD)
    (broken,) = registry.broken
    assert broken.name == "bad"
    assert said in broken.error
    assert "walk" in registry.environments, "the others are as they were"
    from pathlib import Path

    assert Path.cwd() == tmp_path


def test_a_closed_stream_is_opened_again(tmp_path):
    (tmp_path / "closes.py").write_text(f"import os, sys\nsys.__stdout__.close()\nos.close(2)\n{GOOD}")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, *{sys.path!r}]\n"
        "from importlib.metadata import EntryPoint\nfrom qecforge.registry import Registry\n"
        "registry = Registry.load([EntryPoint('bad', 'closes', 'qecforge')])\n"
        "print(registry.broken[0].error)\nprint('still here', file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert "closed stdout and closed stderr while it was imported" in ended.stdout
    assert "still here" in ended.stderr


def test_a_plugin_that_takes_long_is_named(load, monkeypatch, capsys):
    monkeypatch.setattr(_isolation, "PATIENCE_SECONDS", 0.05)
    load("hangs", f"import time\ntime.sleep(1.0)\n{GOOD}")
    assert "plugin bad of unknown 0 is still being imported after 0 s: wait, or uninstall it" in capsys.readouterr().err
