"""Cases of the store contract: codes and their logical error rates."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from qecforge.codes import DiscoveredCode, Distance, StabilizerCode, dump_code, verify_encoder
from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import CodeRecord, Store
from qecforge.testing.examples import discovered, distance, example_code, example_run, example_task

__all__ = ["CodeCases", "ErrorRateCases"]


class CodeCases:
    """Codes are merged by group; what is known of them only grows."""

    def test_a_discovery_comes_back_with_its_code(self, store: Store) -> None:
        run = example_run(store)
        code = example_code()
        found = discovered(code, 9, step=77, encoder="H 0\nCX 0 1")
        record = store.add_discovery(run.id, found, distance(3), wall_time=1.5, proof={"encoder": "stim"})
        assert record == store.code(code.digest[:6]) == store.codes()[0]
        assert record.code == code
        assert record.code.stabilizers == code.stabilizers
        assert (record.id, record.n, record.k) == (code.digest[:12], 5, 1)
        assert (record.distance, record.distance_kind, record.distance_method) == (3, "exact", "enumerator")
        assert (record.encoder, record.gate_count, record.two_qubit_gate_count) == ("H 0\nCX 0 1", 9, 4)
        assert (record.run_ids, record.source) == ((run.id,), None)
        assert record.best is not None
        assert (record.best.step, record.best.wall_time, record.best.target_distance) == (77, 1.5, 3)
        assert (record.best.attributes, record.best.proof) == ({"note": "example"}, {"encoder": "stim"})
        assert record.first_found_at == record.best.found_at

    def test_codes_of_one_group_are_one_code(self, store: Store) -> None:
        other_generators = StabilizerCode.from_paulis(["XZZXI", "XYIYX", "XIXZZ", "ZXIXZ"])
        runs = [example_run(store, digit) for digit in "ab"]
        store.add_discovery(runs[0].id, discovered(example_code(), 12), distance(3), wall_time=1.0, proof={})
        store.add_discovery(runs[1].id, discovered(other_generators, 10), distance(3), wall_time=1.0, proof={})
        (record,) = store.codes()
        assert record.code.stabilizers == example_code().stabilizers
        assert record.run_ids == (runs[1].id, runs[0].id)
        assert (record.gate_count, [found.gate_count for found in record.discoveries]) == (10, [10, 12])
        (as_seen_by_first,) = store.codes(run=runs[0].id)
        assert (as_seen_by_first.gate_count, as_seen_by_first.run_ids) == (12, (runs[0].id,))

    def test_signs_are_those_of_the_shortest_encoder(self, store: Store) -> None:
        """Two runs find one stabilizer group in two Pauli frames."""
        run_ids = []
        for digit, gates, text in (("a", 12, "H 2\nCX 2 0 2 1\nX 0"), ("b", 10, "H 2\nCX 2 0 2 1\nZ 2")):
            run_ids.append(example_run(store, digit).id)
            code = StabilizerCode.from_circuit(text, 1)
            found = DiscoveredCode(code, text, gates, 2, target_distance=1, step=5)
            store.add_discovery(run_ids[-1], found, code.distance(), wall_time=1.0, proof={})
        (record,) = store.codes()
        assert record.encoder is not None
        verify_encoder(record.code, record.encoder)
        assert record.code.signs is not None
        assert record.filed.signs is not None
        assert record.code.signs.tolist() != record.filed.signs.tolist()
        assert dump_code(record.code, "stim", encoder=record.encoder)
        for run_id in run_ids:
            (own,) = store.codes(run=run_id)
            assert own.encoder is not None
            verify_encoder(own.code, own.encoder)

    def test_the_shortest_encoder_wins_then_the_earliest(self, store: Store) -> None:
        seen = [(12, 5, "a"), (10, 30, "b"), (10, 20, "c"), (11, 1, "d")]
        for index, order in enumerate(itertools.permutations(seen)):
            run = example_run(store, f"{index:02x}")
            for gates, step, encoder in (*order, order[0]):
                found = discovered(example_code(), gates, step=step, encoder=encoder)
                store.add_discovery(run.id, found, distance(3), wall_time=float(step), proof={})
            (kept,) = store.discoveries(run=run.id)
            assert (kept.gate_count, kept.step, kept.encoder, kept.wall_time) == (10, 20, "c", 20.0)

    def test_an_imported_code_has_a_source_and_stays(self, store: Store) -> None:
        record = store.add_code(example_code("steane"), distance(3), source="steane.alist")
        assert (record.source, record.run_ids, record.encoder, record.gate_count) == ("steane.alist", (), None, None)
        assert store.add_code(example_code("steane"), distance(3), source="again") == record
        run = example_run(store)
        found = store.add_discovery(run.id, discovered(example_code("steane")), distance(3), wall_time=0.0, proof={})
        assert (found.id, found.source, found.gate_count) == (record.id, "steane.alist", 12)
        store.delete_run(run.id)
        assert store.codes() == [record]

    def test_what_is_known_of_a_distance_only_grows(self, store: Store) -> None:
        steane = example_code("steane")

        def add(known: Distance) -> CodeRecord:
            return store.add_code(steane, known, source="test")

        def shown(record: CodeRecord) -> tuple[int, str, int, int | None]:
            return record.distance, record.distance_kind, record.distance_lower, record.distance_upper

        assert shown(add(distance(5, "upper_bound", witness="XXXXXII"))) == (5, "upper_bound", 1, 5)
        assert shown(add(distance(2, "lower_bound", method="search"))) == (2, "lower_bound", 2, 5)
        assert shown(add(distance(6, "upper_bound"))) == (2, "lower_bound", 2, 5)
        assert shown(add(distance(4, "upper_bound", method="decoder"))) == (4, "upper_bound", 2, 4)
        with pytest.raises(StoreError, match=r"distance >= 5 \(wrong\) contradicts distance <= 4 \(decoder\)"):
            add(distance(5, "lower_bound", method="wrong"))
        assert shown(add(distance(3, "upper_bound", method="decoder"))) == (3, "upper_bound", 2, 3)
        met = add(distance(3, "lower_bound", method="search"))
        assert shown(met) == (3, "exact", 3, 3)
        assert met.distance_method == "search (lower bound), decoder (upper bound)"
        assert add(distance(3)) == met
        with pytest.raises(StoreError, match="nothing was stored"):
            add(distance(2))
        assert store.codes() == [met]

    def test_bounds_are_kept_as_they_were_given(self, store: Store) -> None:
        record = store.add_code(example_code(), distance(4, "upper_bound", lower=2, witness="XXXXI"), source="test")
        assert (record.distance, record.distance_kind) == (4, "upper_bound")
        assert (record.distance_lower, record.distance_upper, record.distance_witness) == (2, 4, "XXXXI")
        with pytest.raises(ConfigurationError, match="expected an exact value or bounds"):
            store.add_code(example_code("steane"), distance(0), source="test")

    def test_a_minimal_distance_must_be_proved(self, store: Store) -> None:
        exact = store.add_code(example_code("five_qubit"), distance(3), source="test").id
        lower = store.add_code(example_code("steane"), distance(3, "lower_bound"), source="test").id
        upper = store.add_code(example_code("four_qubit"), distance(3, "upper_bound"), source="test").id
        small = store.add_code(example_code("repetition"), distance(1), source="test").id
        assert {record.id for record in store.codes(min_distance=3)} == {exact, lower}
        assert {record.id for record in store.codes(min_distance=3, include_upper_bounds=True)} == {exact, lower, upper}
        assert {record.id for record in store.codes(exact_only=True)} == {exact, small}
        assert [record.id for record in store.codes(min_distance=3, exact_only=True)] == [exact]
        assert store.codes(min_distance=4, include_upper_bounds=True) == []

    def test_codes_are_filtered_and_ordered(self, store: Store) -> None:
        run, other = example_run(store, "a"), example_run(store, "b")
        added = (("steane", 11, 3, run), ("five_qubit", 14, 3, run), ("four_qubit", 6, 2, other))
        for name, gates, value, finder in added:
            found = discovered(example_code(name), gates)
            store.add_discovery(finder.id, found, distance(value), wall_time=0.0, proof={})
        store.add_code(example_code("repetition"), distance(1), source="test")

        def sizes(**filters: Any) -> list[int]:
            return [record.n for record in store.codes(**filters)]

        assert sizes() == [7, 5, 4, 3]
        assert sizes(order_by="n") == [3, 4, 5, 7]
        assert sizes(order_by="gate_count") == [4, 7, 5, 3]
        assert sizes(order_by="-gate_count") == [5, 7, 4, 3]
        assert sizes(order_by="-distance") == [7, 5, 4, 3]
        assert sizes(order_by=["-distance", "n"]) == [5, 7, 4, 3]
        assert sizes(order_by="gate_count", limit=2) == [4, 7]
        assert (sizes(n=7), sizes(k=2), sizes(n=7, k=2)) == ([7], [4], [])
        assert sizes(run=run.id, order_by="gate_count") == [7, 5]
        assert sizes(max_gate_count=11, order_by="n") == [4, 7]
        with pytest.raises(ConfigurationError, match="order_by: got 'size', expected one of n, k"):
            sizes(order_by="size")


class ErrorRateCases:
    """Counts are additive and never counted twice."""

    def test_counts_add_up_and_are_never_counted_twice(self, store: Store) -> None:
        code = example_code()
        code_id = store.add_code(code, distance(3), source="test").id
        task = example_task(code)
        counts = [ErrorCounts(shots=100, errors=i, discards=1, seconds=0.5) for i in range(4)]
        for chunk in (0, 2, 1, 2, 3, 0):
            store.add_error_counts(code_id, task, chunk, counts[chunk])
        assert store.error_counts(code_id, task.task_id) == dict(enumerate(counts))
        assert store.error_counts(code_id, "0" * 64) == {}
        (rate,) = store.error_rates(code_id[:5])
        assert (rate.task, rate.task_id, rate.code_id, rate.chunks) == (task, task.task_id, code_id, 4)
        assert rate.counts == ErrorCounts(shots=400, errors=6, discards=4, seconds=2.0)
        assert rate.rate == 6 / 396
        assert rate.interval.low < rate.rate < rate.interval.high

    def test_exact_rates_have_no_interval(self, store: Store) -> None:
        code = example_code()
        store.add_code(code, distance(3), source="test")
        task = example_task(code, experiment="code_capacity", sampled=False)
        store.add_error_counts(code.digest, task, 0, ErrorCounts(exact_rate=0.125, seconds=1.0))
        (rate,) = store.error_rates()
        assert (rate.rate, rate.shots) == (0.125, 0)
        assert (rate.interval.low, rate.interval.high) == (0.125, 0.125)

    def test_error_rates_are_filtered(self, store: Store) -> None:
        run = example_run(store)
        five, steane = example_code("five_qubit"), example_code("steane")
        store.add_code(five, distance(3), source="test")
        store.add_discovery(run.id, discovered(steane), distance(3), wall_time=0.0, proof={})
        for code, p, decoder in itertools.product((five, steane), (1e-3, 1e-4), ("bposd", "tesseract")):
            store.add_error_counts(code.digest, example_task(code, p, decoder=decoder), 0, ErrorCounts(shots=1))
        assert len(store.error_rates()) == 8
        assert [rate.p for rate in store.error_rates(five.digest, decoder="bposd")] == [1e-4, 1e-3]
        assert {rate.code_id for rate in store.error_rates(run=run.id)} == {steane.digest[:12]}
        assert len(store.error_rates(p=1e-3, experiment="memory", extraction="flag", rounds=3, basis="both")) == 4
        assert store.error_rates(noise="{}") == store.error_rates(boundary="none") == []

    def test_a_sharper_circuit_distance_replaces_the_known_one(self, store: Store) -> None:
        code = example_code()
        store.add_code(code, distance(3), source="test")
        task = example_task(code)
        steps: list[tuple[int | None, Any, int | None, Any]] = [
            (None, None, None, None),
            (4, "upper_bound", 4, "upper_bound"),
            (None, None, 4, "upper_bound"),
            (5, "upper_bound", 4, "upper_bound"),
            (3, "upper_bound", 3, "upper_bound"),
            (2, "exact", 2, "exact"),
            (1, "upper_bound", 2, "exact"),
        ]
        for chunk, (value, kind, kept, kept_kind) in enumerate(steps):
            known = replace(task, circuit_distance=value, circuit_distance_kind=kind)
            store.add_error_counts(code.digest, known, chunk, ErrorCounts(shots=10))
            (rate,) = store.error_rates()
            assert (rate.task.circuit_distance, rate.task.circuit_distance_kind) == (kept, kept_kind)
            assert rate.chunks == chunk + 1

    def test_counts_of_another_code_are_refused(self, store: Store) -> None:
        five, steane = example_code("five_qubit"), example_code("steane")
        store.add_code(five, distance(3), source="test")
        with pytest.raises(StoreError, match="the task is about another code"):
            store.add_error_counts(five.digest, example_task(steane), 0, ErrorCounts(shots=1))
        with pytest.raises(StoreError, match="qecforge codes list"):
            store.add_error_counts(steane.digest, example_task(steane), 0, ErrorCounts(shots=1))
        with pytest.raises(StoreError, match="qecforge runs list"):
            store.add_error_counts(five.digest, example_task(five), 0, ErrorCounts(shots=1), run_id="f00")
        assert store.error_rates() == []
