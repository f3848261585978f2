"""What commands write to terminals of several widths, to streams of other encodings, and where nothing can be
written."""

import ast
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import screens
from cli_harness import LOAD, TOY_CLI, invoke, toy_process

from qecforge import Store
from qecforge.cli import _output
from qecforge.codes import StabilizerCode
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.registry import Registry
from qecforge.testing.examples import example_task

ROOT = Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests"
WIDTHS = (80, 110, 160)
SWEPT = """\
qecforge: 1
name: a_name_of_some_length
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 200}
evaluation: {count: {episodes: 5}}
sweep: {environment.size: [7, 9], agent.total_steps: [120, 160]}
seeds: [5]
"""
COMMANDS = (
    "runs list",
    "runs show {run}",
    "runs compare {run} {other} --metric visits",
    "runs delete {run}",
    "codes list",
    "codes show {code}",
    "codes verify {code}",
    "codes import code.txt",
    "plugins list",
    "plugins show walk --kind environment",
    "run swept.yaml --dry-run",
    "run walk.yaml",
    "validate swept.yaml",
    "reproduce",
    "reproduce study --dry-run --seeds 2",
    "reproduce study --tables-only --seeds 2",
    "bench --list",
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory, finished):
    """A folder with a store of runs of two manifests, and a code with its error rates."""
    folder = tmp_path_factory.mktemp("stored")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    (folder / "swept.yaml").write_text(SWEPT)
    (folder / "code.txt").write_text("XXXX\nZZZZ\n")
    with toy_process(folder, "run", "swept.yaml") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    with Store(f"sqlite:///{folder}/results.db") as store:
        record = store.codes()[0]
        for p in (1e-4, 1.23456e-3):
            counts = ErrorCounts(shots=1_000_000, errors=round(1e6 * p), seconds=1.0)
            store.add_error_counts(record.id, example_task(record.code, p, decoder="ml_lookup"), 0, counts)
    return folder


@pytest.fixture
def place(stored, folder, monkeypatch):
    """The current directory with a copy of it, and the toy study among the plugins."""
    shutil.copytree(stored, folder, dirs_exist_ok=True)
    points = [EntryPoint(name, name, "qecforge") for name in ("toy_plugin", "toy_study")]
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: LOAD(cls, points)))
    with Store("sqlite:///results.db", read_only=True) as store:
        runs = store.runs()
        return {"run": runs[0].id, "other": runs[-1].id, "code": store.codes()[0].id}


def numbers_in(text):
    """Words with a digit in them: ids, numbers, intervals. Times that something took are left out."""
    without_times = re.sub(r"\d\S* (?:s|min \d\d s)\b", "", text.replace("= ", "="))
    return {word for word in re.findall(r"[^\s;]+", without_times) if re.search(r"\d", word)}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_table_cuts_an_id_or_a_number(place, monkeypatch, command):
    arguments = command.format(**place).split()
    answer = {"input": "n\n"} if "delete" in arguments else {}
    whole = numbers_in(invoke(*arguments, **answer).stdout)
    monkeypatch.setattr(_output, "on_terminal", lambda: True)
    for width in WIDTHS:
        result = invoke(*arguments, env={"COLUMNS": str(width)}, **answer)
        assert "…" not in result.stdout.replace("/…", "")
        missing = whole - numbers_in(result.stdout)
        named = re.search(r"no room for: (.*)", result.stdout)
        if named is not None and "started (UTC)" in named[1]:
            missing = {word for word in missing if not re.match(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d", word)}
        assert {word for word in missing if "=" not in word} == set(), f"at {width}"
        rules = [len(line) for line in result.stdout.splitlines() if line.startswith("──")]
        assert max(rules, default=0) <= width


def test_the_page_of_screens_is_current():
    page = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
    assert page == screens.page(), "PYTHONPATH=tests/support python tests/support/screens.py > docs/terminal.md"


def test_a_real_terminal_tells_its_width(stored):
    shown = {}
    for width in (40, 200):
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{TOY_CLI}", "runs", "list"]
        child, terminal = pty.fork()
        if child == 0:
            os.environ.pop("COLUMNS", None)
            os.chdir(stored)
            os.execv(sys.executable, command)
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        content = b""
        while chunk := read_or_nothing(terminal):
            content += chunk
        os.waitpid(child, 0)
        os.close(terminal)
        shown[width] = content.decode()
    with Store(f"sqlite:///{stored}/results.db", read_only=True) as store:
        for run in store.runs():
            assert run.id in shown[40]
            assert re.search(rf"{run.id} .*{run.seed} .*finished", shown[200])
    assert max(map(len, shown[40].splitlines())) <= 42
    assert max(map(len, shown[200].splitlines())) > 100


def read_or_nothing(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize(
    ("encoding", "command"), [("cp1252", "runs list"), ("cp1252", "codes show {code}"), ("ascii", "plugins list")]
)
def test_an_encoding_without_boxes_gets_ascii(place, folder, encoding, command):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with toy_process(folder, *command.format(**place).split(), env=environment, encoding=encoding) as process:
        output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert re.search("^-{20,}$", output, re.MULTILINE)


def test_what_an_encoding_lacks_is_escaped():
    program = "from qecforge.machine.streams import prepare_streams as p; p(); print('── ±1 … 漢 \\udc80 é')"
    for encoding, wanted in (
        ("ascii", rb"-- +-1 ... \u6f22 \udc80 \xe9"),
        ("latin-1", b"-- \xb11 ... \\u6f22 \\udc80 \xe9"),
        ("utf-8", "── ±1 … 漢 \\udc80 é".encode()),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            check=True,
        )
        assert done.stdout == wanted + b"\n"


def test_json_stays_json_in_any_encoding(folder):
    with Store("sqlite:///results.db") as store:
        code = StabilizerCode.from_paulis(["XXXX", "ZZZZ"])
        store.add_code(code, code.distance(), source="漢 \U0001f600 … é")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with toy_process(folder, "codes", "list", "--format", "json", env=environment) as process:
        output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output)[0]["source"] == "漢 \U0001f600 … é"


@pytest.mark.parametrize(
    ("command", "redirection", "reason"),
    [
        ("runs list", ">/dev/full", "No space left"),
        ("codes show {code}", ">&-", "Bad file descriptor"),
        ("schema", ">/dev/full", "No space left"),
        ("--help", ">&-", "Bad file descriptor"),
    ],
)
def test_a_stdout_that_takes_nothing_is_one_line(place, folder, command, redirection, reason):
    done = shell(folder, command.format(**place), redirection)
    assert done.returncode == 2
    assert done.stderr.startswith("standard output cannot be written (" + reason)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("redirection", ["2>/dev/full", "<&- 2>&-"])
def test_a_stderr_that_takes_nothing_stops_no_run(place, folder, redirection):
    done = shell(folder, "run walk.yaml --force --set seeds=[5]", redirection)
    assert done.returncode == 0
    assert "[[5,1,3]]" in done.stdout
    assert shell(folder, "runs show nothing", redirection).returncode == 2


def test_a_run_whose_output_is_lost_is_in_the_store(place, folder):
    done = shell(folder, "run walk.yaml --set seeds=[77]", ">&-")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("standard output cannot be written")
    with Store("sqlite:///results.db", read_only=True) as store:
        assert [run.status for run in store.runs(seed=77)] == ["finished"]
        assert store.codes(run=store.runs(seed=77)[0].id)


def shell(folder, command, redirection):
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{TOY_CLI}"
    arguments = shlex.join([sys.executable, "-c", program, *command.split()])
    line = f"{arguments} {redirection}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_commands_for_the_user_quote_the_store(place, folder, monkeypatch):
    """Each printed command is one that a shell takes apart into what it was."""
    blank = folder / "a folder $HOME"
    blank.mkdir()
    shutil.copytree(folder / "results.artifacts", blank / "results.artifacts", dirs_exist_ok=True)
    shutil.copy(folder / "results.db", blank / "results.db")
    url = f"sqlite:///{blank}/results.db"
    shown = [
        invoke("codes", "show", place["code"], "--store", url).stdout,
        invoke("run", "walk.yaml", "--store", url).stdout,
        invoke("run", "walk.yaml", "--set", "agent.fail_at=50", "--store", url).stderr,
    ]
    commands = [line.strip() for text in shown for line in text.splitlines() if line.strip().startswith("qecforge ")]
    commands += [each for text in shown for each in re.findall(r"`(qecforge [^`]+)`", text)]
    assert len(commands) > 3
    for command in commands:
        assert shlex.split(command)[-2:] == ["--store", url], command
    line = next(line.strip() for line in shown[0].splitlines() if line.strip().startswith("with Store("))
    assert ast.literal_eval(line.removeprefix("with Store(").removesuffix(") as store:")) == url
