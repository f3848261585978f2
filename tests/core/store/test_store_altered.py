"""A store from elsewhere: whatever a row of it holds, nothing outside of its folder is touched, and what is wrong is a
`StoreError` with table and row."""

import re
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from qecforge.errors import ConfigurationError, QecforgeError, StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.runs.execute import checkpoint_path, delete_run
from qecforge.store import Store
from qecforge.store.models import Base
from qecforge.testing.examples import example_task
from qecforge.testing.store import discovered, distance, example_code, example_run

TABLES = Base.metadata.tables
COLUMNS = [(table, column.name) for table in sorted(TABLES) if table != "run_locks" for column in TABLES[table].columns]
"""Of every table that has rows once a run is over."""

VALUES = (
    "", "x", "../../thesis", "/home/me/thesis", "THESIS", "a\0b", "\x1b[2J", "\u202e", b"\xff\xfe", b"", 5, -1,
    2**63 - 1, 1.5, 9e999, "[]", "{}", "null", "[[[", '{"a": NaN}', '{"a": {"b": []}}', "[" * 100_000, "1" * 5000,
    "0" * 64, "0" * 11, "2026-13-45 99:99:99", "stim: H 0",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with a row in every table but that of locks, and files."""
    folder = tmp_path_factory.mktemp("whole")
    with Store(folder / "results.db") as store:
        run = example_run(store, sweep_point={"a.b": 1})
        store.mark_run(run.id, "running", phase="train")
        store.add_metrics(run.id, [("cost", 1, 2.0, 0.1), ("cost", 2, float("nan"), 0.2)])
        record = store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=0.0, proof={})
        store.add_error_counts(
            record.id, example_task(record.code), 0, ErrorCounts(shots=100, errors=3, seconds=0.5), run_id=run.id
        )
        store.add_policy_evaluation(run.id, "returns", {"mean": 1.0}, payload={"a": 1})
        store.add_artifact(run.id, "policy", "policy.safetensors", b"weights")
        store.add_event(run.id, "resumed", {"a": 1})
        store.mark_run(run.id, "finished", error="one")
    return folder


def read_everything(store):
    """All that can be read, so that each row is met; the errors that were met."""
    met = []

    def attempt(call):
        try:
            return call()
        except QecforgeError as error:
            met.append(error)
            return []

    runs = attempt(store.runs)
    codes = attempt(store.codes)
    rates = attempt(store.error_rates)
    listings = [attempt(getattr(store, name)) for name in ("discoveries", "policy_evaluations", "artifacts", "events")]
    for rows in (runs, codes, rates, *listings):
        for each in rows:
            attempt(each.row)
    for run in runs:
        assert re.fullmatch("[0-9a-f]{12,64}", run.id)
        for name in attempt(lambda run=run: store.metric_names(run.id)):
            attempt(lambda run=run, name=name: store.metrics(run.id, name))
        attempt(lambda run=run: store.compare([run.id], "cost"))
        attempt(lambda run=run: checkpoint_path(store, run.id))
    for record in codes:
        attempt(lambda record=record: record.code)
        attempt(lambda record=record: record.filed)
        for rate in rates:
            attempt(lambda record=record, rate=rate: store.error_counts(record.id, rate.task_id))
    for artifact in listings[2]:
        attempt(lambda artifact=artifact: store.read_artifact(artifact))
    for name in ("metrics", "runs", "codes"):
        attempt(lambda name=name: store.frame(name))
    return met


@pytest.fixture
def thesis(tmp_path):
    """What must not go."""
    for name in ("thesis", "results.artifacts/THESIS"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "chapter.tex").write_text("years of work")
    return tmp_path / "thesis"


def alter(path, table, column, value):
    """Set a column of every row, past all that the schema forbids. False where there is no row that could take it."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA foreign_keys=OFF")
    database.execute("PRAGMA ignore_check_constraints=ON")
    try:
        with database:
            first = "" if table in ("metrics", "error_counts") else f"WHERE rowid = (SELECT min(rowid) FROM {table})"
            changed = database.execute(f'UPDATE {table} SET "{column}" = ? {first}', [value]).rowcount
    except sqlite3.IntegrityError:
        changed = 0
    finally:
        database.close()
    return changed > 0


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_value_in_any_column(whole, tmp_path, table, column):
    path = tmp_path / "results.db"
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    with sqlite3.connect(path) as database:
        rows = database.execute(f"SELECT * FROM {table}").fetchall()
    with Store(path) as store:
        for value in VALUES:
            if alter(path, table, column, value):
                met = read_everything(store)
                assert all(str(error).isprintable() for error in met), value
                for error in met:
                    if "the row was altered" in str(error):
                        assert re.search(rf"table {table}, row .*: \w+ is ", str(error)), (value, str(error))
            with database:
                database.execute(f"DELETE FROM {table}")
                places = ", ".join("?" * len(rows[0]))
                database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        assert read_everything(store) == []
    database.close()


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, column in COLUMNS if TABLES[table].c[column].type.python_type is str and (
        column in ("id", "identity", "digest", "name") or column.endswith(("_id", "sha256")))],
)  # fmt: skip
def test_nothing_outside_of_the_folder_goes(whole, tmp_path, thesis, table, column):
    for number, value in enumerate(("../../thesis", str(thesis), "THESIS", "..", "", "../thesis/chapter.tex")):
        path = tmp_path / f"store{number}.db"
        shutil.copy(whole / "results.db", path)
        shutil.copytree(whole / "results.artifacts", path.with_suffix(".artifacts"))
        alter(path, table, column, value)
        with Store(path) as store:
            for run in filter(None, ("a" * 12, value)):
                with suppress(QecforgeError):
                    store.restart_run(run)
                with suppress(QecforgeError):
                    delete_run(store, run)
        assert (thesis / "chapter.tex").exists(), value
        assert (tmp_path / "results.artifacts" / "THESIS" / "chapter.tex").exists(), value


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("runs", "id", "/home/me/thesis"), ("runs", "identity", "../x"), ("runs", "status", "done"),
        ("runs", "provenance", "["), ("runs", "manifest", "[]"), ("runs", "created_at", "yesterday"),
        ("runs", "seed", "one"), ("runs", "name", b"\xff"),
        ("codes", "digest", "../x"), ("codes", "n", "five"), ("codes", "distance_kind", "sure"),
        ("discoveries", "attributes", "5"), ("discoveries", "gate_count", -1), ("discoveries", "wall_time", "long"),
        ("error_rates", "definition", '{"p": 1}'), ("error_rates", "definition", "[]"), ("error_counts", "shots", -5),
        ("error_counts", "seconds", "long"), ("metrics", "value", "much"), ("metrics", "wall_time", b"1"),
        ("policy_evaluations", "values", '{"a": "b"}'), ("policy_evaluations", "payload", "[]"),
        ("artifacts", "sha256", "../../thesis/chapter.tex"), ("artifacts", "name", "../../thesis/chapter.tex"),
        ("artifacts", "name", "/etc/passwd"), ("artifacts", "size", "big"), ("events", "payload", "null"),
        ("events", "kind", b"\xff"), ("events", "created_at", 5),
    ],
)  # fmt: skip
def test_table_and_row_are_named(whole, tmp_path, table, column, value):
    path = tmp_path / "results.db"
    shutil.copy(whole / "results.db", path)
    assert alter(path, table, column, value)
    with Store(path) as store:
        met = [str(error) for error in read_everything(store)]
    assert [each for each in met if re.search(rf"table {table}, row .+: {column} is .*expected", each)], met


def test_an_id_that_is_a_path_deletes_nothing(whole, tmp_path, thesis):
    path = tmp_path / "results.db"
    shutil.copy(whole / "results.db", path)
    alter(path, "runs", "id", str(thesis))
    alter(path, "artifacts", "run_id", str(thesis))
    with Store(path) as store:
        for reference in (str(thesis), "a" * 64, "a"):
            with pytest.raises(StoreError):
                delete_run(store, reference)
            with pytest.raises(StoreError):
                store.delete_run(reference)
    assert (thesis / "chapter.tex").exists()


def test_links_that_lead_out_of_the_folder_are_not_followed(whole, tmp_path, thesis):
    path = tmp_path / "results.db"
    shutil.copy(whole / "results.db", path)
    with Store(path) as store:
        run = store.runs()[0]
        artifact = store.artifacts()[0]
        folder = tmp_path / "results.artifacts"
        (folder / "checkpoints").symlink_to(tmp_path / "mine")
        (tmp_path / "mine" / run.id).mkdir(parents=True)
        (tmp_path / "mine" / run.id / "chapter.tex").write_text("years of work")
        (folder / artifact.sha256[:2]).symlink_to(thesis)
        (thesis / artifact.sha256).write_text("weights")
        with pytest.raises(StoreError, match="leads out of"):
            delete_run(store, run.id)
        with pytest.raises(StoreError, match="leads out of"):
            store.read_artifact(artifact)
        (folder / artifact.sha256[:2]).unlink()
        (folder / artifact.sha256[:2]).mkdir()
        store._files.path(artifact.sha256).symlink_to("/dev/zero")
        with pytest.raises(StoreError, match="is no regular file"):
            store.read_artifact(artifact)
    assert (tmp_path / "mine" / run.id / "chapter.tex").exists()
    assert (thesis / artifact.sha256).exists()


def test_names_of_files_are_checked_when_they_are_filed(tmp_path):
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        for name in ("../x", "/etc/x", "a/../b", "", ".", "a//b", "a\\b", "a\nb", "x" * 256):
            with pytest.raises(ConfigurationError, match="not the name of a file below a folder"):
                store.add_artifact(run.id, "policy", name, b"x")
        store.add_artifact(run.id, "evaluation", "accuracy/table.json", b"x")
        assert [each.name for each in store.artifacts()] == ["accuracy/table.json"]


def test_a_listing_of_an_untouched_store_has_no_errors(whole):
    with Store(whole / "results.db") as store:
        assert read_everything(store) == []
        assert Path(store.directory).is_dir()
