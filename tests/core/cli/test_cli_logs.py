"""`-v`, `--log-file`, `--listener` and the completion of the shell."""

import os
import subprocess
import sys

import pytest
from cli_harness import invoke, one_line

from qecforge.cli._app import _take_general
from qecforge.machine.logs import write_logs


@pytest.fixture(autouse=True)
def silence():
    yield
    write_logs()


@pytest.mark.parametrize(
    ("arguments", "rest", "verbosity", "file", "debug"),
    [
        (["run", "-v", "a.yaml"], ["run", "a.yaml"], 1, None, False),
        (["-vv", "run", "a.yaml", "--verbose"], ["run", "a.yaml"], 3, None, False),
        (["run", "a.yaml", "--log-file", "l", "--debug"], ["run", "a.yaml"], 0, "l", True),
        (["run", "a.yaml", "--log-file=l=m"], ["run", "a.yaml"], 0, "l=m", False),
        (["run", "--", "-v", "--debug"], ["run", "--", "-v", "--debug"], 0, None, False),
        (["run", "a.yaml", "--log-file"], ["run", "a.yaml", "--log-file"], 0, None, False),
        (["run", "--version"], ["run", "--version"], 0, None, False),
    ],
)
def test_they_go_anywhere(arguments, rest, verbosity, file, debug):
    left, found = _take_general(arguments)
    assert (left, found.verbosity, found.log_file, found.debug) == (rest, verbosity, file, debug)


def test_the_log_goes_to_stderr_and_to_a_file(manifest):
    result = invoke("run", "walk.yaml", "-v", "--log-file", "log.txt")
    assert result.exit_code == 0, result.stderr
    written = (manifest.parent / "log.txt").read_text()
    assert "qecforge.executors.listeners: run " in written
    assert "plugin toy of unknown 0" in written
    again = invoke("run", "walk.yaml")
    assert again.exit_code == 0
    assert (manifest.parent / "log.txt").read_text() == written, "nobody asked for a log"


def test_a_log_has_the_traceback_of_an_error(folder, toys):
    invoke("run", "missing.yaml", "--log-file", "log.txt")
    assert "Traceback (most recent call last)" in (folder / "log.txt").read_text()


def test_a_log_that_cannot_be_written_is_one_line(folder):
    line = one_line(invoke("plugins", "list", "--log-file", "no/such/folder/log.txt"))
    assert (
        line == "--log-file: no/such/folder/log.txt cannot be written (No such file or directory): choose another place"
    )


def test_an_unknown_listener_is_one_line(manifest):
    line = one_line(invoke("run", "walk.yaml", "--listener", "bell"))
    assert line.startswith("unknown listener 'bell'.")
    assert not (manifest.parent / "results.db").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("qecforge ru", {"run", "runs"}), ("qecforge codes ex", {"export"}), ("qecforge run --see", set())],
)
def test_the_shell_completes_commands(folder, words, expected):
    environment = os.environ | {
        "_QECFORGE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [sys.executable, "-c", "from qecforge.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert set(done.stdout.split()) == expected
    assert "Traceback" not in done.stderr


def test_completion_can_be_installed():
    shown = invoke("--help").stdout
    assert "--install-completion" in shown
    assert "--show-completion" in shown
