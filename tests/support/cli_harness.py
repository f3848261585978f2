"""What the tests of the command line share."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from typer.testing import CliRunner

from qecforge.cli._app import app
from qecforge.registry import Registry

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 200}
evaluation: {count: {episodes: 5}}
seeds: [5, 6]
"""

LOAD = Registry.load.__func__


def with_toys(cls, entry_points=None):
    return LOAD(cls, [EntryPoint("toy", "toy_plugin", "qecforge")] if entry_points is None else entry_points)


def invoke(*arguments, **options):
    return CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(app, [str(each) for each in arguments], **options)


def one_line(result, code=2):
    """The only line on stderr of a command that ended with `code` and wrote nothing else."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.endswith("\n")
    (line,) = result.stderr.splitlines()
    return line


TOY_CLI = """\
import sys
from importlib.metadata import EntryPoint
from qecforge.registry import Registry
load = Registry.load.__func__
Registry.load = classmethod(lambda cls: load(cls, [EntryPoint("toy", "toy_plugin", "qecforge")]))
from qecforge.cli import main
main()
"""


def toy_process(folder, *arguments, **options):
    tests = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tests)!r})\n{TOY_CLI}", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
