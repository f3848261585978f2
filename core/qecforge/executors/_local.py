from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from qecforge.executors._base import Executor, stop_signals
from qecforge.executors._workers import begin_worker, carry_out_one, forward_events, stop_workers
from qecforge.machine.cores import available_cores
from qecforge.machine.signals import children_deaf_to_sigint

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["LocalExecutor"]


class LocalExecutor(Executor):
    """A pool of processes; each opens the store itself and writes in short transactions.

    Args:
        workers: Processes; None for one a core. Numerical libraries get an equal share of the cores in each.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or available_cores()

    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """See `Executor.run`."""
        if not plans:
            return []
        workers = min(self.workers, len(plans))
        share = max(1, available_cores() // workers)
        options = replace(options, workers=options.workers or share)
        context = multiprocessing.get_context("spawn")
        cancel, events = context.Event(), context.Queue()
        shared = (cancel, events, share)
        with stop_signals() as stop, ProcessPoolExecutor(workers, context, begin_worker, shared) as pool:
            with children_deaf_to_sigint(), _inherited(OMP_NUM_THREADS=str(share)):
                futures = [
                    pool.submit(carry_out_one, index, plan.canonical, plan.name, plan.source_text, options)
                    for index, plan in enumerate(plans)
                ]
            try:
                forward_events(futures, plans, listener, events, stop, cancel)
            finally:
                stop_workers(futures, cancel)
        return [future.result() for future in futures if not future.cancelled()]


@contextmanager
def _inherited(**variables: str) -> Iterator[None]:
    """Environment variables for the processes that are started meanwhile: numpy's linear algebra reads its number of
    threads when it is loaded, which a worker does before it does anything of ours."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
