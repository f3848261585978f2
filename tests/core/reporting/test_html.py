"""The HTML page holds the tables and figures that it is given, escaped, and needs nothing from outside."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser

import pytest

from qecforge.reporting.figures import Point, error_rate_figure, save_figure
from qecforge.reporting.html import html_page
from qecforge.reporting.tables import Column, Table

TABLE = Table(
    (
        Column("method"),
        Column("seeds"),
        Column("rate", "LER at 1e-3", show=lambda value: f"{value:.1e}", justify="right"),
        Column("raw", detail=True),
    ),
    [
        {"method": 'a < b & "c"', "seeds": 2, "rate": 1.8e-3, "raw": [1]},
        {"method": "<script>x()</script>", "rate": 2e-3},
    ],
    "Codes & rates",
)


class Page(HTMLParser):
    """Tags in order with their attributes, and the text of each cell; refuses tags that do not close."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture
def figure():
    return error_rate_figure({"ptq": [Point(1e-3, 2e-3, 1e-3, 3e-3)]})


def test_a_page_has_the_cells_that_people_see():
    page = Page(html_page("Ours <beside> theirs", {"rates": TABLE}, {}, notes=["2 of 3 runs & more"]))
    assert page.texts["h1"] == ["Ours <beside> theirs"]
    assert page.texts["p"] == ["2 of 3 runs & more"]
    assert page.texts["h2"] == ["Codes & rates"]
    assert page.texts["th"] == ["method", "seeds", "LER at 1e-3"]
    assert page.texts["td"] == ['a < b & "c"', "2", "1.8e-03", "<script>x()</script>", "2.0e-03"]
    assert [attributes.get("class") for tag, attributes in page.tags if tag == "th"] == [None, "right", "right"]
    assert "script" not in [tag for tag, _ in page.tags]


def test_a_figure_is_in_the_page_as_it_would_be_written(figure, tmp_path):
    page = Page(html_page("t", {}, {"e1 rates": figure}))
    ((_, image),) = [each for each in page.tags if each[0] == "img"]
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == save_figure(figure, tmp_path / "f.png").read_bytes()
    assert image["alt"] == "e1 rates"


def test_nothing_is_fetched_and_links_lead_into_the_page(figure):
    text = html_page("t", {"first one": TABLE, "b": TABLE}, {"c": figure})
    page = Page(text)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["#table-first-one", "#table-b", "#figure-c"]
    assert {link[1:] for link in links} == ids
    assert not re.search(r"https?:|url\(|@import|<link|<script", text)
    assert ("meta", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in [
        (tag, attributes.get("content")) for tag, attributes in page.tags
    ]


def test_the_same_input_gives_the_same_page(figure):
    assert html_page("t", {"a": TABLE}, {"f": figure}) == html_page("t", {"a": TABLE}, {"f": figure})


def test_a_table_without_rows_says_so():
    page = Page(html_page("t", {"none": Table((Column("a"),), [])}, {}))
    assert (page.texts["h2"], page.texts["p"]) == (["none"], ["No rows."])
    assert "table" not in [tag for tag, _ in page.tags]


def test_without_figures_matplotlib_is_not_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "Codes &amp; rates" in html_page("t", {"rates": TABLE}, {})
