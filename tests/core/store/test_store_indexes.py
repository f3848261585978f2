"""Listings use the indexes that they are made for, whatever else the store holds."""

import gc
from itertools import product

import pytest
from sqlalchemy import event

from qecforge.codes import StabilizerCode
from qecforge.store import Store, _codes
from qecforge.testing.store import discovered, distance, example_code, example_run

LISTED = "COVERING INDEX ix_codes_listed"
GATES = "COVERING INDEX ix_codes_gate_count_id"


def plan_of(store, **filters):
    """How SQLite chooses the codes of a listing."""
    statements = []
    engine = store._database._engine()

    @event.listens_for(engine, "before_cursor_execute")
    def keep(_connection, _cursor, statement, parameters, *_):
        statements.append((statement, parameters))

    store.codes(**filters)
    event.remove(engine, "before_cursor_execute", keep)
    query, parameters = next(each for each in statements if "FROM codes" in each[0])
    with store._database.reading() as connection:
        return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=0.0, proof={})
        yield store


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "INDEX ix_codes_created_at"),
        ({"order_by": "-created_at"}, "INDEX ix_codes_created_at"),
        ({"order_by": "gate_count"}, GATES),
        ({"order_by": "-gate_count"}, GATES),
        ({"order_by": "-distance"}, LISTED),
        ({"order_by": "distance"}, LISTED),
        ({"order_by": "n"}, LISTED),
        ({"order_by": "-k"}, LISTED),
        ({"order_by": "two_qubit_gate_count"}, LISTED),
        ({"order_by": ["-distance", "gate_count"]}, LISTED),
        ({"n": 7, "k": 1, "min_distance": 3, "order_by": "gate_count"}, f"{LISTED} (n=? AND k=? AND distance_lower>?)"),
        ({"max_gate_count": 12}, "INDEX ix_codes_gate_count_id"),
        ({"min_distance": 9, "order_by": "gate_count"}, LISTED),
        ({"k": 3}, LISTED),
        ({"exact_only": True, "order_by": "gate_count"}, LISTED),
        ({"min_distance": 3, "include_upper_bounds": True, "order_by": "-distance"}, LISTED),
    ],
)
@pytest.mark.parametrize("limit", [20, None])
def test_codes_are_chosen_by_an_index(store, filters, index, limit):
    plan = plan_of(store, **filters, limit=limit)
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if "discoveries" in step], "discoveries of other codes are read"


KEYS = ("n", "k", "distance", "gate_count", "two_qubit_gate_count")


def test_the_order_is_that_of_the_records(store):
    """Beside Python's own sorting of all records, before and after a run is deleted."""
    first, second = (example_run(store, digit) for digit in "bc")
    for run, name, gates, found_distance in (
        (first, "steane", 20, distance(3)),
        (second, "steane", 12, distance(3)),
        (second, "four_qubit", 8, distance(4, "upper_bound")),
        (first, "repetition", 15, distance(1)),
    ):
        store.add_discovery(run.id, discovered(example_code(name), gates), found_distance, wall_time=0.0, proof={})
    store.add_code(example_code("four_qubit"), distance(2), source="a paper")
    store.add_code(StabilizerCode.from_paulis(["ZZII", "IZZI"]), distance(1), source="a paper")
    for gone in (None, second):
        if gone is not None:
            store.delete_run(gone.id)
        records = store.codes()
        assert len(records) >= 3
        for key, sign in product(KEYS, (1, -1)):
            found = store.codes(order_by=key if sign > 0 else f"-{key}")

            def rank(record, key=key, sign=sign):
                values = getattr(record, key), record.gate_count
                none_last = [(value is None, 0 if value is None else value) for value in values]
                return (none_last[0][0], sign * none_last[0][1], *none_last[1], record.id)

            assert [record.id for record in found] == [record.id for record in sorted(records, key=rank)]
        few = store.codes(max_gate_count=14)
        assert {record.id for record in few} == {each.id for each in records if (each.gate_count or 99) <= 14}


def test_many_codes_are_read_without_collections_which_are_on_again_afterwards(store, monkeypatch):
    monkeypatch.setattr(_codes, "_MANY", 0)
    seen, made = [], _codes._made
    monkeypatch.setattr(_codes, "_made", lambda *given: seen.append(gc.isenabled()) or made(*given))
    assert len(store.codes()) == 1
    assert seen == [False, False]
    assert gc.isenabled()


def test_reading_all_rows_gives_what_reading_those_of_some_codes_gives(store, monkeypatch):
    """Discoveries of one code by several runs among them, an imported code, and codes that the query leaves out."""
    first, second = (example_run(store, digit) for digit in "bc")
    for run, gates in ((first, 20), (second, 12)):
        store.add_discovery(run.id, discovered(example_code(), gates), distance(3), wall_time=1.5, proof={"a": [1.5]})
    store.add_discovery(second.id, discovered(example_code("steane"), 9), distance(3), wall_time=0.0, proof={})
    store.add_code(example_code("four_qubit"), distance(2), source="a paper")
    queries = [{}, {"order_by": "-gate_count"}, {"run": second.id}, {"min_distance": 3}, {"n": 4}]
    by_ids = [store.codes(**query) for query in queries]
    assert [len(found) for found in by_ids] == [3, 3, 2, 2, 1]
    assert [each.gate_count for each in by_ids[2][0].discoveries] == [12]
    monkeypatch.setattr(_codes, "_MANY", 0)
    assert [store.codes(**query) for query in queries] == by_ids
