"""Rows whose content follows from their number, for tests of tables, replay buffers and checkpoints."""

import numpy as np

from qecforge.learning.rows import RowTable

COLUMNS = {"observation": (np.float32, (3, 2)), "action": np.int16, "done": np.bool_}


def rows(first, count):
    """Rows `first .. first + count - 1`."""
    number = np.arange(first, first + count)
    return {
        "observation": (number[:, None] * 6.0 + np.arange(6)).reshape(count, 3, 2),
        "action": (7 * number % 1000).astype(np.int16),
        "done": number % 5 == 0,
    }


def table_of(count, capacity=20):
    """A table to which so many rows were appended."""
    table = RowTable(COLUMNS, capacity)
    table.append(rows(0, count))
    return table


def assert_holds(table, count, capacity=20):
    """The table has had `count` rows, and holds the newest of them, each in its slot."""
    kept = min(count, capacity)
    assert (table.appended, len(table), table.oldest) == (count, kept, count - kept)
    slots = np.arange(count - kept, count) % capacity
    for name, expected in rows(count - kept, kept).items():
        np.testing.assert_array_equal(table.column(name)[slots], expected.astype(table.columns[name].base), strict=True)
