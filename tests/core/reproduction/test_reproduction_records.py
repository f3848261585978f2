"""Finished runs kept as a file, and taken from it into another store."""

from __future__ import annotations

import json
import math

import pytest
from toy_study import StudyOptions, study

from qecforge import Store
from qecforge.contracts import Order
from qecforge.errors import ConfigurationError, StoreError
from qecforge.manifest._validation import canonical_json
from qecforge.manifest.plan import identity_of
from qecforge.reproduction.carry_out import carry_out
from qecforge.reproduction.planning import planned_runs
from qecforge.reproduction.records import adopt_records, keep_records, read_records, records_of
from qecforge.runs.policies import load_policy


def adopt(registry, store, planned, path):
    return adopt_records(store, planned, records_of(planned, read_records(path), registry))


def walks(registry, *overrides, seeds=(0, 1)):
    order = Order(options=StudyOptions(sizes=("5",), steps=8), seeds=seeds, overrides=overrides)
    return planned_runs(study(), order, registry)


@pytest.fixture
def kept(registry, url, tmp_path):
    """The file of a store with two finished runs."""
    planned = walks(registry)
    carry_out(study(), planned, registry, store_url=url)
    with Store(url) as store:
        assert keep_records(tmp_path / "runs.jsonl", study(), store, planned, registry) == 2
    return tmp_path / "runs.jsonl"


@pytest.fixture
def other(tmp_path):
    with Store(tmp_path / "other.db") as store:
        yield store


def test_another_store_has_what_the_first_has(registry, kept, other, url):
    planned = walks(registry)
    adopted = adopt(registry, other, planned, kept)
    with Store(url) as store:
        before = {run.identity: run for run in store.runs()}
        for run_id in adopted:
            run = other.run(run_id)
            first = before.pop(run.identity)
            assert (run.status, run.seed, run.name, run.manifest) == (
                "finished",
                first.seed,
                first.name,
                first.manifest,
            )
            assert run.seconds == first.seconds
            assert run.provenance == {name: value for name, value in first.provenance.items() if name != "command"}
            ours, theirs = (each.metrics(run_id, "reward") for each in (other, store))
            for column in ("step", "value", "wall_time"):
                assert getattr(ours, column).tolist() == getattr(theirs, column).tolist()
            assert other.metric_names(run_id) == ["reward"]
            assert [each.values for each in other.policy_evaluations(run_id)] == [{"kilograms": 1.0}]
    assert before == {}
    assert adopt(registry, other, planned, kept) == []


def test_an_adopted_run_is_not_carried_out_and_a_further_seed_is(registry, kept, other):
    planned = walks(registry, seeds=(0, 1, 2))
    adopt(registry, other, planned, kept)
    outcomes = carry_out(study(), planned, registry, store_url=other.url)
    assert [outcome.status for outcome in outcomes] == ["skipped", "skipped", "finished"]
    before = kept.read_text()
    assert keep_records(kept, study(), other, planned, registry) == 1
    assert kept.read_text().startswith(before)
    assert [record.seed for record in read_records(kept)] == [0, 1, 2]
    assert keep_records(kept, study(), other, planned, registry) == 0


def test_an_adopted_run_has_no_policy_and_says_what_to_do(registry, kept, other):
    (run_id,) = adopt(registry, other, walks(registry)[:1], kept)
    with pytest.raises(StoreError, match=r"\(finished\) left no policy: start the run anew with `force`$"):
        load_policy(other, run_id, registry=registry)


def test_what_a_store_has_begun_stays_its_own(registry, kept, other):
    planned = walks(registry)
    run = other.run(adopt(registry, other, planned[:1], kept)[0])
    other.restart_run(run.id)  # as a kill leaves it that hits in the middle
    assert adopt(registry, other, planned[:1], kept) == [run.id]
    other.restart_run(run.id)
    other.mark_run(run.id, "running")
    other.mark_run(run.id, "interrupted")
    assert adopt(registry, other, planned[:1], kept) == []


def test_other_settings_and_other_evaluations_are_other_runs(registry, kept, other):
    assert adopt(registry, other, walks(registry, "agent.total_steps=12"), kept) == []
    evaluated = walks(registry, "evaluation.returns.episodes=3")
    assert {each.plan.identity for each in evaluated} == {record.identity for record in read_records(kept)}
    assert adopt(registry, other, evaluated, kept) == []


def changed(path, change):
    """The file with each line's manifest as an earlier version would have written it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line["manifest"])
        line["identity"] = identity_of(canonical_json(line["manifest"]))
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_run_from_before_a_setting_was_there_is_the_same_run(registry, kept, other):
    """It was trained with what is the setting's default now, and by another version, which the record names."""
    planned = walks(registry)

    def before(manifest):
        assert manifest["agent"].pop("fail_at") is None
        manifest["plugins"]["agent"]["version"] = "0.0.1"

    changed(kept, before)
    assert {record.identity for record in read_records(kept)}.isdisjoint(each.plan.identity for each in planned)
    adopted = adopt(registry, other, planned, kept)
    assert {other.run(run_id).identity for run_id in adopted} == {each.plan.identity for each in planned}
    text = kept.read_text()
    assert keep_records(kept, study(), other, planned, registry) == 0
    assert kept.read_text() == text


def test_a_run_of_settings_that_are_no_more_stays_in_the_file_and_is_of_no_use(registry, kept, other, url):
    changed(kept, lambda manifest: manifest["agent"].update(speed=3))
    before = read_records(kept)
    planned = walks(registry)
    assert adopt(registry, other, planned, kept) == []
    with Store(url) as store:
        assert keep_records(kept, study(), store, planned, registry) == 2
    assert read_records(kept)[:2] == before
    assert {record.identity for record in read_records(kept)[2:]} == {each.plan.identity for each in planned}


def test_a_number_that_is_none_stays_none(registry, kept, other):
    first, *rest = kept.read_text().splitlines()
    content = json.loads(first)
    content["metrics"]["reward"]["value"][0] = None
    kept.write_text("\n".join([json.dumps(content), *rest]) + "\n")
    planned = [each for each in walks(registry) if each.plan.identity == content["identity"]]
    (run_id,) = adopt(registry, other, planned, kept)
    assert math.isnan(other.metrics(run_id, "reward").value[0])
    again = kept.with_name("again.jsonl")
    keep_records(again, study(), other, planned, registry)
    assert json.loads(again.read_text())["metrics"] == content["metrics"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda line: line[:-20], r"runs\.jsonl:2: Invalid JSON"),
        (lambda line: "", r"runs\.jsonl:2: Invalid JSON"),
        (lambda line: line.replace('"seed":', '"sead":'), r"runs\.jsonl:2: seed: Field required"),
        (lambda line: line.replace('"step":[', '"step":[0,'), r"runs\.jsonl:2: metrics\.reward: .*differ in length"),
        (lambda line: line.replace('"identity":"', '"identity":"x'), r"runs\.jsonl:2: identity: "),
        (lambda line: "0" * 200_000, r"runs\.jsonl:2: "),
        (None, r"runs\.jsonl:2: run [0-9a-f]{12} is there twice"),
    ],
)
def test_a_damaged_line_is_named(kept, damage, message):
    first, second = kept.read_text().splitlines()
    kept.write_text(f"{first}\n{first if damage is None else damage(second)}\n")
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_records(kept)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_or_written_is_named(registry, kept, url, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_records(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_records(tmp_path / "bytes")
    with Store(url) as store, pytest.raises(ConfigurationError, match="cannot be written"):
        keep_records(tmp_path / "nowhere" / "runs.jsonl", study(), store, walks(registry), registry)
    assert read_records(tmp_path / "none.jsonl") == []
