from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle

import pytest

from qecforge.errors import ConfigurationError
from qecforge.evaluation import ErrorCounts, ErrorRateTask, chunk_shots


def task(**changes: object) -> ErrorRateTask:
    values: dict[str, object] = {
        "code_digest": "c0de",
        "experiment": "memory",
        "noise": '{"model":"depolarizing"}',
        "p": 0.001,
        "extraction": "flag",
        "rounds": 3,
        "basis": "both",
        "boundary": "ideal",
        "decoder": "tesseract",
        "circuit_digest": "d1ge57",
    }
    return ErrorRateTask.from_json(values | changes)


def test_counts_add_up():
    a = ErrorCounts(shots=1000, errors=3, discards=10, seconds=0.5)
    b = ErrorCounts(shots=3000, errors=4, discards=20, seconds=1.0)
    assert a + b == ErrorCounts(shots=4000, errors=7, discards=30, seconds=1.5)
    assert sum([a, b], ErrorCounts()) == b + a
    assert (a + b).kept == 3970
    assert (a + b).rate == 7 / 3970


def test_rate_without_shots_is_undefined_and_an_exact_rate_needs_none():
    assert math.isnan(ErrorCounts().rate)
    assert ErrorCounts(exact_rate=0.25).rate == 0.25
    assert (ErrorCounts() + ErrorCounts(exact_rate=0.0)).exact_rate == 0.0


@pytest.mark.parametrize(
    "values",
    [
        {"shots": 10, "errors": 11},
        {"shots": 10, "errors": 6, "discards": 5},
        {"shots": 10, "errors": -1},
        {"shots": -1},
        {"shots": 10, "exact_rate": 0.5},
        {"exact_rate": 1.5},
    ],
)
def test_impossible_counts_are_refused(values):
    with pytest.raises(ConfigurationError, match="expected"):
        ErrorCounts(**values)


def test_task_id_is_the_hash_of_canonical_json_without_what_is_known_of_the_distance():
    fields = {
        "basis": "both",
        "boundary": "ideal",
        "circuit_digest": "d1ge57",
        "code_digest": "c0de",
        "decoder": "tesseract",
        "experiment": "memory",
        "extraction": "flag",
        "noise": '{"model":"depolarizing"}',
        "p": 0.001,
        "rounds": 3,
        "sampled": True,
    }
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert task().task_id == hashlib.sha256(canonical.encode()).hexdigest()
    assert task(circuit_distance=3, circuit_distance_kind="exact").task_id == task().task_id


@pytest.mark.parametrize(
    "change",
    [{"p": 0.002}, {"rounds": 4}, {"decoder": "bposd"}, {"basis": "x"}, {"circuit_digest": "e"}, {"sampled": False}],
)
def test_whatever_changes_the_shots_changes_the_task_id(change):
    assert task(**change).task_id != task().task_id


def test_task_round_trips():
    one = task(circuit_distance=3, circuit_distance_kind="exact")
    assert ErrorRateTask.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.p = 0.1  # type: ignore[misc]


@pytest.mark.parametrize("values", [{"code": "x"}, {"p": 0.1}])
def test_task_from_wrong_fields_is_refused(values):
    with pytest.raises(ConfigurationError, match="fields"):
        ErrorRateTask.from_json(values)


def test_chunks_total_round_numbers():
    totals = [sum(chunk_shots(i) for i in range(count)) for count in range(1, 17)]
    assert totals[:5] == [1_000, 2_000, 5_000, 10_000, 20_000]
    assert totals[12:] == [100_000, 200_000, 300_000, 400_000]
    with pytest.raises(ConfigurationError, match="chunk"):
        chunk_shots(-1)
