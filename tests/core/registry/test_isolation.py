"""What plugins do while they are imported does not reach the commands."""

import os
import signal
import subprocess
import sys
import threading
import warnings
from importlib.metadata import EntryPoint

import pytest

from qecforge.errors import PluginError
from qecforge.machine.exits import exits_refused
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
        (
            "leaves_quietly",
            "import os\ntry:\n    os._exit(0)\nexcept Exception:\n    pass\n",
            "would have ended the process (os._exit(0))",
        ),
        ("exits", "import sys\nsys.exit(0)\n", "SystemExit"),
        ("interrupts", "raise KeyboardInterrupt\n", "PluginError: raised KeyboardInterrupt"),
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


def test_the_users_interruption_is_no_fault_of_the_plugin(load, monkeypatch):
    """Even where it catches what interrupts it."""
    interrupts = "import os, signal\n"
    caught = "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    input()\nexcept KeyboardInterrupt:\n    pass\n"
    with pytest.raises(KeyboardInterrupt):
        load("is_interrupted", f"{interrupts}os.kill(os.getpid(), signal.SIGINT)\n{GOOD}")
    with pytest.raises(KeyboardInterrupt):
        load("catches_it", f"{interrupts}{caught}{GOOD}")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_plugin_that_takes_long_is_named(load, monkeypatch, capsys):
    monkeypatch.setattr(_isolation, "PATIENCE_SECONDS", 0.05)
    assert not load("takes_long", f"import time\ntime.sleep(1.0)\n{GOOD}").broken
    assert (
        "plugin bad of unknown 0 is still being imported after 0 s: wait, or uninstall it; after 120 s it goes unused\n"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hangs", "import time\ntime.sleep(3600)\n"),
        ("spins", "while True:\n    pass\n"),
        ("hangs_in_c", "import ctypes\nctypes.CDLL(None).pause()\n"),
        ("waits_for_a_lock", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n"),
        ("catches", "import time\ntry:\n    time.sleep(3600)\nexcept BaseException:\n    pass\n"),
    ],
)
def test_a_plugin_that_hangs_goes_unused(load, monkeypatch, name, code):
    monkeypatch.setattr(_isolation, "LONGEST_SECONDS", 0.2)
    before = signal.getsignal(signal.SIGALRM)
    registry = load(name, code + GOOD)
    assert signal.getsignal(signal.SIGALRM) is before
    assert registry.broken[0].name == "bad"
    assert "was still being imported after 0 s, and goes unused: try again, or uninstall it" in registry.broken[0].error
    assert {each.name for each in registry.broken} <= {"bad", "toy"}, "which hangs no longer"


def test_a_crash_names_the_plugin(tmp_path):
    (tmp_path / "crashes.py").write_text("import ctypes\nctypes.string_at(1)\n")
    information = tmp_path / "crashing-1.5.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.5\n")
    (information / "entry_points.txt").write_text("[qecforge]\nbad = crashes\n")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, *{sys.path!r}]\nfrom qecforge.cli import main; main()"
    command = [sys.executable, "-c", code, "plugins", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == -signal.SIGSEGV
    assert ended.stdout == ""
    assert 'File "<plugin bad of crashing 1.5>"' in ended.stderr


def test_exits_are_refused_in_the_block_alone():
    before = os._exit
    with exits_refused() as outer:
        kept = os._exit
        with exits_refused() as inner, pytest.raises(PluginError, match=r"os\._exit\(3\)"):
            os._exit(3)
        assert (len(outer), len(inner)) == (0, 1), "the inner block's alone"
        threads = [threading.Thread(target=lambda: _raises(lambda: kept(4))) for _ in range(2)]
        for thread in threads:
            thread.start()
            thread.join()
        assert [str(each)[:42] for each in outer] == ["would have ended the process (os._exit(4))"] * 2
        with warnings.catch_warnings(action="ignore"):  # of threads, which there are none of any more
            child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert os._exit is before


def _raises(work):
    with pytest.raises(PluginError):
        work()
