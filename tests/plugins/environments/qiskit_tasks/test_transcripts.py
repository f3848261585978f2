"""What was run is filed, not run again, and can be replayed."""

import json
import sqlite3
from pathlib import Path

import pytest
from isolation import needs_isolation

from qecforge.errors import ConfigurationError, StoreError
from qecforge.sandbox import Program, Verdict
from qecforge_qiskit_tasks import JudgeConfig, TaskJudge, load_tasks
from qecforge_qiskit_tasks.replaying import replayed
from qecforge_qiskit_tasks.transcripts import Transcripts, asked_of, key_of

TASKS = load_tasks(Path(__file__).parent / "assets" / "small.yaml")
ADD = TASKS[1]
HALF = "print('seen')\ndef add(a, b):\n    return 5\n"


def judge(path, **settings):
    return TaskJudge(TASKS, JudgeConfig(cells=1, transcripts=path, **settings))


@needs_isolation
def test_the_same_is_not_run_twice_and_a_replay_agrees(tmp_path, monkeypatch):
    path = tmp_path / "t.db"
    with judge(path) as first:
        fresh = first.judge([ADD.id] * 3, [ADD.reference, HALF, HALF])
    assert [each.cached for each in fresh] == [False] * 3
    assert fresh[1].key == fresh[2].key
    with judge(path) as second:
        monkeypatch.setattr(type(second.sandbox), "run", lambda *_: pytest.fail("it was run again"))
        again = second.judge([ADD.id] * 3, [ADD.reference, HALF, HALF])
    monkeypatch.undo()
    assert all(each.cached for each in again)
    for one, other in zip(fresh, again, strict=True):
        assert (one.verdict, one.tests, one.components, one.output, one.cpu_seconds, one.memory) == (
            (other.verdict, other.tests, other.components, other.output, other.cpu_seconds, other.memory)
        )
    assert again[1].output == "seen\n"
    with judge(path, read_transcripts=False) as third:
        assert not third.judge([ADD.id], [HALF])[0].cached
    rows = replayed(fresh[1].key[:12], path)
    assert all(row["same"] for row in rows)
    assert {row["what"]: row["now"] for row in rows}["test_lists"] == "failed"


def test_the_key_depends_on_all_that_the_outcome_does():
    def key(source=HALF, tests=ADD.tests, task="a", profile="bubblewrap", **more):
        return key_of(asked_of(Program(source, tests=tests, **more), task, profile))

    keys = [key(), key(source="x"), key(tests="y"), key(task="b"), key(profile="landlock"), key(seed=1)]
    keys.append(key(in_process=True))
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


def test_bad_files_and_keys_are_one_line(tmp_path):
    (tmp_path / "text").write_text("no database, but a text of some length")
    with pytest.raises(StoreError, match="cannot be used as a file of transcripts"):
        Transcripts(tmp_path / "text")
    with pytest.raises(StoreError, match="no transcript begins with 'abc'"):
        Transcripts(tmp_path / "t.db").find("abc")
    with pytest.raises(ConfigurationError, match="3 task ids and 1 completions"):
        judge(None).judge([ADD.id] * 3, [HALF])


VALUES = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    '"x"',
    "1",
    "9" * 5000,
    "\x1b[2J",
    '{"verdict": "good"}',
    None,
    7,
    1.5,
    b"\xff",
    b"{}",
]


@pytest.mark.parametrize("column", ["asked", "outcome"])
def test_an_altered_row_is_one_line(tmp_path, column):
    """As for the rows of a store: any value in any column."""
    path = tmp_path / "t.db"
    asked = asked_of(Program(HALF, tests=ADD.tests), "a", "bubblewrap")
    key = key_of(asked)
    filed = {"key": key, "task": "a", "asked": json.dumps(asked), "outcome": '{"verdict": "failed"}'}
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE transcripts (key, task, asked, outcome)")
    for value in (*VALUES, json.dumps({**asked, "profile": "landlock"}), json.dumps({**asked, "seed": 10**400})):
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM transcripts")
            database.execute("INSERT INTO transcripts VALUES (:key, :task, :asked, :outcome)", {**filed, column: value})
        database.close()
        with pytest.raises(StoreError, match=f"table transcripts, row '{key[:17]}...', column {column}: "):
            replayed(key[:9], path)
        if column == "outcome":
            with pytest.raises(StoreError, match="column outcome: "):
                Transcripts(path).get([key])
        else:
            assert Transcripts(path).get([key])[key].verdict is Verdict.FAILED


def test_a_url_names_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="this is a URL; give a path"):
        Transcripts("http://127.0.0.1:1/t.db")
    assert not [*tmp_path.iterdir()]
