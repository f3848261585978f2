"""The suite for reproductions passes a sound one, and each of its tests fails one that is not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import toy_study
from pydantic import Field
from toy_study import study

from qecforge.contracts import Claim, PluginConfig, Report
from qecforge.errors import PluginError
from qecforge.reporting.tables import Column, Table
from qecforge.reproduction import above
from qecforge.testing import reproductions
from qecforge.testing.reproductions import ReproductionContract


@pytest.fixture(autouse=True)
def _toys(registry, monkeypatch):
    monkeypatch.setattr(reproductions, "_installed", lambda: registry)


class TestStudy(ReproductionContract):
    spec = study()
    options = {"sizes": ("5", "9"), "steps": 8}  # noqa: RUF012


def contract(*, given=(), **changes):
    class Contract(ReproductionContract):
        spec = study(**changes)

    Contract.options = dict(given)
    return Contract()


class Joined(PluginConfig):
    names: tuple[str, ...] = Field(("a,b",), description="Names.")
    steps: int = Field(8, description="Steps.")
    sizes: tuple[str, ...] | None = Field(None, description="Sizes.")
    careful: bool = Field(True, description="Careful.")


class Empty:
    text = " "

    def holds(self, ours):
        return None


def shifted(order):
    """Other seeds for another number of them."""
    return replace(order, seeds=tuple(seed + 10 * len(order.seeds) for seed in order.seeds))


def reporting(**parts):
    return lambda store, planned: Report(**parts) if store.runs() else Report()


ROW = {"a": Table((Column("a"),), [{"a": 1}])}
counter = itertools.count()


@pytest.mark.parametrize(
    ("test", "changes", "error"),
    [
        ("spec", {"needs": ("environment.nowhere",)}, PluginError),
        ("spec", {"summary": ""}, PluginError),
        ("options_round_trip", {"options": Joined}, AssertionError),
        (
            "the_plan_is_deterministic",
            {"plan": lambda order, registry: toy_study.plan(order, registry)[:: 1 - 2 * (next(counter) % 2)]},
            AssertionError,
        ),
        (
            "more_seeds_join_those_that_are_there",
            {"plan": lambda order, registry: toy_study.plan(shifted(order), registry)},
            AssertionError,
        ),
    ],
)
def test_what_is_not_sound_fails(test, changes, error):
    with pytest.raises(error):
        getattr(contract(**changes), f"test_{test}")()


@pytest.mark.parametrize(
    "report",
    [
        lambda store, planned: Report(tables=ROW),
        lambda store, planned: 1 / 0,
    ],
)
def test_rows_of_an_empty_store_fail(report, tmp_path):
    with pytest.raises((AssertionError, PluginError)):
        contract(report=report).test_an_empty_store_gives_no_rows(tmp_path)


@pytest.mark.parametrize(
    "report",
    [
        reporting(),
        reporting(claims=[Claim(part="p", text="t", ours=None, criterion=Empty())], tables=ROW),
        reporting(claims=[Claim(part="p", text="t", ours=None, criterion=above(0))], tables=ROW),
        reporting(claims=[Claim(part="p", text="", ours=None, criterion=above(0), note="n")], tables=ROW),
        lambda store, planned: Report(tables={f"a{next(counter)}": ROW["a"]}),
    ],
)
def test_a_report_that_says_too_little_fails(report, tmp_path):
    with pytest.raises(AssertionError):
        contract(report=report, given={"steps": 4}).test_the_report_of_a_filled_store(tmp_path)


def test_a_report_that_reads_more_than_is_recorded_fails(tmp_path):
    with pytest.raises(AssertionError):
        contract(recorded=(), given={"steps": 4}).test_records_say_what_the_store_says(tmp_path)
