"""Whatever is written, in whatever order and however often, the store holds what a few lines of Python would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.errors import StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store
from qecforge.testing.store import discovered, distance, example_code, example_run, example_task

CODES = [example_code(name) for name in ("five_qubit", "steane", "four_qubit")]
EXAMPLES = settings(max_examples=40, deadline=None)


@pytest.fixture(scope="module")
def store():
    with Store("sqlite://") as store:
        yield store


def empty(store):
    for run in store.runs():
        store.delete_run(run.id)
    return example_run(store)


findings = st.tuples(
    st.integers(0, len(CODES) - 1), st.integers(2, 6), st.integers(0, 3), st.sampled_from(["H 0", "H 1", "CX 0 1"])
)


@EXAMPLES
@given(first=st.lists(findings, max_size=12), replayed=st.randoms(use_true_random=False))
def test_of_each_code_the_best_discovery_is_kept(store, first, replayed):
    run = empty(store)
    again = replayed.sample(first, k=len(first) // 2)
    for index, gates, step, encoder in [*first, *again]:
        found = discovered(CODES[index], gates, step=step, encoder=encoder)
        store.add_discovery(run.id, found, distance(2), wall_time=float(step), proof={})
    expected = {}
    for index, *rank in first:
        digest = CODES[index].digest
        expected[digest] = min(expected.get(digest, rank), rank)
    records = store.codes(order_by="gate_count")
    assert {r.digest: [r.gate_count, r.best.step, r.encoder] for r in records} == expected
    assert [r.gate_count for r in records] == sorted(r.gate_count for r in records)


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 5), st.floats(allow_infinity=True)), max_size=20))
def test_the_first_value_of_a_step_stays(store, values):
    run = empty(store)
    middle = len(values) // 2
    for batch in (values[:middle], values[middle:]):
        store.add_metrics(run.id, [(name, step, value, 0.0) for name, step, value in batch])
    for name in "xy":
        first = {}
        for written, step, value in values:
            if written == name:
                first.setdefault(step, value)
        series = store.metrics(run.id, name)
        assert series.step.tolist() == sorted(first)
        np.testing.assert_array_equal(series.value, [first[step] for step in sorted(first)])


chunks = st.tuples(st.integers(0, 1), st.integers(0, 6))


@EXAMPLES
@given(st.lists(chunks, max_size=20))
def test_counts_are_the_sum_over_distinct_chunks(store, written):
    run = empty(store)
    code = CODES[0]
    store.add_discovery(run.id, discovered(code), distance(3), wall_time=0.0, proof={})
    tasks = [example_task(code, p) for p in (1e-3, 2e-3)]
    for task, chunk in written:
        counts = ErrorCounts(shots=2**chunk, errors=chunk % 2, seconds=1.0)
        store.add_error_counts(code.digest, tasks[task], chunk, counts)
    rates = {rate.task: rate for rate in store.error_rates(code.digest)}
    for index, task in enumerate(tasks):
        distinct = {chunk for which, chunk in written if which == index}
        assert (task in rates) == bool(distinct)
        if distinct:
            assert rates[task].shots == sum(2**chunk for chunk in distinct)
            assert rates[task].errors == sum(chunk % 2 for chunk in distinct)
            assert rates[task].chunks == len(distinct)


statements = st.tuples(st.sampled_from(["exact", "lower_bound", "upper_bound"]), st.integers(1, 5))


@EXAMPLES
@given(st.lists(statements, min_size=1, max_size=8))
def test_bounds_close_in_on_the_distance_and_never_cross(store, made):
    run = empty(store)
    lower, upper = 1, None
    for kind, value in made:
        new_lower = max(lower, value) if kind != "upper_bound" else lower
        new_upper = min(upper or value, value) if kind != "lower_bound" else upper
        try:
            store.add_discovery(run.id, discovered(CODES[1]), distance(value, kind), wall_time=0.0, proof={})
        except StoreError:
            assert new_upper is not None
            assert new_lower > new_upper
            continue
        lower, upper = new_lower, new_upper
        (record,) = store.codes()
        assert (record.distance_lower, record.distance_upper) == (lower, upper)
        assert (record.distance_kind == "exact") == (lower == upper)
        assert record.distance in (lower, upper)
        assert [len(store.codes(min_distance=d)) for d in (lower, lower + 1)] == [1, 0]
