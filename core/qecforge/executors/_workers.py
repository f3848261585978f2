"""What runs inside a worker process, and what passes between it and its parent."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from qecforge.runs.listener import ForwardingListener, RunListener

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunOptions, RunOutcome

__all__ = ["begin_worker", "carry_out_one", "event_sender", "forward_events", "stop_workers"]


def forward_events(
    futures: list[Future[RunOutcome]],
    plans: Sequence[RunPlan],
    listener: RunListener,
    events: Any,
    stop: threading.Event,
    cancel: Any,
) -> None:
    """In the parent: hand the workers' events to the listener until every run has ended."""
    while True:
        ended = all(future.done() for future in futures)
        if stop.is_set() and not cancel.is_set():
            stop_workers(futures, cancel)
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


def stop_workers(futures: list[Future[RunOutcome]], cancel: Any) -> None:
    """In the parent: have runs that work save their state and end, and runs that wait never begin."""
    cancel.set()
    for future in futures:
        future.cancel()


_worker: dict[str, Any] = {}


def begin_worker(cancel: Any, events: Any, threads: int) -> None:
    """Once in each worker: what all its runs share."""
    # After an interruption nobody reads the events any more; a worker must not wait for that when it ends.
    events.cancel_join_thread()
    os.environ["NUMBA_NUM_THREADS"] = str(threads)
    _worker.update(cancel=cancel, events=events, threads=threads)


def carry_out_one(index: int, canonical: str, name: str, source_text: str, options: RunOptions) -> RunOutcome:
    """Carry out a run by its canonical manifest, which needs no pickling of plugins."""
    import torch

    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.runs.execute import execute

    torch.set_num_threads(_worker["threads"])
    plan = RunPlan.from_canonical(canonical, Registry.load(), name=name, source_text=source_text)
    listener = event_sender(index, plan.identity, _worker["events"])
    return execute(plan, options, listener, _worker["cancel"].is_set)


def event_sender(index: int, identity: str, events: Any) -> RunListener:
    """Sends what happens to the parent process, without the plan, which the parent has: the run's, or its teacher's."""

    def send(name: str, plan: RunPlan, *arguments: Any) -> None:
        events.put((index, plan.identity != identity, name, arguments))

    return ForwardingListener(send)
