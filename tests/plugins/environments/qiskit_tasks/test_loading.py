"""Files of tasks: each form, and each thing that can be wrong with one."""

import gzip
import json
from pathlib import Path

import pytest

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks import Task, load_tasks

SMALL = Path(__file__).parent / "assets" / "small.yaml"
TASKS = load_tasks(SMALL)
ROW = TASKS[1].model_dump(mode="json")
PUBLIC = {
    "task_id": "HumanEval/0",
    "prompt": 'from math import sqrt\n\n\ndef root(x):\n    """The square root."""\n',
    "canonical_solution": "    return sqrt(x)\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(4) == sqrt(4)\n",
    "entry_point": "root",
}


def write(path, rows):
    text = "\n".join(map(json.dumps, rows)) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["tasks.jsonl", "tasks.jsonl.gz"])
def test_our_lines_are_read(tmp_path, name):
    path = write(tmp_path / name, [task.model_dump(mode="json") for task in TASKS])
    assert load_tasks(path) == TASKS
    assert load_tasks(tmp_path) == TASKS


@pytest.mark.parametrize("name", ["HumanEval.jsonl", "HumanEval.jsonl.gz", "set.json"])
def test_the_public_form_is_read(tmp_path, name):
    path = tmp_path / name
    path = write(path, [PUBLIC]) if "jsonl" in name else path
    if name == "set.json":
        path.write_text(json.dumps([{**PUBLIC, "difficulty_scale": "basic"}]))
    (task,) = load_tasks(path)
    assert task.id == "HumanEval/0"
    assert task.prompt == PUBLIC["prompt"]
    assert task.reference == PUBLIC["prompt"] + PUBLIC["canonical_solution"]
    assert task.tests.startswith("from math import sqrt\n")
    assert "check(program.root)" in task.tests
    assert task.level == ("basic" if name == "set.json" else "intermediate")


def test_what_draws_with_graphviz_may_start_it(tmp_path):
    """Qiskit has coupling maps and DAGs drawn by a process."""
    drawn = {**PUBLIC, "task_id": "a", "canonical_solution": "    return dag_drawer(x)\n"}
    one, other = load_tasks(write(tmp_path / "drawn.jsonl", [drawn, PUBLIC]))
    assert (one.own_limits.processes, other.own_limits.processes) == (4, 0)


def test_the_hard_variant_asks_in_prose(tmp_path):
    hard = {**PUBLIC, "prompt": "Write root(x).", "canonical_solution": "def root(x):\n    return x**0.5\n"}
    (task,) = load_tasks(write(tmp_path / "hard.jsonl", [hard]))
    assert (task.prompt, task.hard_prompt) == ("", "Write root(x).")
    assert task.reference == hard["canonical_solution"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{**ROW, "tests": ""}], "tasks.jsonl:1 (small/adds) tests: "),
        ([{**ROW, "tests": "def other(program):\n    pass\n"}], "write at least one test"),
        ([ROW, ROW], "the id small/adds is there twice"),
        ([{"question": 1, "answer": 2}], "an unknown form with the keys question, answer; looked for entry_point"),
        ([{**PUBLIC, "canonical_solution": None}], "no text under canonical_solution"),
        ([{"task_id": "a", "test": "b"}], "no prompt, canonical_solution, entry_point; looked for"),
        ([{**PUBLIC, "test": "assert True"}], "the test has no function `check(candidate)`"),
        ([{**ROW, "no_such_key": 1}], "no_such_key"),
        ([{**ROW, "limits": {"cpu_seconds": 0}}], "cpu_seconds: got 0, expected more than 0"),
        ([{**ROW, "limits": {"seconds": 3}}], "seconds"),
        ([{**ROW, "prompt": "", "hard_prompt": " "}], "neither `prompt` nor `hard_prompt`"),
        ([{**ROW, "level": "hard"}], "level"),
        ([[1, 2]], "got list, expected a task"),
        ([], "it has no task"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, rows, said):
    with pytest.raises(ConfigurationError) as refused:
        load_tasks(write(tmp_path / "tasks.jsonl", rows))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"id": "\xff"}', "byte 8 is not UTF-8"),
        ("a.jsonl", b'{"id": "\x00"}', "NUL character"),
        ("a.jsonl", b"{", "a.jsonl:1: not JSON"),
        ("a.jsonl", b"[" * 100_000, "not JSON"),
        ("a.jsonl.gz", b"nothing packed", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b"packed " * 100, mtime=0)[:12] + b"\xff" * 20, "cannot be read"),
        ("a.jsonl", b'{"id": ' + b"9" * 5000 + b"}", "not JSON"),
        ("a.yaml", b"tasks: [", "not YAML"),
        ("a.yaml", b"others: []", "expected a list under the key `tasks`"),
        ("a.json", b"3", "expected a list of tasks"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load_tasks(tmp_path / name)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_without_tasks_and_a_missing_file(tmp_path):
    with pytest.raises(ConfigurationError, match="no file of tasks is there"):
        load_tasks(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_tasks(tmp_path / "missing.jsonl")


def test_a_prompt_that_is_not_there_is_refused():
    task = Task(**{**ROW, "hard_prompt": ""})
    with pytest.raises(ConfigurationError, match="has no hard prompt; ask for the standard one"):
        task.asked("hard")


def test_yaml_is_read_once(tmp_path, monkeypatch):
    """What was made of a text is kept by its hash; a kept file that is broken, and no home, are no harm."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = load_tasks(SMALL)
    (kept,) = (tmp_path / "cache" / "qecforge" / "tasks").iterdir()
    monkeypatch.setattr("ruamel.yaml.YAML.load", lambda *_: pytest.fail("it is read again"))
    assert load_tasks(SMALL) == first == TASKS
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept.write_text("{")
    assert load_tasks(SMALL) == TASKS
    assert json.loads(kept.read_text())["tasks"][0]["id"] == "small/bell"
    changed = tmp_path / "changed.yaml"
    changed.write_text(SMALL.read_text().replace("small/bell", "small/other"))
    assert load_tasks(changed)[0].id == "small/other"
    monkeypatch.setenv("XDG_CACHE_HOME", str(SMALL))
    assert load_tasks(SMALL) == TASKS
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert load_tasks(SMALL) == TASKS


def test_what_json_would_change_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    odd = tmp_path / "odd.yaml"
    odd.write_text("tasks:\n  - {id: a, 1: b}\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="task 1"):
            load_tasks(odd)
    assert not (tmp_path / "cache").exists()
