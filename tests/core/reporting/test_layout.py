"""Tables in so many columns: no id and no number is cut, and no line is wider than it must be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.reporting.layout import TextColumn, lay_out, wrapped
from qecforge.reporting.tables import Column, Table, interval, to_text

WORDS = st.text(alphabet="abcxyz_", min_size=1, max_size=9)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.4g}")
IDS = st.text(alphabet="0123456789abcdef", min_size=12, max_size=12)
SPREADS = st.builds(lambda low, high: f"{low} ± {high} [{low}, {high}]", NUMBERS, NUMBERS)
CELLS = st.one_of(st.just(""), IDS, NUMBERS, SPREADS, st.lists(WORDS, min_size=1, max_size=8).map(" ".join))


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 5))
    heading = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
    column = st.builds(TextColumn, heading, st.lists(CELLS, min_size=rows, max_size=rows), st.booleans())
    return draw(st.lists(column, min_size=1, max_size=7))


def words(text):
    return re.findall(r"[^\s;─]+", text)


@given(tables(), st.integers(10, 200))
def test_everything_is_there_and_lines_are_no_wider_than_a_word_forces(columns, width):
    lines = lay_out(columns, width)
    shown = set(words("\n".join(lines)))
    for column in columns:
        assert {word for cell in column.cells for word in words(cell)} <= shown
    whole = max(len(part) for column in columns for cell in column.cells for part in re.split(r" (?![^\[]*\])", cell))
    label = max(len(column.heading) for column in columns) * 2 + 4
    assert max(map(len, lines)) <= max(width, 2 * whole + 3 + label + len("in all rows: ;"))


@given(tables())
def test_where_lines_may_be_of_any_length_each_row_is_one(columns):
    assert len(lay_out(columns)) == 2 + len(columns[0].cells)


def numbers(*values):
    return TextColumn("value", values, right=True)


NAMES = TextColumn("name", ("first", "second"))


def test_what_is_the_same_in_all_rows_stands_above():
    columns = [NAMES, TextColumn("noise", ("depolarizing",) * 2), TextColumn("note", ("", "")), numbers("0.1", "12")]
    assert lay_out(columns, 20) == [
        "in all rows: noise:",
        "    depolarizing",
        "",
        "name    value",
        "─────────────",
        "first     0.1",
        "second     12",
    ]
    assert lay_out(columns, 60)[0] == "name     noise          note   value"


def test_cells_go_on_in_the_next_line_and_intervals_stay_whole():
    texts = ("a summary of some length", "0.5 ± 0.1 [0.4, 0.6] after 3 min 05 s")
    assert lay_out([NAMES, TextColumn("summary", texts)], 24) == [
        "name    summary",
        "────────────────────────",
        "first   a summary of",
        "        some length",
        "second  0.5 ± 0.1",
        "        [0.4, 0.6] after",
        "        3 min 05 s",
    ]


def test_a_minor_column_goes_before_rows_become_blocks():
    columns = [NAMES, TextColumn("id", ("0123456789ab", "ba9876543210"), minor=True), numbers("0.1", "12")]
    assert lay_out(columns, 16)[2:] == ["first     0.1", "second     12", "no room for: id"]
    assert lay_out(columns, 12) == [
        "name   first",
        "id     0123456789ab",
        "value  0.1",
        "",
        "name   second",
        "id     ba9876543210",
        "value  12",
    ]


def test_a_single_row_is_a_block_where_it_does_not_fit():
    table = Table((Column("p"), Column("interval", show=interval)), [{"p": 1e-4, "interval": (1e-6, 2e-6)}])
    assert to_text(table, 20).split("\n") == ["p         0.0001", "interval  [1.000e-06, 2.000e-06]"]


def test_a_heading_that_is_there_twice_says_of_what_it_is():
    columns = [
        NAMES,
        TextColumn("rate", ("1", "1")),
        TextColumn("theirs", ("2", "3")),
        TextColumn("tau", ("4", "5")),
        TextColumn("theirs", ("6", "7")),
    ]
    assert lay_out(columns, 36)[0].split() == ["name", "rate", "theirs", "tau", "theirs"]
    assert lay_out(columns, 30) == [
        "in all rows: rate: 1",
        "",
        "        rate,          tau,",
        "name    theirs    tau  theirs",
        "──────────────────────────────",
        "first   2         4    6",
        "second  3         5    7",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("agent.learning_rate=0.004", ["agent.learning_rate=", "0.004"]),
        ("1,234,567,890,123,456,789", ["1,234,567,890,123,456,789"]),
        ("2026-03-01 09:00:00 UTC here", ["2026-03-01 09:00:00", "UTC here"]),
        ("漢字漢字漢字 漢字漢字漢字", ["漢字漢字漢字", "漢字漢字漢字"]),
    ],
)
def test_lines_end_between_words(text, lines):
    assert wrapped(text, 20) == lines
    assert wrapped(text, None) == [text]
