"""Listings use the indexes that they are made for, whatever else the store holds."""

import pytest
from sqlalchemy import event

from qecforge.store import Store
from qecforge.testing.store import discovered, distance, example_code, example_run


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"limit": 20}, "ix_codes_created_at"),
        ({"order_by": "-created_at", "limit": 20}, "ix_codes_created_at"),
        ({"n": 7, "k": 1, "min_distance": 3, "order_by": "gate_count", "limit": 20}, "ix_codes_n_k_distance_lower"),
        ({"max_gate_count": 12, "limit": 20}, "ix_discoveries_code_id_gate_count_two_qubit_gate_count"),
    ],
)
def test_codes_are_listed_by_an_index(tmp_path, filters, index):
    statements = []
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=0.0, proof={})
        engine = store._database._engine()

        @event.listens_for(engine, "before_cursor_execute")
        def keep(_connection, _cursor, statement, parameters, *_):
            statements.append((statement, parameters))

        store.codes(**filters)
        query, parameters = next(each for each in statements if "FROM codes" in each[0])
        with store._database.reading() as connection:
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)]
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN discoveries")], "all discoveries are read"
