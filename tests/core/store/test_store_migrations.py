"""The schema's history: every past database is brought to the present, and the models say what the migrations make."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Text, create_engine, text

from qecforge.errors import StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store, _schema
from qecforge.store.engine import Database, parse_url
from qecforge.store.models import Base
from qecforge.testing.store import distance, example_code, example_run

ASSETS = Path(__file__).with_name("assets")


def schema_of(path):
    """Each table and index as SQL, without differences of layout."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'qecforge_schema'")
    plain = {name: re.sub(r'TABLE "(\w+)"', r"TABLE \1", sql.replace("\t", "")) for name, sql in rows}
    schema = {name: sorted(part.strip(", ") for part in sql.splitlines()) for name, sql in plain.items()}
    connection.close()
    return schema


def version_of(path):
    """The table of the schema's revision: its columns and its row."""
    connection = sqlite3.connect(path)
    queries = ("PRAGMA table_info(qecforge_schema)", "SELECT * FROM qecforge_schema")
    found = [connection.execute(query).fetchall() for query in queries]
    connection.close()
    return found


def test_models_and_migrations_agree(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # from the first revision on, not by the models
        patch.setattr(_schema, "is_empty", lambda _: False)
        Store(tmp_path / "migrated.db").close()
    Store(tmp_path / "fresh.db").close()
    assert version_of(tmp_path / "fresh.db") == version_of(tmp_path / "migrated.db")
    assert schema_of(tmp_path / "fresh.db") == schema_of(tmp_path / "migrated.db")
    with Database(parse_url(tmp_path / "migrated.db")).reading() as connection:
        settings = {"version_table": _schema.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts={"target_metadata": Base.metadata, **settings})
        assert compare_metadata(context, Base.metadata) == []
    modelled = create_engine(f"sqlite:///{tmp_path}/modelled.db")
    Base.metadata.create_all(modelled)
    modelled.dispose()
    assert schema_of(tmp_path / "migrated.db") == schema_of(tmp_path / "modelled.db")


def test_the_list_of_revisions_is_the_folder_of_revisions():
    scripts = ScriptDirectory(str(Path(_schema.__file__).with_name("migrations")))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(_schema.REVISIONS)


@pytest.mark.parametrize("revision", _schema.REVISIONS)
def test_a_database_of_each_revision_is_brought_to_the_present(revision, tmp_path):
    path = tmp_path / "results.db"
    shutil.copy(ASSETS / f"revision_{revision}.db", path)
    Store(tmp_path / "fresh.db").close()
    code = example_code("steane")
    with Store(path) as store:
        assert [(run.name, run.status, run.sweep_point) for run in store.runs(environment="code_discovery")] == [
            ("asset", "finished", {"agent.learning_rate": 0.001})
        ]
        run = store.run("5" * 12)
        assert run.started_at is not None
        assert run.provenance == {"qecforge": "0", "threads": {"torch": 2}}
        assert store.metrics(run.id, "return").value.tolist()[::2] == [-3.0, -0.5]
        (record,) = store.codes(n=7, min_distance=3, exact_only=True)
        assert record.code == code
        assert (record.gate_count, record.encoder, record.run_ids) == (12, "H 0\nCX 0 1", (run.id,))
        assert [(known.distance, known.distance_kind) for known in store.codes(k=2)] == [(4, "upper_bound")]
        rates = {rate.task.sampled: rate for rate in store.error_rates(record.id)}
        assert rates[True].counts == ErrorCounts(shots=300, errors=7, discards=2, seconds=1.5)
        assert rates[False].rate == 0.25
        assert [value.values for value in store.policy_evaluations()] == [{"top1": 0.75}]
        assert [(event.kind, event.payload) for event in store.events()] == [("resumed", {"step": 5})]
        assert [(artifact.kind, artifact.name, artifact.size) for artifact in store.artifacts()] == [("policy", "p", 7)]
        store.mark_run(run.id, "running")
        store.add_code(example_code("five_qubit"), distance(3), source="now")
    assert schema_of(path) == schema_of(tmp_path / "fresh.db")


def test_a_migration_that_makes_a_table_anew_keeps_what_refers_to_it(tmp_path, monkeypatch):
    """SQLite cannot alter most of a table; dropping the old one with foreign keys on would take its children along."""
    path = tmp_path / "results.db"
    with Store(path) as store:
        run = example_run(store)
        store.add_metrics(run.id, [("x", 0, 1.0, 0.0)])

    def to_next(connection):
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("runs", recreate="always") as table:
            table.add_column(Column("note", Text))
        connection.execute(text("UPDATE qecforge_schema SET version_num = 'next'"))

    monkeypatch.setattr(_schema, "REVISIONS", (*_schema.REVISIONS, "next"))
    monkeypatch.setattr(_schema, "upgrade", to_next)
    with Store(path) as store, store._database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM metrics WHERE run_id = :id"), {"id": run.id}) == 1
        assert connection.scalar(text("SELECT note FROM runs")) is None
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_an_older_store_is_not_migrated_read_only(tmp_path, monkeypatch):
    path = tmp_path / "results.db"
    Store(path).close()
    monkeypatch.setattr(_schema, "REVISIONS", (*_schema.REVISIONS, "next"))
    with pytest.raises(StoreError, match="of an older schema, and opened read-only"):
        Store(path, read_only=True)


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "results.db"
    real = _schema.upgrade

    def cut_off(connection):
        real(connection)
        connection.execute(text("SELECT * FROM no_such_table"))

    monkeypatch.setattr(_schema, "upgrade", cut_off)
    with pytest.raises(StoreError, match="no such table"):
        Store(path)
    assert schema_of(path) == {}
    monkeypatch.undo()
    with Store(path) as store:
        assert example_run(store) in store.runs()
