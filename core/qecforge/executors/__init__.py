"""Where runs execute: in this process, or in a pool of processes on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qecforge.errors import ConfigurationError, Interrupted
from qecforge.executors._base import Executor, stop_signals
from qecforge.executors._local import LocalExecutor
from qecforge.executors._process import ProcessExecutor
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.store import Store

if TYPE_CHECKING:
    from qecforge.manifest import Manifest

__all__ = ["Executor", "LocalExecutor", "ProcessExecutor", "make_executor", "run_manifest", "stop_signals"]


def make_executor(name: str, workers: int | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: `process` or `local`.
        workers: Processes for `local`; None for one a core.

    Raises:
        ConfigurationError: unknown name, or workers below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers: got {workers}, expected 1 or more")
    if name == "process":
        return ProcessExecutor()
    if name == "local":
        return LocalExecutor(workers)
    raise ConfigurationError(f"executor: got {name!r}, expected 'process' or 'local'")


def run_manifest(
    manifest: Manifest,
    *,
    options: RunOptions | None = None,
    executor: str = "process",
    workers: int | None = None,
    listener: RunListener | None = None,
) -> list[RunOutcome]:
    """Carry out every run of a manifest.

    Finished runs are skipped, broken ones resumed. A run that fails does not stop the others.

    Args:
        manifest: Validated, with its plugins resolved.
        executor: `process` (here, one after the other) or `local` (a pool of processes).
        workers: Processes of the `local` executor; None for one a core.
        listener: Told what happens.

    Returns:
        One outcome for each run, in the manifest's order.

    Raises:
        UserError: the store cannot be used, or a checkpoint is damaged; nothing is lost.
        Interrupted: cancelled by SIGINT or SIGTERM; the state of every run is saved.
    """
    options = replace(options or RunOptions(), checkpoint_seconds=manifest.checkpoint.every_seconds)
    chosen = make_executor(executor, workers)
    Store(options.store_url).close()
    plans = manifest.runs()
    outcomes = chosen.run(plans, options, listener or RunListener())
    ended = sum(outcome.status != "interrupted" for outcome in outcomes)
    if ended < len(plans):
        raise Interrupted(f"{len(plans) - ended} of {len(plans)} runs did not end; their state is saved, run it again")
    return outcomes
