"""Where runs execute: in this process, or in a pool of processes on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qecforge.errors import Interrupted, StoreError
from qecforge.executors._base import Executor, stop_signals
from qecforge.executors._local import LocalExecutor
from qecforge.executors._process import ProcessExecutor
from qecforge.executors.table import DEFAULT_EXECUTOR, EXECUTORS, make_executor
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

if TYPE_CHECKING:
    from qecforge.manifest import Manifest

__all__ = [
    "DEFAULT_EXECUTOR",
    "EXECUTORS",
    "Executor",
    "LocalExecutor",
    "ProcessExecutor",
    "make_executor",
    "run_manifest",
    "stop_signals",
]


def run_manifest(
    manifest: Manifest,
    *,
    options: RunOptions | None = None,
    executor: str = DEFAULT_EXECUTOR,
    workers: int | None = None,
    listener: RunListener | None = None,
) -> list[RunOutcome]:
    """Carry out every run of a manifest.

    Finished runs are skipped, broken ones resumed. A run that fails does not stop the others.

    Args:
        manifest: Validated, with its plugins resolved.
        executor: One of `EXECUTORS`.
        workers: Processes of an executor that has a pool; None for one a core.
        listener: Told what happens.

    Returns:
        One outcome for each run, in the manifest's order.

    Raises:
        UserError: the store cannot be used, or a checkpoint is damaged; nothing is lost.
        Interrupted: cancelled by SIGINT or SIGTERM; the state of every run is saved.
    """
    from qecforge.store import Store

    options = replace(options or RunOptions(), checkpoint_seconds=manifest.checkpoint.every_seconds)
    chosen = make_executor(executor, workers)
    with Store(options.store_url) as store:
        if store.in_memory:
            raise StoreError("`store_url`: a store in memory is gone with each run: name a file", parameter="store_url")
    plans = manifest.runs()
    outcomes = chosen.run(plans, options, listener or RunListener())
    ended = sum(outcome.status != "interrupted" for outcome in outcomes)
    if ended < len(plans):
        raise Interrupted(f"{len(plans) - ended} of {len(plans)} runs did not end; their state is saved, run it again")
    return outcomes
