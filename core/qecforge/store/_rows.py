"""Rows of the database, checked as they are read.

A store may come from elsewhere, and SQLite keeps anything in any column. What a row says is used to find files and to
delete them, is parsed, and is shown. So each value is of its column's type, identifiers and hashes are hexadecimal
digits, and names of files stay below the folder that they are put into; where one is not, the row was altered, and its
table, its key and the column are named.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NoReturn, TypeAlias

from sqlalchemy import DateTime, Double, Row

from qecforge.errors import StoreError, one_line
from qecforge.store.models import RUN_STATUSES, Base, StoredObject, Unreadable, UtcDateTime

__all__ = ["altered", "checked", "checked_column", "checked_rows", "identifier", "is_file_name"]

Check: TypeAlias = tuple[Callable[[Any], bool], str]
"""Whether a value is right, and what is expected in words."""

_ID = re.compile(r"[0-9a-f]{12,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


def checked(model: type[Base], row: Row[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The row by column; columns of other tables, sums say, are passed over.

    All rows of a query are fetched before they are checked: an error that is kept would keep the query, and with it the
    state of the database that it sees.

    Raises:
        StoreError: A value is not what its column holds.
    """
    values = dict(row._mapping if isinstance(row, Row) else row)
    for name, (is_right, expected) in _checks(model).items():
        if name in values and not is_right(values[name]):
            altered(model, values, name, values[name], expected)
    return values


def checked_rows(model: type[Base], rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """Rows of one query by column, as `checked` gives each; column by column, which is faster for many."""
    if not rows:
        return []
    names, checks = tuple(rows[0]._fields), _checks(model)
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        if not all(map(checks[name][0], values)):
            for row in rows:
                checked(model, row)
    return [dict(zip(names, row, strict=True)) for row in rows]


def checked_column(model: type[Base], name: str, values: Iterable[Any], key: Mapping[str, Any]) -> list[Any]:
    """The values of one column of many rows, which share `key`. Raises `StoreError` as `checked` does."""
    is_right, expected = _checks(model)[name]
    found = list(values)
    for value in found:
        if not is_right(value):
            altered(model, key, name, value, expected)
    return found


def altered(model: type[Base], row: Mapping[str, Any], column: str, value: object, expected: str) -> NoReturn:
    """Raise the `StoreError` that says of a row what is wrong with it."""
    keys = [name for name in (each.name for each in model.__table__.primary_key) if name in row]
    where = ", ".join(f"{name} {one_line(row[name], 70)}" for name in keys)
    got = "no valid value" if isinstance(value, Unreadable) else one_line(repr(value), 100)
    raise StoreError(
        f"table {model.__tablename__}, row {where or 'unknown'}: {column} is {got}, expected {expected}: the row was "
        "altered; restore a copy of the store"
    )


def identifier(model: type[Base], value: str) -> str:
    """An id of a run or of a code, which names files too. Raises `StoreError` where it is something else."""
    return str(checked(model, {"id": value})["id"])


def is_file_name(value: object) -> bool:
    """Whether it names a file below any folder that it is put into."""
    if not isinstance(value, str) or not value.isprintable() or "\\" in value or not 0 < len(value) <= 255:
        return False
    return all(part not in ("", ".", "..") for part in value.split("/"))


def _is_text(value: Any) -> bool:
    if type(value) is not str:
        return False
    if value.isascii():
        return "\0" not in value
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


_TEXT: Check = (_is_text, "text")
_WHOLE: Check = (_is_whole, "a whole number")
_NUMBER: Check = (_is_number, "a number")
_COUNT: Check = (lambda value: type(value) is int and value >= 0, "a whole number from 0 on")
_POSITIVE: Check = (lambda value: type(value) is int and value >= 1, "a whole number from 1 on")
_TIME: Check = (lambda value: isinstance(value, datetime), "a time")
_OBJECT: Check = (lambda value: type(value) is dict, "a JSON object")
_AN_ID: Check = (lambda value: type(value) is str and _ID.fullmatch(value) is not None, "12 to 64 digits of 0-9, a-f")
_A_HASH: Check = (lambda value: type(value) is str and _HASH.fullmatch(value) is not None, "64 digits of 0-9, a-f")


def _one_of(names: Sequence[str]) -> Check:
    return (lambda value: value in names, f"one of {', '.join(names)}")


def _is_json_object(value: Any) -> bool:
    if not (_is_text(value) and value.lstrip().startswith("{")):
        return False
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def _are_numbers(value: Any) -> bool:
    return type(value) is dict and all(_is_number(each) for each in value.values())


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


_OF_COLUMN: Mapping[tuple[str, str], Check] = {
    ("runs", "status"): _one_of(RUN_STATUSES),
    ("runs", "manifest"): (_is_json_object, "a JSON object as text"),
    ("codes", "distance_kind"): _one_of(("exact", "lower_bound", "upper_bound")),
    ("codes", "n"): _POSITIVE,
    ("codes", "k"): _COUNT,
    ("codes", "distance_lower"): _POSITIVE,
    ("codes", "distance_upper"): _POSITIVE,
    ("codes", "gate_count"): _COUNT,
    ("codes", "two_qubit_gate_count"): _COUNT,
    ("discoveries", "gate_count"): _COUNT,
    ("discoveries", "two_qubit_gate_count"): _COUNT,
    ("discoveries", "wall_time"): (_is_finite, "a finite number"),
    ("error_counts", "shots"): _COUNT,
    ("error_counts", "errors"): _COUNT,
    ("error_counts", "discards"): _COUNT,
    ("error_counts", "seconds"): (_is_finite, "a finite number"),
    ("policy_evaluations", "values"): (_are_numbers, "a JSON object of numbers"),
    ("artifacts", "name"): (is_file_name, "the name of a file below a folder"),
    ("artifacts", "size"): _COUNT,
}
_OF_NAME: Mapping[str, Check] = {
    "run_id": _AN_ID,
    "code_id": _AN_ID,
    "identity": _A_HASH,
    "digest": _A_HASH,
    "task_id": _A_HASH,
    "sha256": _A_HASH,
}


@cache
def _checks(model: type[Base]) -> dict[str, Check]:
    """What each column of a table holds."""
    return {column.name: _check(model.__tablename__, column) for column in model.__table__.columns}


def _check(table: str, column: Any) -> Check:
    check = _OF_COLUMN.get((table, column.name)) or _OF_NAME.get(column.name) or _of_type(column)
    if table in ("runs", "codes") and column.name == "id":
        check = _AN_ID
    if not column.nullable:
        return check
    is_right, expected = check
    return (lambda value: value is None or is_right(value)), expected


def _of_type(column: Any) -> Check:
    if isinstance(column.type, UtcDateTime | DateTime):
        return _TIME
    if isinstance(column.type, StoredObject):
        return _OBJECT
    if isinstance(column.type, Double):
        return _NUMBER
    return _WHOLE if column.type.python_type is int else _TEXT
