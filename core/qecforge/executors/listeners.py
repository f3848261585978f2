"""Listeners beside the one that shows progress: those that plugins bring, and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from qecforge.contracts.refusals import refusal
from qecforge.errors import ConfigurationError, UserError, one_line
from qecforge.runs.listener import ForwardingListener, RunListener

if TYPE_CHECKING:
    from qecforge.evaluation import ErrorCounts, ErrorRateTask
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.runs.listener import Phase, RunOutcome
    from qecforge.store import CodeRecord

__all__ = ["LoggingListener", "SeveralListeners", "make_listener", "opened_listeners"]

logger = logging.getLogger(__name__)


class SeveralListeners(ForwardingListener):
    """Hands all that it is told to each of several listeners, in their order."""

    def __init__(self, listeners: Sequence[RunListener]) -> None:
        def send(name: str, *arguments: Any) -> None:
            for each in listeners:
                getattr(each, name)(*arguments)

        super().__init__(send)


class LoggingListener(RunListener):
    """Writes what happens into the log of `qecforge.executors.listeners`."""

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """At INFO."""
        what = "continues" if resumed else "starts"
        logger.info("run %s (%s seed %d) %s, identity %s", run_id, plan.name, plan.seed, what, plan.identity)

    def on_extend(self, plan: RunPlan, run_id: str, evaluations: Sequence[str]) -> None:
        """At INFO."""
        logger.info(
            "run %s (%s seed %d) is evaluated further: %s", run_id, plan.name, plan.seed, ", ".join(evaluations)
        )

    def on_phase(self, plan: RunPlan, phase: Phase) -> None:
        """At INFO."""
        logger.info("%s seed %d: phase %s", plan.name, plan.seed, phase)

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """At DEBUG, with all metrics."""
        logger.debug("%s seed %d: step %d of %d %s", plan.name, plan.seed, step, total, dict(metrics))

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """At INFO."""
        logger.info(
            "%s seed %d: code %s, [[%d,%d,%d]] (%s)",
            *(plan.name, plan.seed, record.id, record.code.n, record.code.k, record.distance, record.distance_kind),
        )

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """At DEBUG."""
        logger.debug("%s seed %d: p=%g, %d of %d shots", plan.name, plan.seed, task.p, counts.errors, counts.shots)

    def on_evaluation(self, plan: RunPlan, name: str, done: int, total: int) -> None:
        """At DEBUG."""
        logger.debug("%s seed %d: evaluation %s, %d of %d", plan.name, plan.seed, name, done, total)

    def on_retry(self, plan: RunPlan, reason: str) -> None:
        """At WARNING."""
        logger.warning("%s seed %d goes on in another process: %s", plan.name, plan.seed, reason)

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """At INFO; at ERROR where the run failed."""
        level = logging.ERROR if outcome.status == "failed" else logging.INFO
        because = f": {outcome.error}" if outcome.error else ""
        logger.log(level, "run %s %s after %.1f s%s", outcome.run_id, outcome.status, outcome.seconds, because)


def make_listener(wanted: str, registry: Registry) -> RunListener:
    """The listener that a text asks for: `NAME`, or `NAME:FIELD=VALUE,FIELD=VALUE` with fields of its configuration.

    Raises:
        PluginError: there is none of this name, or its plugin failed to make it.
        ConfigurationError: a field that it does not have, or a value that the field does not take.
        MissingDependency: a package that it needs is not installed.
    """
    name, _, rest = wanted.partition(":")
    spec = registry.listener(name).spec
    pairs = [part.partition("=") for part in rest.split(",")] if rest else []
    if any(not equals for _, equals, _ in pairs):
        raise ConfigurationError(
            f"`listeners`: got {wanted!r}, expected NAME or NAME:FIELD=VALUE,FIELD=VALUE", parameter="listeners"
        )
    try:
        config = spec.config.model_validate_strings({field.strip(): value for field, _, value in pairs})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        raise ConfigurationError(
            f"`listeners`: {name} {place}: {refusal(first)}; see `qecforge plugins show {name}`",
            parameter="listeners",
        ) from error
    made: RunListener = spec.make(config)
    return made


@contextmanager
def opened_listeners(
    wanted: Sequence[str], registry: Registry, complain: Callable[[str], None]
) -> Iterator[list[RunListener]]:
    """The listeners asked for, closed at the end.

    One that raises is told nothing more, and the runs go on: what they compute is worth more than who is told of it.

    Args:
        wanted: As `make_listener` takes them.
        complain: Given one line where a listener failed.

    Raises:
        UserError: as `make_listener`.
    """
    with ExitStack() as opened:
        guarded = []
        for text in wanted:
            each = _Guarded(text.partition(":")[0], make_listener(text, registry), complain)
            opened.callback(each.close)
            guarded.append(each)
        yield list(guarded)


class _Guarded(ForwardingListener):
    """Hands on to a listener until that fails."""

    def __init__(self, name: str, listener: RunListener, complain: Callable[[str], None]) -> None:
        super().__init__(self._call)
        self._name, self._listener, self._complain, self._works = name, listener, complain, True

    def close(self) -> None:
        """Close it, whether it failed or not."""
        self._works = True
        self._call("close")

    def _call(self, event: str, *arguments: Any) -> None:
        if not self._works:
            return
        try:
            getattr(self._listener, event)(*arguments)
        except Exception as error:
            self._works = False
            logger.warning("listener %s failed in %s", self._name, event, exc_info=error)
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            self._complain(f"listener {self._name} failed in {event} and is told nothing more: {kind}{one_line(error)}")
