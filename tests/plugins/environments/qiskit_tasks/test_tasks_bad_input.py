"""What users give by mistake, and machines that lack what is needed: one line and exit code 2, whichever command."""

import json
import subprocess
import sys

import pytest
from cli_harness import invoke, one_line
from isolation import needs_isolation
from model_server import chat, response, serving

from qecforge_qiskit_tasks.evaluation.models import server as server_module

ADD = {
    "id": "t/add",
    "prompt": "def add(a, b):\n",
    "hard_prompt": "Write add(a, b).",
    "entry_point": "add",
    "reference": "def add(a, b):\n    return a + b\n",
    "tests": "def test_it(program):\n    assert program.add(4, 3) == 7\n",
    "level": "basic",
}
LESS = {**ADD, "id": "t/less", "prompt": "def less(a, b):\n", "entry_point": "less"}
LESS |= {
    "reference": "def less(a, b):\n    return a - b\n",
    "tests": ADD["tests"].replace("add(4, 3) == 7", "less(4, 3) == 1"),
}
SERVER = "http://127.0.0.1:1/v1#m"
OLD_BWRAP = "#!/bin/sh\necho bubblewrap 0.4.1\n"


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def sample(task_id="t/add", completion="return a + b"):
    return {"task_id": task_id, "completion": completion}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_bytes(lines(ADD, LESS))
    return tmp_path


TASKS = {
    "no tests": (lines({**ADD, "tests": ""}), "tasks.jsonl:1 (t/add) tests: "),
    "tests without a test": (lines({**ADD, "tests": "x = 1\n"}), "write at least one test"),
    "tests that are no Python": (
        lines({**ADD, "tests": "def test_it(program)\n"}),
        "not valid Python (line 1: expected",
    ),
    "duplicate ids": (lines(ADD, ADD), "the id t/add is there twice; rename one of the two"),
    "an unknown form": (
        lines({"question": 1, "answer": 2}),
        "an unknown form with the keys question, answer; looked for",
    ),
    "not UTF-8": (b'{"id": "\xff"}', "byte 8 is not UTF-8"),
    "NUL": (b'{"id": "\x00"}', "it holds a NUL character"),
    "a limit of zero": (lines({**ADD, "limits": {"cpu_seconds": 0}}), "cpu_seconds: got 0, expected more than 0"),
    "a limit below zero": (lines({**ADD, "limits": {"cpu_seconds": -1}}), "got -1, expected a number, more than 0"),
    "a limit that there is not": (
        lines({**ADD, "limits": {"seconds": 1}}),
        "unknown limit 'seconds', expected some of cpu_seconds, wall_seconds",
    ),
    "memory of zero": (lines({**ADD, "limits": {"memory": "0 MiB"}}), "memory: got 0, expected more than 0"),
    "nothing": (b"", "it has no task"),
    "no JSON": (b"tasks", "tasks.jsonl:1: not JSON"),
}


@pytest.mark.parametrize("command", ["check", "eval"])
@pytest.mark.parametrize("name", TASKS)
def test_tasks_that_are_none(folder, name, command):
    content, said = TASKS[name]
    (folder / "tasks.jsonl").write_bytes(content)
    more = ["--model", SERVER] if command == "eval" else []
    assert said in one_line(invoke("tasks", command, "tasks.jsonl", *more))


CHECKED = {
    "a reference that fails": ({**ADD, "reference": LESS["reference"].replace("less", "add")}, "the reference fails: "),
    "tests that accept pass": (
        {**ADD, "tests": "def test_it(program):\n    program.add(1, 2)\n"},
        "accept a program that",
    ),
    "a wrong solution that passes": (
        {**ADD, "wrong": [ADD["reference"].replace("a + b", "b + a")]},
        "wrong solution 1 passes",
    ),
    "a reference that is no Python": ({**ADD, "reference": "def add(a, b:\n"}, "the reference is no Python"),
    "a reference without end": (
        {**ADD, "reference": "while True:\n    pass\n\n\ndef add(a, b):\n    pass\n", "limits": {"cpu_seconds": 0.1}},
        "the reference fails: timeout: it used",
    ),
}


@needs_isolation
def test_tasks_that_prove_nothing(folder):
    """All in one set: each is named with its one problem, in a line of its own."""
    rows = [{**task, "id": f"t/{i}"} for i, (task, _) in enumerate(CHECKED.values())]
    (folder / "tasks.jsonl").write_bytes(lines(*rows))
    result = invoke("tasks", "check", "tasks.jsonl", "--repeats", 1, "--mutants", 1, "--no-cache")
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for i, (name, (_, said)) in enumerate(CHECKED.items()):
        told = [line for line in result.stdout.splitlines() if f"t/{i}" in line and said in line]
        assert len(told) == 1, (name, result.stdout)


SAMPLES = {
    "another number of completions": (
        lines(sample(), sample(), sample("t/less")),
        "1 of 2 tasks do not have 2 completions",
    ),
    "none of some": (lines(sample()), "1 of 2 tasks do not have 1 completions, such as t/less with 0"),
    "none": (b"", "there is no completion, expected some of 2 tasks"),
    "an unknown task": (lines(sample("t/ad")), "there is no task 't/ad'. Did you mean 't/add'?"),
    "not UTF-8": (b'{"task_id": "\xff"}', "byte 14 is not UTF-8"),
    "NUL": (b'{"task_id": "\x00"}', "a NUL character, expected JSON"),
    "other keys": (lines({"id": 1, "text": 2}), "got id, text, expected task_id and completion"),
    "no text": (lines(sample(completion=3)), "completion is int, expected text"),
    "no JSON": (b"t/add: return a + b\n", "not JSON"),
    "100 MB": (lines(sample(completion="x" * 10**8)), "a line of more than"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_are_none(folder, name):
    content, said = SAMPLES[name]
    (folder / "samples.jsonl").write_bytes(content)
    line = one_line(invoke("tasks", "eval", "good.jsonl", "--model", "file:samples.jsonl"))
    assert said in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "none.jsonl"], "none.jsonl: there is no such file"),
        (["check", "good.jsonl", "--only", "bell"], "--only: no id of good.jsonl has 'bell' in it"),
        (["check", "good.jsonl", "--transcripts", "good.jsonl"], "cannot be used as a file of transcripts"),
        (["eval", "none.jsonl", "--model", SERVER], "none.jsonl: there is no such file"),
        (["generate", "--out", "none/tasks.jsonl"], "--out: there is no folder none; make it first"),
        (["generate", "--out", ".", "--count", "3"], "--out: . cannot be written"),
        (["generate", "--out", "x" * 300], "cannot be written (File name too long)"),
        (["check", "x" * 300], "cannot be read (File name too long)"),
        (["check", "good.jsonl", "--transcripts", "x" * 300], "cannot be used as a file of transcripts"),
        (["check", "good.jsonl", "--repeats", "9" * 20], "--repeats"),
        (["eval", "--compare", "x" * 300, "--compare", "y" * 300], "cannot be read (File name too long)"),
        (["replay", "abc", "--transcripts", "x" * 300], "--transcripts: there is no file"),
        (["replay", "abc"], "--transcripts: there is no file"),
        (["replay", "abc", "--transcripts", "good.jsonl"], "cannot be used as a file of transcripts"),
    ],
    ids=lambda each: " ".join(part[:20] for part in each) if isinstance(each, list) else "",
)
def test_arguments_that_cannot_be(folder, arguments, said):
    assert said in one_line(invoke("tasks", *arguments))


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "60000"], ["--count", "x"], ["--seed", "-1"], []])
def test_numbers_that_cannot_be_generated(folder, arguments):
    result = invoke("tasks", "generate", *([] if not arguments else ["--out", "t.jsonl"]), *arguments)
    assert (result.exit_code, "Traceback" in result.output, (folder / "t.jsonl").exists()) == (2, False, False)


@pytest.fixture
def old_bwrap(folder, monkeypatch):
    """First on the PATH."""
    (folder / "bin").mkdir()
    fake = folder / "bin" / "bwrap"
    fake.write_text(OLD_BWRAP)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")


@pytest.mark.usefixtures("old_bwrap", "own_sandboxes")
def test_a_bubblewrap_that_is_too_old(folder):
    said = "bwrap is of version 0.4.1, and the sandbox needs 0.8.0 or later; install a later bubblewrap"
    assert said in one_line(invoke("tasks", "check", "good.jsonl", "--cells", 1))
    (folder / "samples.jsonl").write_bytes(lines(sample(), sample("t/less")))
    assert said in one_line(invoke("tasks", "eval", "good.jsonl", "--model", "file:samples.jsonl", "--cells", 1))
    checked = invoke("sandbox", "check")
    assert (checked.exit_code, said in checked.stdout) == (2, True)


DARWIN = """
import ctypes, os, select, sys
class Library:
    syscall = type("Call", (), {})()
    def __getattr__(self, name):
        raise AttributeError(name)
import numpy, qiskit.circuit, pydantic, typer, sqlalchemy
sys.platform = "darwin"
for module, name in ((os, "sched_getaffinity"), (os, "pidfd_open"), (os, "sched_setaffinity")):
    delattr(module, name)
ctypes.CDLL = lambda *_, **__: Library()
from qecforge.cli import main
sys.argv = ["qecforge", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("command", [["sandbox", "check"], ["tasks", "check", "good.jsonl"]], ids=" ".join)
def test_another_system(folder, command):
    """Without what only Linux has: a stand-in for macOS, where the modules must still be importable."""
    done = subprocess.run([sys.executable, "-c", DARWIN, *command], capture_output=True, text=True, check=False)
    said = "the sandbox needs Linux, this is darwin; use a Linux machine"
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    if command[0] == "tasks":
        (line,) = done.stderr.splitlines()
        assert said in line
    else:
        assert said in done.stdout


NO_QISKIT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("qiskit", "qiskit_aer"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from qecforge.cli import main
sys.argv = ["qecforge", *sys.argv[1:]]
main()
"""


def test_an_interpreter_without_qiskit(folder):
    command = [sys.executable, "-c", NO_QISKIT, "tasks", "check", "good.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "qiskit" in line
    assert "install" in line


ENDPOINTS = {
    "429": (response("429 Too Many Requests", '{"error": {"message": "slow down"}}'), "answered 429 (slow down)"),
    "500": (response("500 Internal Server Error", "oh"), "answered 500 (oh)"),
    "HTML": (response("200 OK", "<html>Welcome</html>", kind="text/html"), "answered text/html"),
    "nothing": (response("200 OK", ""), "answered nothing"),
    "silence": ([None], "did not answer within 0.3 s"),
    "no answer": (b"", "closed the connection without an answer"),
}


@needs_isolation
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_that_does_not_answer_is_asked_again_and_then_gone_on_with(folder, monkeypatch, name):
    """The first completion came and is kept; the second is asked for twice, then by the same command."""
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.01)
    sent, said = ENDPOINTS[name]
    good, well = response("200 OK", chat("return a + b")), []

    def behaviour(request, number):
        return good if number == 0 or well else sent

    with serving(behaviour) as server:
        command = ["tasks", "eval", "good.jsonl", "--model", f"{server.url}#tiny", "-n", "1", "--cells", "1"]
        command += ["--concurrency", "1", "--requests", "2", "--timeout", "0.3" if name == "silence" else "20"]
        monkeypatch.setattr("sys.argv", ["qecforge", *command])
        line = one_line(invoke(*command))
        assert said in line
        assert "at each of 2 attempts" in line
        assert "goes on" in line
        assert len(server.requests) == 3
        well.append(True)
        done = invoke(*command)
        assert done.exit_code == 0, done.output
        assert len(server.requests) == 4
    assert "50.0 %" in done.stdout
