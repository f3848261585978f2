"""Evaluations in the store: each is a run, with its completions and its report as files.

The run's numbers are a policy evaluation named `qiskit_tasks`, so `Store.compare(runs, "pass@1")` and
`Store.policy_evaluations` find them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qecforge.errors import Interrupted, QecforgeError, StoreError, one_line
from qecforge.machine.provenance import provenance
from qecforge.runs.lock import RunLocks, alone
from qecforge.store import Run, Store
from qecforge_qiskit_tasks.evaluation.journal import Journal, as_samples
from qecforge_qiskit_tasks.evaluation.report import Report, parse_report
from qecforge_qiskit_tasks.evaluation.tables import to_markdown_report

__all__ = ["EVALUATION", "KIND", "begin_evaluation", "file_report", "opened_journal", "report_of_run"]

KIND = "evaluation"
"""Of the artifacts: `completions.jsonl`, `report.json`, `report.md`."""
EVALUATION = "qiskit_tasks"
"""Name of the environment, and of the policy evaluation."""
AGENT = "evaluated_model"
"""Stands where other runs have the agent that was trained."""
COMPLETIONS, REPORT, MARKDOWN = "completions.jsonl", "report.json", "report.md"


def begin_evaluation(store: Store, identity: Mapping[str, Any], *, anew: bool = False) -> Run:
    """The run of an evaluation; the same one again for the same identity.

    Args:
        identity: As `Plan.identity` gives.
        anew: Forget what the store has of it.
    """
    manifest = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    model = identity["model"]
    run = store.begin_run(
        hashlib.sha256(manifest.encode()).hexdigest(),
        name=one_line(f"{identity['tasks']['name']} by {model.get('name') or model['kind']}", 200),
        seed=identity["seed"],
        manifest=manifest,
        manifest_source=json.dumps(identity, indent=1, sort_keys=True),
        environment=EVALUATION,
        reward=None,
        agent=AGENT,
        provenance=provenance(),
    )
    if anew:
        shutil.rmtree(_folder(store, run), ignore_errors=True)
        run = store.restart_run(run.id)
    return run


@contextmanager
def opened_journal(store: Store, run: Run) -> Iterator[Journal]:
    """The completions of an evaluation, in a file beside the store until it is filed. One process at a time has it; an
    error inside the block leaves the run interrupted, to go on later.

    Raises:
        RunBusy: another process evaluates the same.
    """
    with RunLocks(store) as locks, alone(locks, run.id, lambda: False):
        before = _filed(store, run).get(COMPLETIONS, b"")
        with Journal(_folder(store, run) / COMPLETIONS, before) as journal:
            try:
                yield journal
            except BaseException as error:
                told = error if isinstance(error, QecforgeError) else Interrupted("interrupted")
                store.mark_run(run.id, "interrupted", error=one_line(told, 500))
                raise
        shutil.rmtree(_folder(store, run), ignore_errors=True)


def file_report(store: Store, run: Run, journal: Journal, report: Report) -> None:
    """Keep what was found. Nothing is written where the store has it already."""
    files = {
        COMPLETIONS: as_samples(journal.completions),
        REPORT: report.to_json().encode(),
        MARKDOWN: to_markdown_report(report).encode(),
    }
    if store.run(run.id).status == "finished" and _hashes(store, run) == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }:
        return
    store.add_artifacts(run.id, KIND, files)
    store.add_policy_evaluation(run.id, EVALUATION, numbers(report))
    store.mark_run(run.id, "finished")


def numbers(report: Report) -> dict[str, float]:
    """What stands for all tasks: `pass@1`, `pass@1_low`, `pass@1_high`; with `in_process_` before where a program can
    forge it, and `_after_2` behind where a second attempt counts."""
    found: dict[str, float] = {}
    for figure in report.figures:
        if figure.group == "all":
            name = f"{'in_process_' if figure.tests == 'in_process' else ''}pass@{figure.k}"
            name += f"_after_{figure.attempts}" if figure.attempts > 1 else ""
            found |= {name: figure.estimate, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return found


def report_of_run(store: Store, run_id: str) -> Report:
    """The report of a filed evaluation. Raises `StoreError` where the run has none."""
    run = store.run(run_id)
    content = _filed(store, run).get(REPORT)
    if content is None:
        raise StoreError(f"run {run.id} ({run.status}): has no report of an evaluation: evaluate it to the end")
    return parse_report(f"run {run.id}", content)


def _filed(store: Store, run: Run) -> dict[str, bytes]:
    return {each.name: store.read_artifact(each) for each in store.artifacts(run.id, kind=KIND)}


def _hashes(store: Store, run: Run) -> dict[str, str]:
    return {each.name: each.sha256 for each in store.artifacts(run.id, kind=KIND)}


def _folder(store: Store, run: Run) -> Path:
    return store.directory / "evaluations" / run.id
