"""Every command on a store in which something is altered: its listing, or one line and exit code 2."""

import sqlite3

import pytest
from cli_harness import MANIFEST, invoke

from qecforge.store import Store
from qecforge.store.models import Base, StoredObject

OFTEN = ("runs.identity", "runs.provenance", "discoveries.encoder", "events.payload", "metrics.name")
COLUMNS = [
    pytest.param(table.name, column.name, marks=() if f"{table.name}.{column.name}" in OFTEN else pytest.mark.slow)
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, StoredObject) or column.type.python_type is str
]
OBJECT = (
    '{"git": 5, "command": 5, "dependencies": [], "traceback": {"a": 1}, "cpu": {}, "environment": 5, "run": [], '
    '"noise": 1, "distance": []}'
)
VALUES = (OBJECT, "x\x1b[2J", b"\xff")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_command_on_an_altered_store(filled, table, column):
    with Store("sqlite:///results.db") as store:
        run, code = store.runs()[0].id, store.codes()[0].id
    commands = [
        ("runs", "list"), ("runs", "show", run, "--format", "json"), ("runs", "show", run),
        ("runs", "compare", run, "--metric", "episode_return"),
        ("runs", "export-policy", run, "--format", "files", "--out", "policy", "--force"),
        ("codes", "list"), ("codes", "show", code), ("codes", "export", code, "--format", "stim"),
        ("codes", "verify", code), ("run", "walk.yaml"), ("runs", "delete", run, "--yes"),
    ]  # fmt: skip
    whole = (filled / "results.db").read_bytes()
    for value in VALUES:
        for name in ("results.db-wal", "results.db-shm"):
            (filled / name).unlink(missing_ok=True)
        (filled / "results.db").write_bytes(whole)
        database = sqlite3.connect("results.db")
        database.execute("PRAGMA ignore_check_constraints=ON")
        try:
            with database:
                database.execute(f'UPDATE {table} SET "{column}" = ?', [value])
        except sqlite3.IntegrityError:
            continue
        finally:
            database.close()
        (filled / "walk.yaml").write_text(MANIFEST)
        for command in commands:
            result = invoke(*command)
            ended = isinstance(result.exception, SystemExit) or result.exception is None
            assert ended, (command, value, result.exception)
            assert result.exit_code in (0, 1, 2), (command, value, result.stderr)
            assert "Traceback" not in result.stderr
