"""What a notebook shows of codes, runs and series."""

from html.parser import HTMLParser

import numpy as np
import pytest
import stim

from qecforge import StabilizerCode, Store
from qecforge.notebooks import circuit_svg, series_html
from qecforge.store import Series
from qecforge.testing.examples import discovered, distance, example_code, example_run

VOID = {"br", "image", "path", "line", "rect", "circle", "polyline", "meta"}


class Page(HTMLParser):
    """Checks that every element ends, and keeps texts and tags."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


def test_a_code_shows_its_checks_and_its_circuit():
    code = StabilizerCode.from_paulis(["-XXXX", "+ZZZZ"])
    page = Page(code._repr_html_())
    assert page.words.startswith("[[4,2]] CSS code")
    assert "-XXXX" in page.words
    assert "+ZZZZ" in page.words
    assert page.tags.count("svg") == 1
    for row in (*code.logical_x, *code.logical_z):
        assert "".join("IXZY"[row[q] + 2 * row[4 + q]] for q in range(4)) in page.words


def test_a_large_code_is_shown_without_a_drawing_and_in_part():
    n = 120
    checks = ["I" * q + "ZZ" + "I" * (n - q - 2) for q in range(n - 1)]
    page = Page(StabilizerCode.from_paulis(checks)._repr_html_())
    assert "svg" not in page.tags
    assert checks[0] in page.words
    assert "and 59 more" in page.words


def test_a_record_of_a_code_shows_the_encoder_that_was_found(store):
    run = example_run(store)
    code = example_code("steane")
    record = store.add_discovery(
        run.id, discovered(code, 20, encoder=str(code.encoder())), distance(3), wall_time=1.0, proof={}
    )
    page = Page(record._repr_html_())
    assert "3, exact: enumerator" in page.words
    assert f"run {run.id} at step 100, 20 gates, 10 of them on two qubits" in page.words
    assert page.tags.count("svg") == 1
    assert repr(record) == f"<CodeRecord {record.id} [[7,1,3]], 20 gates>"
    assert len(repr(record.discoveries)) < 400


def test_a_run_is_short_as_text_and_escaped_as_html(store):
    run = example_run(store, name="<b>&", manifest_source="a: <script>\n" * 500, sweep_point={"agent.rate": 0.1})
    store.mark_run(run.id, "failed", error="ValueError: <oops>")
    run = store.run(run.id)
    assert repr(run) == f"<Run {run.id} <b>& [agent.rate=0.1], seed 0, failed: ValueError: <oops>>"
    page = Page(run._repr_html_())
    assert {"b", "script"} & set(page.tags) == {"b"}
    assert "<script>" in page.words
    assert "ValueError: <oops>" in page.words
    store.add_event(run.id, "error", {"traceback": "x" * 5000})
    assert len(repr(store.events(run.id))) < 300


def test_a_series_is_drawn_with_gaps(store):
    value = np.array([0.0, 1.0, np.nan, 3.0, 2.0])
    series = Series(run_id="a", name="<reward>", step=np.arange(5), value=value, wall_time=np.zeros(5))
    page = Page(series._repr_html_())
    assert page.tags.count("polyline") == 2
    assert page.words == "<reward> of run a5 values from 0 to 3, last 2 at step 4"
    assert repr(series) == "<Series <reward> of run a, 5 values, steps 0 to 4, last 2>"


@pytest.mark.parametrize(
    ("value", "words"),
    [([], "0 values, none of them finite"), ([np.nan], "none of them finite"), ([7.0], "1 values from 7 to 7")],
)
def test_series_of_nothing_and_of_one(value, words):
    assert words in Page(series_html("t", np.arange(len(value)), value)).words


def test_a_long_series_keeps_its_extremes():
    value = np.zeros(100_000)
    value[12_345], value[54_321] = 5.0, -5.0
    html = series_html("t", np.arange(len(value)), value)
    assert len(html) < 10_000
    assert ",4.0 " in html  # the greatest, at the top
    assert ",86.0 " in html  # the least, at the bottom


def test_a_long_circuit_is_counted():
    circuit = stim.Circuit("H 0\n" * 1000)
    assert circuit_svg(circuit) == "1,000 operations on 1 qubits"
