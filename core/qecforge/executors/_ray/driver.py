"""The executor: begins runs as tasks, and begins those again whose worker is lost."""

from __future__ import annotations

import sys
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qecforge.errors import InfrastructureError, UserError, one_line
from qecforge.executors._base import Executor, Supervision, begun_elsewhere
from qecforge.executors._portable import PortablePlan
from qecforge.executors._ray.desk import Attempt, Desk
from qecforge.executors._ray.mailbox import open_mailbox
from qecforge.executors._ray.options import RayOptions, connected
from qecforge.executors._ray.worker import Errand, carry_out
from qecforge.machine.logs import log_level
from qecforge.machine.signals import GaveUp, stop_signals
from qecforge.runs.workspace import Workspace, local_workspace

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["RayExecutor"]

_LOOK_SECONDS = 0.5


class RayExecutor(Executor):
    """Runs as tasks of a Ray cluster; error-rate shots as further tasks.

    The caller is the driver. The store is its alone, and checkpoints lie beside it: nodes need the same packages, and
    nothing of its disk. Where a worker or a node is lost, the run goes on from its last checkpoint on another.

    Args:
        workers: Runs at a time; None for as many as the cluster has room for.
        options: The cluster, and what a run needs of it.
    """

    def __init__(self, workers: int | None = None, options: RayOptions | None = None) -> None:
        self.workers, self.options = workers, options or RayOptions()

    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """See `Executor.run`.

        Raises:
            MissingDependency: ray is not installed.
            ConfigurationError: the cluster is not there, or has no node with what a run needs.
        """
        if not plans:
            return []
        with (
            connected(self.options) as ray,
            local_workspace(options) as workspace,
            stop_signals(listener.on_stop) as stop,
        ):
            supervision = _Tasks(ray, plans, options, listener, workspace, self)
            try:
                supervision.carry_out(stop)
            except GaveUp:
                supervision.give_up()
            finally:
                supervision.close()
        return supervision.outcomes()


class _Tasks(Supervision):
    """The runs of one call, from their start to the end of their tasks."""

    working: list[Attempt]
    waits_last = True

    def __init__(
        self,
        ray: Any,
        plans: Sequence[RunPlan],
        options: RunOptions,
        listener: RunListener,
        workspace: Workspace,
        executor: RayExecutor,
    ) -> None:
        at_once = executor.workers or len(plans)
        super().__init__(plans, options, listener, at_once=at_once, opened=lambda _options: nullcontext(workspace))
        self._ray, self._workspace, self._asked = ray, workspace, executor.options
        self._desk = Desk(plans, workspace, listener)
        self._mailbox = open_mailbox(ray)
        self._losses: Counter[int] = Counter()
        self._restarted: set[int] = set()
        self._task = ray.remote(
            num_cpus=self._asked.num_cpus,
            num_gpus=self._asked.num_gpus,
            memory=self._asked.memory or None,
            max_retries=0,  # a task that is lost is begun again here, where its locks are known
            scheduling_strategy="SPREAD",
        )(carry_out)

    def carry_out(self, stop: threading.Event) -> None:
        """Until every run has ended; after a stop, until those that work have."""
        try:
            self._supervise(stop)
        except self._ray.exceptions.RayActorError as error:
            raise InfrastructureError(
                f"executor ray: the cluster is lost ({_first_line(error)}): {self.options.again} goes on from the last "
                "checkpoints"
            ) from error

    def _supervise(self, stop: threading.Event) -> None:
        told = False
        exchange = self._mailbox.exchange.remote([])
        while self.goes_on(stop):
            while not stop.is_set() and self.may_begin():
                self._begin()
            if stop.is_set() and not told:
                self._tell_to_stop()
                told = True
            watched = [exchange, *(attempt.reference for attempt in self.working)]
            ready, _ = self._ray.wait(watched, num_returns=len(watched), timeout=0)
            if not ready:
                ready, _ = self._ray.wait(watched, num_returns=1, timeout=_LOOK_SECONDS)
            if exchange in ready:
                exchange = self._mailbox.exchange.remote(self._desk.read(self._ray.get(exchange)))
            for attempt in [each for each in self.working if each.reference in ready]:
                self.working.remove(attempt)
                self._file_end(attempt, stop)

    def give_up(self) -> None:
        """End the tasks at once: the user does not wait for them."""
        for attempt in self.working:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(attempt.reference, force=True)
            self._desk.give_up(attempt)
            if attempt.worker is not None:
                self.file_lost(attempt.place, "its task was ended without saving its state", status="interrupted")
        self.working = []

    def close(self) -> None:
        """Where an error ended the supervision, end the tasks that are left."""
        for attempt in self.working:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(attempt.reference, force=True)
            self._desk.give_up(attempt)
        self.working = []
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._mailbox)

    def _begin(self) -> None:
        self._send(*self.next_run())

    def _begin_again(self, place: int) -> None:
        self._send(place, begun_elsewhere(self.options) if place in self._restarted else self.options, False)

    def _send(self, place: int, options: RunOptions, waits: bool) -> None:
        errand = Errand(
            uuid.uuid4().hex,
            PortablePlan.of(self.plans[place]),
            replace(options, store_url="the driver's"),
            waits,
            max(1, int(self._asked.num_cpus)),
            sys.argv,
            sys.path,
            log_level(),
        )
        attempt = Attempt(place, errand.token, self._task.remote(self._mailbox, errand))
        self._desk.listen_to(attempt)
        self.working.append(attempt)

    def _tell_to_stop(self) -> None:
        """Have runs that work save their state, and runs that wait for a node never begin."""
        self._mailbox.stop.remote()
        for attempt in [each for each in self.working if each.worker is None]:
            self._desk.give_up(attempt)
            self._ray.cancel(attempt.reference)
            self.working.remove(attempt)

    def _file_end(self, attempt: Attempt, stop: threading.Event) -> None:
        self._desk.give_up(attempt)
        if attempt.restarted:
            self._restarted.add(attempt.place)
        if attempt.ended is None:
            self._lose(attempt, stop)
        else:
            self.file_end(attempt.place, attempt.ended.kind, attempt.ended.content)

    def _lose(self, attempt: Attempt, stop: threading.Event) -> None:
        """Of a task that did not say how its run ended: begin it again, or file that it is lost."""
        exceptions = self._ray.exceptions
        try:
            self._ray.get(attempt.reference)
            why, again = "ended by itself", True
        except exceptions.RayTaskError as error:  # the task was there, and could not begin
            self.file_lost(attempt.place, f"its task failed with {one_line(error.cause or error, 300)}", str(error))
            return
        except (exceptions.RuntimeEnvSetupError, exceptions.TaskUnschedulableError) as error:
            why, again = f"could not be begun ({one_line(error, 300)})", False
        except exceptions.RayError as error:
            why, again = f"is lost ({_first_line(error)})", True
        why = f"its {attempt.worker or 'worker process'} {why}"
        self._losses[attempt.place] += 1
        if not again or self._losses[attempt.place] > self._asked.retries:
            self.file_lost(attempt.place, why)
        elif stop.is_set():
            self.file_lost(attempt.place, why, status="interrupted")
        else:
            plan = self.plans[attempt.place]
            with suppress(UserError):  # lost before the run was begun, there is none to say it of
                self._workspace.store.add_event(plan.identity, "lost", {"error": why, "traceback": None})
            self.listener.on_retry(plan, why)
            self._begin_again(attempt.place)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return one_line(lines[0] if lines else type(error).__name__, 200)
