"""One table as text, JSON and CSV."""

import csv
import io
import json
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.errors import printable
from qecforge.reporting.fields import config_schema, fields_table, type_words
from qecforge.reporting.tables import (
    Column,
    Table,
    bound,
    duration,
    interval,
    number,
    percent,
    plain,
    to_csv,
    to_json,
    to_text,
)

KEYS = st.text(min_size=1, max_size=8)
CELLS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=12)


@given(st.lists(KEYS, min_size=1, max_size=4, unique=True), st.data())
def test_json_gives_back_what_went_in(keys, data):
    rows = [{key: data.draw(CELLS.filter(lambda cell: cell not in (float("inf"), float("-inf")))) for key in keys}]
    assert json.loads(to_json(Table(tuple(map(Column, keys)), rows))) == rows


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00")), min_size=1, max_size=4))
def test_csv_gives_back_any_text_that_can_be_printed(values):
    columns = tuple(Column(f"c{index}") for index in range(len(values)))
    row = {column.key: value for column, value in zip(columns, values, strict=True)}
    (read,) = csv.DictReader(io.StringIO(to_csv(Table(columns, [row]))))
    assert read == {name: printable(value, keep="") for name, value in row.items()}
    assert len(to_csv(Table(columns, [row])).splitlines()) == 2


def test_cells_of_every_kind():
    class Colour(Enum):
        RED = "red"

    values = {
        "nan": float("nan"),
        "array": np.array([1, 2]),
        "scalar": np.float64(0.5),
        "time": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "path": Path("a/b"),
        "colour": Colour.RED,
        "nested": {"a": [1, (2, None)]},
        "flag": True,
    }
    table = Table(tuple(map(Column, values)), [values])
    assert json.loads(to_json(table)) == [
        {
            "nan": None,
            "array": [1, 2],
            "scalar": 0.5,
            "time": "2024-05-06T07:08:09+00:00",
            "path": "a/b",
            "colour": "red",
            "nested": {"a": [1, [2, None]]},
            "flag": True,
        }
    ]
    (row,) = csv.DictReader(io.StringIO(to_csv(table)))
    assert (row["nan"], row["array"], row["flag"], row["time"]) == ("", "[1, 2]", "true", "2024-05-06T07:08:09+00:00")
    with pytest.raises(TypeError, match="object"):
        to_json(Table((Column("a"),), [{"a": object()}]))


def test_text_leaves_details_out_and_aligns_numbers_right():
    columns = (Column("name", "who"), Column("value"), Column("secret", detail=True))
    table = Table(columns, [{"name": "a[b]", "value": 1, "secret": 7}, {"name": "b", "value": 1234567.0}])
    lines = [line.rstrip() for line in to_text(table).split("\n")]
    assert lines[0].split() == ["who", "value"]
    assert lines[2] == "a[b]           1"
    assert lines[3] == "b      1,234,567"
    assert "secret" not in to_text(table)
    assert "secret" in to_csv(table)


def test_an_empty_table():
    table = Table((Column("a"),), [])
    assert (to_json(table), to_csv(table)) == ("[]", "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (1234, "1,234"),
        (0.25, "0.25"),
        (1 / 3, "0.3333"),
        (1.6e-5, "1.600e-05"),
        (2e7 + 0.5, "2.000e+07"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
        (-0.01, "-0.01"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.4217, "0.422 s"), (12.0, "12 s"), (99.96, "1 min 40 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_duration(value, text):
    assert duration(value) == text


def test_words():
    assert percent(0.5) == "50.0 %"
    assert interval([0.5, 1]) == "[0.5, 1]"
    assert plain([True, None, "a"]) == "yes, , a"
    assert [bound(kind) for kind in ("exact", "upper_bound", "lower_bound")] == ["", "<=", ">="]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 2}, "integer, >= 2"),
        ({"enum": ["h", "cx"]}, 'one of "h", "cx"'),
        ({"const": 1}, "1"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, "list [integer, string]"),
        ({"type": "array"}, "list"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "mapping to number"),
        ({"$ref": "#/$defs/Grid"}, "Grid"),
        ({"$ref": "#/$defs/Name"}, "string"),
        ({}, "any"),
    ],
)
def test_types_in_words(schema, words):
    assert (
        type_words(schema, {"Grid": {"type": "object", "properties": {"rows": {}}}, "Name": {"type": "string"}})
        == words
    )


def test_defaults_that_factories_make_are_shown():
    from pydantic import BaseModel, Field

    class Part(BaseModel):
        size: int = 3

    class Whole(BaseModel):
        part: Part = Field(default_factory=Part, description="A part.")
        name: str

    rows = {row["field"]: row for row in fields_table(config_schema(Whole)).rows}
    assert (rows["part"]["default"], rows["name"]["default"]) == ('{"size": 3}', "required")
