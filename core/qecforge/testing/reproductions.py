"""What every reproduction must do.

from qecforge.testing.reproductions import ReproductionContract

class TestMyReproduction(ReproductionContract):
    spec = my_spec                                  # qecforge.contracts.ReproductionSpec
    options = {"sizes": (3,)}                       # a small part that has rows in its report
    overrides = ("agent.total_steps=1000",)         # what makes its runs short
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.options import texts_of, values_of
from qecforge.contracts.reproduction import Order, PlannedRun, ReproductionSpec
from qecforge.registry import Registry
from qecforge.registry._checks import checked_specs
from qecforge.reporting.tables import to_csv, to_json, to_markdown
from qecforge.reproduction.carry_out import carry_out, figures_of, report_of
from qecforge.reproduction.files import tables_of, write_files
from qecforge.reproduction.planning import planned_runs, stages
from qecforge.reproduction.records import adopt_records, keep_records, read_records, records_of
from qecforge.store import Store

__all__ = ["ReproductionContract"]


@cache
def _installed() -> Registry:
    return Registry.load()


@cache
def _whole(spec: ReproductionSpec, quick: bool) -> tuple[PlannedRun, ...]:
    """The runs of one size, as without any option, with one seed."""
    order = Order(options=spec.options(), seeds=(0,), quick=quick)
    return planned_runs(spec, order, _installed())


class ReproductionContract:
    """Runs as a pytest class: subclass it and set `spec`.

    Attributes:
        spec: The reproduction.
        options: Of its own options, for the store that `fill` fills; the smaller size of it is planned, with two seeds.
        overrides: Put into its manifests for that store.
        unrecorded: Tables that are missing and columns that are empty for runs that come from a file, such as of codes.
    """

    spec: ClassVar[ReproductionSpec]
    options: ClassVar[Mapping[str, Any]] = {}
    overrides: ClassVar[Sequence[str]] = ()
    unrecorded: ClassVar[Sequence[str]] = ()

    def fill(self, store: Store, planned: Sequence[PlannedRun]) -> None:
        """Put into a store what the planned runs leave there. They are carried out, where this is not replaced by a
        method that files records of the same form."""
        carry_out(self.spec, planned, _installed(), store_url=store.url)

    def chosen(self) -> PluginConfig:
        """The options of the small part."""
        options: PluginConfig = self.spec.options.model_validate(dict(self.options))
        return options

    def small(self) -> tuple[PlannedRun, ...]:
        """The runs of the small part."""
        order = Order(options=self.chosen(), seeds=(0, 1), quick=True, overrides=tuple(self.overrides))
        return planned_runs(self.spec, order, _installed())

    def test_spec(self) -> None:
        """The spec is sound, and what it needs is installed."""
        assert list(checked_specs("qecforge_reproductions", "reproduction", [[self.spec]])) == [self.spec]
        for need in self.spec.needs:
            assert _installed().find(need)[1].spec.name == need.partition(".")[2]

    def test_options_round_trip(self) -> None:
        """By way of JSON and by way of a command line."""
        for options in (self.spec.options(), self.chosen()):
            assert type(options).model_validate_json(options.model_dump_json()) == options
            assert type(options).model_validate(values_of(type(options), texts_of(options))) == options

    @pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
    def test_both_sizes_validate(self, quick: bool) -> None:
        """Every run of either size is planned, by manifests that the installed plugins take; quick is no larger."""
        assert {each.plan.seed for each in _whole(self.spec, quick)} == {0}
        assert len(_whole(self.spec, True)) <= len(_whole(self.spec, False))

    @pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
    def test_identities_are_unique(self, quick: bool) -> None:
        """No run is planned twice."""
        identities = [each.plan.identity for each in _whole(self.spec, quick)]
        assert len(set(identities)) == len(identities)

    @pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
    def test_after_names_planned_identities(self, quick: bool) -> None:
        """What a run waits for is planned, and comes in an earlier stage; every run has its stage."""
        planned = _whole(self.spec, quick)
        ended: set[str] = set()
        for stage in stages(planned):
            for each in stage:
                assert set(each.after) <= ended
            ended |= {each.plan.identity for each in stage}
        assert ended == {each.plan.identity for each in planned}

    def test_the_plan_is_deterministic(self) -> None:
        """The same order gives the same runs in the same order, with the same labels."""
        one, other = self.small(), self.small()
        assert [each.plan.identity for each in one] == [each.plan.identity for each in other]
        assert [(each.labels, each.after) for each in one] == [(each.labels, each.after) for each in other]

    def test_more_seeds_join_those_that_are_there(self) -> None:
        """A further seed leaves the runs of the others as they are."""
        order = Order(options=self.chosen(), seeds=(0,), quick=True, overrides=tuple(self.overrides))
        first = {each.plan.identity for each in planned_runs(self.spec, order, _installed())}
        assert first < {each.plan.identity for each in self.small()}

    def test_records_say_what_the_store_says(self, tmp_path: Path) -> None:
        """Where finished runs can be kept in a file, a store that is filled from it gives the same report; what
        is `unrecorded` is left out of it."""
        if self.spec.recorded is None:
            pytest.skip("its report reads more than records hold")
        planned = self.small()
        said = []
        for name in ("trained", "recorded"):
            with Store(tmp_path / f"{name}.db") as store:
                if name == "trained":
                    self.fill(store, planned)
                    keep_records(tmp_path / "runs.jsonl", self.spec, store, planned, _installed())
                else:
                    records = records_of(planned, read_records(tmp_path / "runs.jsonl"), _installed())
                    adopt_records(store, planned, records)
                tables = tables_of(report_of(self.spec, store, planned))
            said.append({name: json.loads(to_json(each)) for name, each in tables.items()})
        whole, recorded = said
        for name in self.unrecorded:
            assert name not in recorded
            whole.pop(name, None)
            for row in (row for rows in whole.values() for row in rows if name in row):
                row[name] = None
            for row in (row for rows in recorded.values() for row in rows if name in row):
                row[name] = row[name] or None
        assert recorded == whole

    def test_an_empty_store_gives_no_rows(self, tmp_path: Path) -> None:
        """Neither a claim nor a row nor a figure, and no exception."""
        with Store(tmp_path / "results.db") as store:
            report = report_of(self.spec, store, _whole(self.spec, True))
            assert tables_of(report) == {}
            assert figures_of(self.spec, report) == {}

    def test_the_report_of_a_filled_store(self, tmp_path: Path) -> None:
        """Claims say what they are held to; tables and figures can be written in every form, and the same store gives
        the same tables; it is no matter whether all runs are there."""
        planned = self.small()
        with Store(tmp_path / "results.db") as store:
            self.fill(store, planned)
            tables_of(report_of(self.spec, store, planned[:1]))
            report = report_of(self.spec, store, planned)
            for claim in report.claims:
                for line in (claim.part, claim.text, claim.criterion.text):
                    assert line.strip(), f"{claim.text!r} has an empty part, text or criterion"
                    assert "\n" not in line
                assert claim.holds in (True, False, None)
                assert claim.ours is not None or claim.note, f"{claim.text!r} has no number and no note that says why"
            tables = tables_of(report)
            assert tables, "no table has rows: let fill() leave something, or choose other options"
            again = tables_of(report_of(self.spec, store, planned))
            assert {name: to_json(each) for name, each in again.items()} == {
                name: to_json(each) for name, each in tables.items()
            }
            for table in tables.values():
                assert len(json.loads(to_json(table))) == len(table.rows)
                assert to_csv(table)
                assert len(to_markdown(table).splitlines()) == len(table.rows) + 2
            figures = figures_of(self.spec, report)
            written = write_files(tables, figures, tmp_path / "out", title=self.spec.name)
        assert {path.stem for path in written} == {*tables, *figures, "tables", "report"}
