"""What a store or a user says is printed as text that steers nothing, at every outlet."""

import csv
import io
import json
import sqlite3
import warnings

import pytest
from cli_harness import invoke

from qecforge.store import Store

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\x9b31m\x1e\u2028字\U0001f600$x$ $\\bad{"
"""Escapes, marks of direction, line ends, letters that no font of ours has, and formulas that are none."""


@pytest.fixture
def altered(filled):
    """The id of a run and of a code of a store whose every name is `EVIL`."""
    with sqlite3.connect("results.db") as database:
        database.execute("UPDATE runs SET name = ?, error = ?, phase = ?, manifest_source = ?", [EVIL] * 4)
        database.execute("UPDATE runs SET sweep_point = ?", [json.dumps({"a.b": EVIL})])
        database.execute("UPDATE codes SET source = ?, distance_lower_method = ?", [EVIL, EVIL])
        database.execute("UPDATE metrics SET name = 'x' || ? || name", [EVIL])
        database.execute("UPDATE policy_evaluations SET name = ?", [EVIL])
    database.close()
    with Store("sqlite:///results.db") as store:
        return store.runs()[0].id, store.codes()[0].id


def steers(text):
    return sorted({each for each in text if not (each.isprintable() or each in "\n\t")})


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize("command", ["runs list", "runs show RUN", "codes list", "codes show CODE"])
def test_listings_that_go_to_a_program(altered, command, form):
    run, code = altered
    result = invoke(*command.replace("RUN", run).replace("CODE", code).split(), "--format", form)
    assert result.exit_code == 0, result.stderr
    assert steers(result.stdout + result.stderr) == []
    if command == "runs list" and form == "csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert len(result.stdout.splitlines()) == 1 + len(rows)
        assert rows[0]["name"].startswith("\\u001b[2J")
        assert "\\u202e\\u2066\\u009b31m\\u001e\\u2028字" in rows[0]["name"]
    if command == "runs list" and form == "json":
        assert json.loads(result.stdout)[0]["name"] == EVIL


def test_the_report(altered, folder):
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = invoke("report", "--out", "report.html")
    assert result.exit_code == 0, result.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert steers(page + result.stdout + result.stderr) == []
    assert "\\u001b[2J" in page
    assert "\\u202e" in page


def test_figures_have_no_letters_that_their_font_lacks(altered, folder):
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = invoke("runs", "figures", altered[0], "--out", "figures")
    assert result.exit_code == 0, result.stderr
    assert "left out" not in result.stderr
    assert list((folder / "figures").glob("*.png"))


def test_faces_of_notebooks(altered):
    with Store("sqlite:///results.db") as store:
        (run, *_), code = store.runs(), store.codes()[0]
        series = store.metrics(run.id, store.metric_names(run.id)[0])
        faces = [run._repr_html_(), series._repr_html_(), code._repr_html_() if hasattr(code, "_repr_html_") else ""]
    for face in faces:
        assert steers(face) == []
    assert "\\u001b[2J" in faces[0]
    assert "\\u001b[2J" in faces[1]


def test_the_name_of_a_run_while_it_is_evaluated(altered):
    result = invoke("runs", "evaluate", altered[0], "--set", "evaluation.count.episodes=6")
    assert result.exit_code == 0, result.stderr
    assert steers(result.stdout + result.stderr) == []
    assert "\\u001b[2J" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "{}.yaml"),
        ("validate", "walk.yaml", "--set", "{}=1"),
        ("validate", "walk.yaml", "--set", "agent.total_steps={}"),
        ("validate", "walk.yaml", "--set", "environment.plugin={}"),
        ("runs", "list", "--store", "sqlite:///{}.db"),
        ("runs", "list", "--store", "{}"),
        ("runs", "list", "--store", "postgresql://{}/x"),
        ("runs", "list", "--{}"),
        ("runs", "list", "--seed", "{}"),
        ("runs", "{}"),
        ("runs", "show", "{}"),
        ("runs", "figures", "{}", "--out", "x"),
        ("runs", "compare", "{}", "{}", "--metric", "x"),
        ("codes", "import", "{}.txt"),
        ("codes", "show", "{}"),
        ("plugins", "show", "{}"),
        ("examples", "copy", "{}"),
        ("reproduce", "{}"),
        ("run", "walk.yaml", "--executor", "{}"),
        ("run", "walk.yaml", "--executor-option", "{}"),
        ("run", "walk.yaml", "--listener", "{}"),
        ("run", "walk.yaml", "--allow", "{}", "--set", "x=1"),
        ("runs", "list", "--log-file", "/no/{}"),
    ],
)
def test_errors_that_quote_an_argument_are_one_line(filled, arguments):
    for text in (EVIL, "a\nb", "a\r\nb\x85c", "a\udcff\u2028b"):
        result = invoke(*(each.replace("{}", text) for each in arguments))
        assert result.exit_code == 2, (result.exit_code, result.output)
        assert steers(result.stderr) == []
        assert len(result.stderr.splitlines()) == 1, result.stderr


def test_validate_has_a_line_for_each_error(manifest):
    manifest.write_text(
        f"qecforge: 1\nname: x\nenvironment: {{plugin: walk, {json.dumps(EVIL)}: 1, size: {json.dumps(EVIL)}}}\n"
        f"agent: {{plugin: walker, total_steps: {json.dumps(EVIL)}}}\n"
    )
    result = invoke("validate", manifest)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3, result.stderr
    assert steers(result.stderr) == []
