"""Tables of rows in memory."""

import copy
import re

import numpy as np
import pytest
from row_tables import COLUMNS, assert_holds, rows, table_of

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.rows import RowTable


@pytest.mark.parametrize("batches", [[1] * 45, [7] * 9, [20, 20], [19, 2], [65], [0, 3, 0, 40, 5]])
def test_the_newest_rows_are_kept_each_in_its_slot(batches):
    table, count = RowTable(COLUMNS, 20), 0
    for size in batches:
        table.append(rows(count, size))
        count += size
        assert_holds(table, count)


def test_a_table_says_what_it_is():
    table = table_of(0)
    assert table.row_bytes == 6 * 4 + 2 + 1
    assert table.columns == {name: np.dtype(dtype) for name, dtype in COLUMNS.items()}
    assert table.column("observation").shape == (0, 3, 2)


def test_rows_cannot_be_changed_through_a_column():
    with pytest.raises(ValueError, match="read-only"):
        table_of(3).column("action")[0] = 1


def test_what_is_appended_is_copied():
    given = rows(0, 3)
    table = RowTable(COLUMNS, 20)
    table.append(given)
    for array in given.values():
        array[...] = 0
    assert_holds(table, 3)


def test_a_deep_copy_grows_apart():
    table = table_of(25)
    other = copy.deepcopy(table)
    table.append(rows(25, 3))
    assert_holds(other, 25)
    other.append(rows(25, 10))
    assert_holds(table, 28)
    assert_holds(other, 35)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": [1]}, "there is no column 'actions'. Did you mean 'action'? Known: observation, action, done"),
        ({"action": None}, "column 'action' is missing: give all of them"),
        ({"action": np.zeros((2, 1), np.int16)}, "column 'action' has shape (2, 1): give (2,)"),
        ({"done": np.zeros(3, bool)}, "column 'done' has shape (3,): give (2,)"),
        ({"observation": np.zeros((2, 6))}, "column 'observation' has shape (2, 6): give (2, 3, 2)"),
        ({"observation": np.float32(1)}, "column 'observation' has shape (): give ('B', 3, 2)"),
        ({"action": np.zeros(2)}, "column 'action' is float64, which is no int16: give int16"),
        ({"done": np.zeros(2, np.int8)}, "column 'done' is int8, which is no bool: give bool"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_added(change, message):
    table = table_of(4)
    given = {name: value for name, value in (rows(4, 2) | change).items() if value is not None}
    with pytest.raises(ConfigurationError, match=f"^{re.escape(f'table of rows: {message}')}$"):
        table.append(given)
    assert_holds(table, 4)


@pytest.mark.parametrize(
    ("columns", "capacity", "message"),
    [
        (COLUMNS, 0, "capacity is 0: give 1 or more"),
        ({}, 3, "it has no columns: name at least one"),
        ({"x": object}, 3, "column 'x' is object: give booleans or numbers"),
        ({"x": "f4,i4"}, 3, "column 'x' is [('f0', '<f4'), ('f1', '<i4')]: give booleans or numbers"),
        ({"x": "nonsense"}, 3, "column 'x' is 'nonsense' (data type 'nonsense' not understood): give a dtype such as"),
    ],
)
def test_tables_that_make_no_sense_are_refused(columns, capacity, message):
    with pytest.raises(ConfigurationError, match=re.escape(f"table of rows: {message}")):
        RowTable(columns, capacity)


@pytest.mark.parametrize(
    ("columns", "capacity", "message"),
    [
        (COLUMNS, 21, "capacity 20, expected 21: restore it with the settings that wrote it, or start the run anew"),
        (COLUMNS | {"action": np.int32}, 20, "a column action of int16, expected int32: "),
        (COLUMNS | {"observation": (np.float32, (6,))}, 20, "of float32 (3, 2), expected float32 (6,): "),
        ({"observation": np.float32}, 20, "columns observation, action, done, expected observation: "),
    ],
)
def test_a_table_of_another_kind_is_named(columns, capacity, message):
    table = table_of(3)
    table.check(COLUMNS, 20)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        table.check(columns, capacity)
    assert "\n" not in str(caught.value)
