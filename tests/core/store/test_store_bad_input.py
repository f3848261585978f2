"""What cannot be a store is refused in one line that says what to do, and nothing is touched."""

import multiprocessing
import os
import pickle
import sqlite3
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qecforge.errors import MissingDependency, StoreError
from qecforge.store import Store
from qecforge.testing.store import distance, example_code, example_run


def refusal(*arguments, **settings):
    with pytest.raises(StoreError) as caught:
        Store(*arguments, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def made(tmp_path):
    """A store with a run in it."""
    path = tmp_path / "results.db"
    with Store(path) as store:
        example_run(store)
    return path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("results.db", "write sqlite:///results.db for a file"),
        ("", "not a database URL"),
        ("sqlite:///results.db?timeout=3", "write sqlite:///FILE"),
        ("sqlite+aiosqlite:///results.db", "write sqlite:///FILE"),
        ("postgresql://host:port/name", "not a database URL"),
        ("nosuchdatabase://host/name", "install one, or give sqlite:///FILE"),
    ],
)
def test_what_is_not_a_url(url, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refusal(url)
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=30).filter(lambda text: "sqlite" not in text))
@example("@\x1e")
@example("someone:secret@\u2028host")
def test_any_text_is_refused_in_one_line(text):
    with pytest.raises((StoreError, MissingDependency)) as caught:
        Store(text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_server_that_does_not_answer():
    message = refusal("postgresql://someone:secret@127.0.0.1:9/results")
    assert "no server answers there" in message
    assert "secret" not in message


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependency, match=r"pip install 'psycopg\[binary\]>=[\d.]+'"):
        Store("postgresql://127.0.0.1:9/results")


def test_missing_pandas_names_the_extra(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with Store(made) as store, pytest.raises(MissingDependency, match=r"pip install 'pandas>=[\d.]+'"):
        store.frame("runs")


def test_places_where_no_store_can_be(tmp_path):
    assert "is a folder" in refusal(tmp_path)
    assert "does not exist: make it first" in refusal(tmp_path / "nowhere" / "results.db")
    assert "no such store" in refusal(tmp_path / "results.db", create=False)
    assert "no such store" in refusal(tmp_path / "results.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"not a database\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"x"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "results.db"
    path.write_bytes(content)
    message = refusal(path)
    assert "is not a qecforge store" in message or "is damaged" in message
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "results.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title)")
    connection.close()
    before = path.read_bytes()
    assert "not a qecforge store (it has the tables songs)" in refusal(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_schema_is_left_alone(made):
    connection = sqlite3.connect(made)
    connection.execute("UPDATE qecforge_schema SET version_num = '9999'")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = made.read_bytes()
    for settings in ({}, {"read_only": True}):
        message = refusal(made, **settings)
        assert "schema is revision 9999" in message
        assert "upgrade qecforge" in message
    assert made.read_bytes() == before


def test_a_store_cut_short_is_refused(made):
    with Store(made) as store:
        run_id = store.runs()[0].id
        store.add_metrics(run_id, [("x", step, 1.0, 0.0) for step in range(5000)])
    made.write_bytes(made.read_bytes()[:5000])
    with pytest.raises(StoreError, match=r"is damaged|is not a qecforge store"), Store(made) as store:
        store.metrics(run_id, "x")


def test_an_empty_file_becomes_a_store_but_not_read_only(tmp_path):
    path = tmp_path / "results.db"
    path.touch()
    assert "opened read-only" in refusal(path, read_only=True)
    assert path.read_bytes() == b""
    with Store(path) as store:
        assert store.runs() == []


def test_a_read_only_store_reads_and_refuses_to_write(made):
    with Store(made, read_only=True) as store:
        (run,) = store.runs()
        assert store.read_only
        for write in (
            lambda: store.mark_run(run.id, "finished"),
            lambda: store.add_metrics(run.id, [("x", 0, 1.0, 0.0)]),
            lambda: store.add_code(example_code(), distance(3), source="test"),
            lambda: store.delete_run(run.id),
        ):
            with pytest.raises(StoreError, match="opened read-only: open it without read_only to write"):
                write()
        with pytest.raises(StoreError, match="read-only"):
            store.add_artifact(run.id, "policy", "p", b"weights")
        assert store.runs() == [run]
        assert not store.directory.exists() or list(store.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (example_code("five_qubit").to_json(), "it is another code"),
        ("{", "no code any more"),
        ("[1]", "no code any more"),
    ],
)
def test_an_altered_code_is_noticed(made, definition, said):
    with Store(made) as store:
        store.add_code(example_code("repetition"), distance(1), source="test")
    connection = sqlite3.connect(made)
    connection.execute("UPDATE codes SET definition = ?", [definition])
    connection.commit()
    connection.close()
    with Store(made) as store:
        (record,) = store.codes()
        with pytest.raises(StoreError, match=said):
            _ = record.code


def test_odd_file_names(tmp_path):
    folder = tmp_path / "50% of a?b#c & d"
    folder.mkdir()
    with Store(folder / "my results.sqlite") as store:
        run = example_run(store)
        store.add_artifact(run.id, "policy", "p", b"weights")
        with pickle.loads(pickle.dumps(store)) as other:
            assert other.runs() == [run]
            assert other.directory == folder / "my results.artifacts"


def test_a_relative_name_survives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("sqlite:///results.db") as store:
        monkeypatch.chdir("/")
        example_run(store)
        assert store.directory == tmp_path / "results.artifacts"
        with pickle.loads(pickle.dumps(store)) as other:
            assert len(other.runs()) == 1
    assert (tmp_path / "results.db").is_file()


def _try_to_open(path, read_only, said):
    if os.getuid() == 0:  # root may do anything: become nobody
        os.setgid(65534)
        os.setuid(65534)
    try:
        with Store(path, read_only=read_only) as store:
            said.put(str([run.name for run in store.runs()]))
    except StoreError as error:
        said.put(str(error))


@pytest.fixture
def open_as_user(tmp_path):
    """Opens a store in a process without root's power over permissions; gives what came of it."""
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):  # popen: of one of several processes of pytest-xdist
            folder.chmod(0o755)
    context = multiprocessing.get_context("fork")

    def attempt(path, *, read_only=False):
        said = context.SimpleQueue()
        process = context.Process(target=_try_to_open, args=(path, read_only, said))
        process.start()
        process.join()
        return said.get()

    return attempt


def test_files_that_may_not_be_read_or_written(made, tmp_path, open_as_user):
    try:
        tmp_path.chmod(0o555)
        made.chmod(0o000)
        assert "cannot be read" in open_as_user(made)
        made.chmod(0o444)
        assert "is read-only: make it writable (chmod u+w)" in open_as_user(made)
        assert open_as_user(made, read_only=True) == "['example']"
        made.chmod(0o666)
        assert "its folder" in open_as_user(made)
        assert "its folder" in open_as_user(tmp_path / "new.db")
    finally:
        tmp_path.chmod(0o755)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.db"]
