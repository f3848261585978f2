from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qecforge.executors._base import Executor, stop_signals
from qecforge.machine.cores import available_cores
from qecforge.machine.signals import children_deaf_to_sigint
from qecforge.runs.execute import execute
from qecforge.runs.listener import RunListener, RunOutcome

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunOptions

__all__ = ["LocalExecutor"]

EVENTS = ("on_start", "on_phase", "on_progress", "on_code", "on_measure", "on_evaluation", "on_end")


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
        with stop_signals() as stop, ProcessPoolExecutor(workers, context, _set_up, (cancel, events, share)) as pool:
            with children_deaf_to_sigint(), _inherited(OMP_NUM_THREADS=str(share)):
                futures = [
                    pool.submit(_work, index, plan.canonical, plan.name, plan.source_text, options)
                    for index, plan in enumerate(plans)
                ]
            try:
                _forward(futures, plans, listener, events, stop, cancel)
            finally:
                _stop(futures, cancel)
        return [future.result() for future in futures if not future.cancelled()]


def _forward(
    futures: list[Future[RunOutcome]],
    plans: Sequence[RunPlan],
    listener: RunListener,
    events: Any,
    stop: threading.Event,
    cancel: Any,
) -> None:
    """Hand the workers' events to the listener until every run has ended."""
    while True:
        ended = all(future.done() for future in futures)
        if stop.is_set() and not cancel.is_set():
            _stop(futures, cancel)
        try:
            index, of_teacher, name, arguments = events.get(timeout=0.2)
        except queue.Empty:
            if ended:
                return
            continue
        getattr(listener, name)(_teacher_of(plans[index]) if of_teacher else plans[index], *arguments)


def _teacher_of(plan: RunPlan) -> RunPlan:
    """The run that is carried out on the way to this one."""
    assert plan.quantization is not None
    assert not isinstance(plan.quantization.teacher, str)
    return plan.quantization.teacher


def _stop(futures: list[Future[RunOutcome]], cancel: Any) -> None:
    """Have runs that work save their state and end, and runs that wait never begin."""
    cancel.set()
    for future in futures:
        future.cancel()


_worker: dict[str, Any] = {}


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


def _set_up(cancel: Any, events: Any, threads: int) -> None:
    # After an interruption nobody reads the events any more; a worker must not wait for that when it ends.
    events.cancel_join_thread()
    os.environ["NUMBA_NUM_THREADS"] = str(threads)
    _worker.update(cancel=cancel, events=events, threads=threads)


def _work(index: int, canonical: str, name: str, source_text: str, options: RunOptions) -> RunOutcome:
    import torch

    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry

    torch.set_num_threads(_worker["threads"])
    plan = RunPlan.from_canonical(canonical, Registry.load(), name=name, source_text=source_text)
    return execute(plan, options, _Forwarder(index, plan.identity, _worker["events"]), _worker["cancel"].is_set)


class _Forwarder(RunListener):
    """Sends what happens to the parent process, without the plan, which the parent has: the run's, or its teacher's."""

    def __init__(self, index: int, identity: str, events: Any) -> None:
        for name in EVENTS:
            setattr(self, name, self._sender(index, identity, name, events))

    @staticmethod
    def _sender(index: int, identity: str, name: str, events: Any) -> Any:
        def send(plan: RunPlan, *arguments: Any) -> None:
            events.put((index, plan.identity != identity, name, arguments))

        return send
