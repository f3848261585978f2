"""Where runs execute: in this process, each in a process of its own on this machine, or as tasks of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qecforge.errors import Interrupted, StoreError
from qecforge.executors._base import Executor
from qecforge.executors._local import LocalExecutor
from qecforge.executors._process import ProcessExecutor
from qecforge.executors._ray.options import RayOptions
from qecforge.executors.listeners import LoggingListener, SeveralListeners
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
    "RayOptions",
    "make_executor",
    "run_manifest",
]


def run_manifest(
    manifest: Manifest,
    *,
    options: RunOptions | None = None,
    executor: str = DEFAULT_EXECUTOR,
    workers: int | None = None,
    executor_options: Mapping[str, Any] | None = None,
    listener: RunListener | None = None,
) -> list[RunOutcome]:
    """Carry out every run of a manifest.

    Finished runs are skipped, broken ones resumed. A run that fails does not stop the others.

    Args:
        manifest: Validated, with its plugins resolved.
        executor: One of `EXECUTORS`.
        workers: Runs at a time, for an executor that carries out several; None for one for each core, or for what a
            cluster has room for.
        executor_options: What else there is to choose of the executor: of `ray` the fields of `RayOptions`.
        listener: Told what happens.

    Returns:
        One outcome for each run, in the manifest's order.

    Raises:
        UserError: the store cannot be used, or a checkpoint is damaged; nothing is lost.
        Interrupted: cancelled by SIGINT or SIGTERM; the same call goes on.
    """
    from qecforge.store import Store

    options = replace(options or RunOptions(), checkpoint_seconds=manifest.checkpoint.every_seconds)
    if options.force and options.again == RunOptions.again:
        options = replace(options, again="the same call without `force`")
    chosen = make_executor(executor, workers, executor_options)
    with Store(options.store_url) as store:
        if store.in_memory:
            raise StoreError("`store_url`: a store in memory is gone with each run: name a file", parameter="store_url")
    plans = manifest.runs()
    outcomes = chosen.run(plans, options, SeveralListeners([LoggingListener(), listener or RunListener()]))
    stopped = sum(outcome.status == "interrupted" for outcome in outcomes)
    if stopped:
        raise Interrupted(f"{stopped} of {len(plans)} runs were interrupted; {options.again} continues them")
    return outcomes
