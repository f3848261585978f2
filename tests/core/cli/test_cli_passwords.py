"""A password in the URL of the store is neither printed nor filed, by a whole run nor by any command."""

import json
import os
import sqlite3
import sys
import uuid
from pathlib import Path

import pytest
import toy_plugin
from cli_harness import MANIFEST, invoke
from sqlalchemy import create_engine, text

from qecforge import RunOptions, Store
from qecforge.cli._output import store_option
from qecforge.cli._render import query_lines
from qecforge.errors import StoreError
from qecforge.machine.provenance import provenance

PASSWORD = "hunter2-very-secret"
URLS = (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", f"postgresql://me@127.0.0.1:1/db?password={PASSWORD}")
POSTGRESQL_URL = os.environ.get("QECFORGE_TEST_POSTGRESQL_URL")

COMMANDS = (
    ("run", "walk.yaml"),
    ("run", "walk.yaml", "--dry-run"),
    ("runs", "list"),
    ("runs", "show", "abc"),
    ("runs", "compare", "--metric", "cost"),
    ("runs", "delete", "abc", "--yes"),
    ("codes", "list"),
    ("codes", "show", "abc"),
    ("report", "--out", "page.html"),
)


def said(result):
    return result.stdout + result.stderr


def holds(folder):
    """Files of a folder that hold the password."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return [str(path) for path in files if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("url", [*URLS, f"postgresql:/me:{PASSWORD}@h/db", f"nosuch://me:{PASSWORD}@h/db",
                                 f"sqlite://me:{PASSWORD}@h/db", f"sqlite:///x.db?password={PASSWORD}"])  # fmt: skip
def test_no_command_that_fails_prints_it(folder, manifest, url):
    for command in COMMANDS:
        for extra in ((), ("--debug",)):
            result = invoke(*command, "--store", url, *extra)
            assert result.exit_code == 2, said(result)
            assert PASSWORD not in said(result), command
    assert not holds(folder)


def test_what_a_plugin_says_of_it_is_filed_masked(folder, manifest, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError(f"cannot log to {URLS[0]} nor {URLS[1]}")

    monkeypatch.setattr(toy_plugin.Walker, "train", fail)
    monkeypatch.setattr(sys, "argv", ["qecforge", "run", "walk.yaml", "--store", URLS[0], f"--log={URLS[1]}"])
    result = invoke("run", "walk.yaml", "--debug")
    assert result.exit_code == 1
    assert "cannot log to" in said(result)
    assert PASSWORD not in said(result)
    with Store("sqlite:///results.db") as store:
        (event,) = {each.payload["traceback"] for each in store.events(kind="error")}
    assert "cannot log to postgresql://me:***@127.0.0.1:1/db nor" in event
    for command in (("runs", "show"), ("runs", "list")):
        for form in ("table", "json"):
            runs = json.loads(invoke("runs", "list", "--format", "json").stdout)
            result = invoke(*command, *([runs[0]["id"]] if command[1] == "show" else []), "--format", form)
            assert PASSWORD not in said(result)
    assert not holds(folder)


def test_what_an_earlier_version_filed_is_not_printed(filled):
    with sqlite3.connect("results.db") as database:
        command = {"command": ["qecforge", "run", "--store", URLS[0], "--store", URLS[1]]}
        database.execute("UPDATE runs SET provenance = ?", [json.dumps(command)])
    database.close()
    (run, *_) = json.loads(invoke("runs", "list", "--format", "json").stdout)
    for arguments in (("runs", "show", run["id"]), ("runs", "show", run["id"], "--format", "json")):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.stderr
        assert PASSWORD not in said(result)


def test_hints_and_representations(filled):
    with Store("sqlite:///results.db") as store:
        record = store.codes()[0]
    for url in URLS:
        shown = "\n".join([*query_lines(record, url), store_option(url), repr(RunOptions(url))])
        assert PASSWORD not in shown
        assert "***" in shown
    assert store_option("sqlite:///my results.db") == " --store 'sqlite:///my results.db'"


def test_the_command_of_a_run_is_masked(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["qecforge", "run", "walk.yaml", "--store", *URLS])
    command = provenance()["command"]
    assert PASSWORD not in json.dumps(command)
    assert command[:4] == ["qecforge", "run", "walk.yaml", "--store"]


def test_the_error_of_a_store_says_nothing_of_it():
    for url in URLS:
        with pytest.raises(StoreError) as refused:
            Store(url)
        assert PASSWORD not in str(refused.value)


@pytest.mark.skipif(POSTGRESQL_URL is None, reason="needs a PostgreSQL server: set QECFORGE_TEST_POSTGRESQL_URL")
def test_a_whole_run_with_a_store_on_a_server(folder, manifest, monkeypatch):
    """Everything that it prints, every file beside it, and every row of the database."""
    name, role = f"qecforge_{uuid.uuid4().hex}", f"role_{uuid.uuid4().hex}"
    server = create_engine(POSTGRESQL_URL, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {role}"))
    url = server.url.set(username=role, password=PASSWORD, database=name)
    in_query = server.url.set(username=role, password=None, database=name).update_query_dict({"password": PASSWORD})
    urls = [each.render_as_string(hide_password=False) for each in (url, in_query)]
    manifest.write_text(MANIFEST + "checkpoint: {every_seconds: 0.001}\n")
    try:
        printed = ""
        for given in urls:
            for command in (
                ("run", "walk.yaml"), ("run", "walk.yaml", "--force", "--debug"), ("runs", "list"),
                ("codes", "list"), ("codes", "show", "nothing"), ("report", "--out", "page.html"),
            ):  # fmt: skip
                monkeypatch.setattr(sys, "argv", ["qecforge", *command, "--store", given])
                printed += said(invoke(*command, "--store", given))
        with Store(urls[0]) as store:
            for run in store.runs():
                printed += said(invoke("runs", "show", run.id, "--store", urls[1]))
            with store._database.reading() as connection:
                tables = ("runs", "events", "metrics", "discoveries", "codes", "artifacts", "policy_evaluations")
                dumped = "".join(
                    str(row) for table in tables for row in connection.execute(text(f"SELECT * FROM {table}"))
                )
        assert "walk" in printed
        assert PASSWORD not in printed
        assert "***" in dumped
        assert PASSWORD not in dumped
        assert not holds(folder)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {role}"))
        server.dispose()
