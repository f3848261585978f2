"""Finished runs as a text file: what a report reads of each, a line of JSON for a run.

A store stays where it was filled; such a file goes with a source tree. What it has is taken into another store as
finished, with the versions, the git revision and the machine of whoever trained it, so that the same order goes on from
there: the report is of all, and only what no file and no store has is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qecforge.contracts.reproduction import PlannedRun, ReproductionSpec
from qecforge.errors import ConfigurationError, ManifestError, PluginError, one_line
from qecforge.machine.files import read_limited, why_not, write_whole
from qecforge.manifest import RunPlan
from qecforge.manifest._validation import canonical_json
from qecforge.reproduction.planning import finished
from qecforge.runs.execute import begin

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Run, Store

__all__ = ["RunRecord", "adopt_records", "keep_records", "read_records", "records_of"]

MAX_BYTES = 1_000_000_000
_UNTOLD = ("command",)
"""Of a run's provenance: paths of the machine, of no use elsewhere."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RecordedSeries(_Line):
    """One metric of a run, in order of step; `value` has None for NaN, `wall_time` is in seconds."""

    step: list[int]
    value: list[float | None]
    wall_time: list[float]

    @model_validator(mode="after")
    def _of_one_length(self) -> RecordedSeries:
        if not len(self.step) == len(self.value) == len(self.wall_time):
            raise ValueError("step, value and wall_time differ in length")
        return self


class RunRecord(_Line):
    """One line.

    Attributes:
        identity: Of the run when it was trained; `labels` as it was planned then. For people.
        manifest: Content of its canonical manifest, by which it is found.
        evaluations: Numbers of each evaluation by name.
        payloads: Of those evaluations that the reproduction names.
        seconds: That were spent on it.
        provenance: Of the store's record, without the command.
    """

    identity: str = Field(pattern="^[0-9a-f]{64}$")
    name: str
    seed: int
    labels: dict[str, str]
    manifest: dict[str, Any]
    evaluations: dict[str, dict[str, float]]
    payloads: dict[str, dict[str, Any]] = Field(default_factory=dict)
    metrics: dict[str, RecordedSeries]
    seconds: float | None
    provenance: dict[str, Any]


def read_records(path: Path) -> list[RunRecord]:
    """In the order of the file; none where there is no file yet.

    Raises:
        ConfigurationError: The file cannot be read, or a line is none that `keep_records` writes.
    """
    try:
        if not path.exists():
            return []
        text = read_limited(path, MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({why_not(error)}): choose another file") from error
    found: dict[str, RunRecord] = {}
    # By "\n" alone: JSON may hold other characters at which `splitlines` would cut.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            record = RunRecord.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigurationError(
                f"{path}:{number}: {where + ': ' if where else ''}{one_line(first['msg'])}; expected the record of a "
                "finished run: restore the line, or delete it"
            ) from error
        if record.identity in found:
            raise ConfigurationError(f"{path}:{number}: run {record.identity[:12]} is there twice: delete a line")
        found[record.identity] = record
    return list(found.values())


def records_of(planned: Sequence[PlannedRun], records: Sequence[RunRecord], registry: Registry) -> dict[str, RunRecord]:
    """By identity, the records of planned runs: the same training and the same evaluations. Settings that plugins have
    got since then have their defaults, and a plugin may be of another version: the record says of which."""
    wanted = {_plan(each).canonical: each.plan.identity for each in planned}
    found: dict[str, RunRecord] = {}
    for record in records:
        text = canonical_json(record.manifest)
        if text not in wanted:
            with suppress(ManifestError, PluginError):  # of settings or plugins that are no more
                text = RunPlan.from_canonical(text, registry, any_version=True).canonical
        if text in wanted:
            found.setdefault(wanted[text], record)
    return found


def _plan(planned: PlannedRun) -> RunPlan:
    """That of a planned run, which `planned_runs` has found to be a `RunPlan`."""
    return cast(RunPlan, planned.plan)


def adopt_records(store: Store, planned: Sequence[PlannedRun], records: Mapping[str, RunRecord]) -> list[str]:
    """File those planned runs as finished that have a record, and that the store has not begun.

    A run that another one waits for, which neither has, is left out: its policy is wanted, and records have none.

    Args:
        records: As `records_of` gives them.

    Returns:
        Ids of the runs that were filed now.
    """
    begun = {run.identity for run in store.runs() if not (run.status == "pending" and run.started_at is None)}
    there = begun.union(records)
    wanted = {other for each in planned if each.plan.identity not in there for other in each.after}
    return [
        _adopt(store, each, records[each.plan.identity])
        for each in planned
        if each.plan.identity in records and each.plan.identity not in begun | wanted
    ]


def _adopt(store: Store, planned: PlannedRun, record: RunRecord) -> str:
    """File a run with what its record has. It is finished last, so that after a kill it is filed again."""
    run_id = begin(_plan(planned), store, record.provenance)
    for name, series in record.metrics.items():
        values = [float("nan") if value is None else value for value in series.value]
        rows = zip(series.step, values, series.wall_time, strict=True)
        store.add_metrics(run_id, [(name, step, value, wall_time) for step, value, wall_time in rows])
    for name, numbers in record.evaluations.items():
        store.add_policy_evaluation(run_id, name, numbers, payload=record.payloads.get(name))
    store.add_event(run_id, "recorded", {"provenance": record.provenance})
    store.mark_run(run_id, "finished", spent=record.seconds)
    return run_id


def keep_records(
    path: Path, spec: ReproductionSpec, store: Store, planned: Sequence[PlannedRun], registry: Registry
) -> int:
    """Add those of the planned runs to the file that are finished and that it lacks. Lines that are there stay.

    Returns:
        How many lines were added.

    Raises:
        ConfigurationError: The file cannot be read or written.
    """
    records = read_records(path)
    known = records_of(planned, records, registry)
    added = [
        _record(spec, store, each, run) for each, run in finished(store, planned) if each.plan.identity not in known
    ]
    if added:
        text = "".join(f"{_line(record)}\n" for record in (*records, *added))
        try:
            write_whole(path, text.encode())
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written ({why_not(error)}): choose another file") from error
    return len(added)


def _line(record: RunRecord) -> str:
    return canonical_json(record.model_dump(exclude=None if record.payloads else {"payloads"}))


def _record(spec: ReproductionSpec, store: Store, planned: PlannedRun, run: Run) -> RunRecord:
    metrics = {}
    for name in spec.recorded or ():
        series = store.metrics(run.id, name)
        metrics[name] = RecordedSeries(
            step=series.step.tolist(),
            value=[None if value != value else value for value in series.value.tolist()],
            wall_time=series.wall_time.tolist(),
        )
    evaluations = store.policy_evaluations(run.id)
    return RunRecord(
        identity=run.identity,
        name=run.name,
        seed=run.seed,
        labels=dict(planned.labels),
        manifest=json.loads(run.manifest),
        evaluations={each.name: dict(each.values) for each in evaluations},
        payloads={
            each.name: dict(each.payload)
            for each in evaluations
            if each.name in spec.recorded_payloads and each.payload is not None
        },
        metrics=metrics,
        seconds=run.seconds,
        provenance={name: value for name, value in run.provenance.items() if name not in _UNTOLD},
    )
