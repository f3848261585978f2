"""What a run shows while it works: a bar on a terminal, with the readings of its views; one plain line now and then
elsewhere. Both go to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qecforge.cli._output import say
from qecforge.cli._readings import Readings
from qecforge.cli._render import parameters
from qecforge.errors import printable
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.machine.compilation import COMPILING
from qecforge.reporting.tables import duration, number
from qecforge.runs.listener import RunListener

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import Phase, RunOutcome
    from qecforge.store import CodeRecord

__all__ = ["LineProgress", "RunCount", "TerminalProgress", "show_progress"]

LINE_SECONDS = 10.0

_BARS: Mapping[Phase, str] = {
    "train": "training",
    "teacher": "training of its teacher",
    "fine_tune": "fine-tuning",
    "quantize": "quantization",
    "evaluate": "evaluation",
}
_LINES: Mapping[Phase, str] = {
    "fine_tune": "fine-tunes its student",
    "quantize": "turns its policy into integers",
}
"""What is said when a phase begins; the begin and end of a run frame the others."""


class RunCount:
    """Which of how many runs one is, in the order in which they begin.

    Args:
        plans: The runs that are counted; others, such as teachers that come on the way, are not.
    """

    def __init__(self, plans: Iterable[RunPlan] = ()) -> None:
        self._counted = {plan.identity for plan in plans}
        self._begun: dict[str, int] = {}

    def label(self, plan: RunPlan) -> str:
        """The run's name for people, behind `run 3 of 43` where there are several."""
        if plan.identity not in self._counted or len(self._counted) < 2:
            return label(plan)
        number = self._begun.setdefault(plan.identity, len(self._begun) + 1)
        return f"run {number} of {len(self._counted)}, {label(plan)}"


@contextmanager
def show_progress(count: RunCount | None = None, *, force: bool = False) -> Iterator[RunListener]:
    """The listener that fits stderr; the bars end with the block.

    Args:
        count: Says which of how many runs each is; it may go on over several blocks.
        force: Whether the command has the option --force.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield LineProgress(count=count, force=force)
        return
    from qecforge.cli._live import LiveProgress

    with LiveProgress(console) as progress:
        yield TerminalProgress(progress, count=count, force=force)


class _Announcer(RunListener):
    """What both listeners say in a line: starts, codes better than those before, ends."""

    def __init__(self, say: Callable[[str], None], count: RunCount | None, force: bool) -> None:
        self._say, self._counted = say, (count or RunCount()).label
        self._anew = " (--force runs it anew)" if force else ""
        self._compiles = False
        self._best: dict[str, tuple[int, int]] = {}
        self._begun: dict[str, float] = {}
        self._readings: dict[str, Readings] = {}

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """Say that the run begins."""
        self._begun[plan.identity] = time.monotonic()
        self._say(f"{self._counted(plan)}: run {run_id} {'continues from its checkpoint' if resumed else 'starts'}")

    def on_compile(self, plan: RunPlan) -> None:
        """Say so, of the first run that compiles."""
        if not self._compiles:
            self._compiles = True
            self._say(f"{label(plan)}: {COMPILING}")

    def on_extend(self, plan: RunPlan, run_id: str, evaluations: Sequence[str]) -> None:
        """Say that the run is finished, and what is added."""
        self._begun[plan.identity] = time.monotonic()
        self._say(f"{self._counted(plan)}: run {run_id} is finished; evaluates {', '.join(evaluations)}")

    def on_phase(self, plan: RunPlan, phase: Phase) -> None:
        """Say so of the phases that a quantizer brings, and which evaluations of the environment's follow."""
        if phase in _LINES:
            self._say(f"{self._counted(plan)}: {_LINES[phase]}")
        if phase == "evaluate" and plan.evaluation.others:
            self._say(f"{label(plan)}: evaluates {', '.join(spec.name for spec, _ in plan.evaluation.others)}")

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """Say so where the code has a greater distance, or fewer gates, than all that this run found before."""
        gates = record.gate_count if record.gate_count is not None else 0
        rank = (-record.distance, gates)
        if rank >= self._best.get(plan.identity, (1, 0)):
            return
        self._best[plan.identity] = rank
        after = time.monotonic() - self._begun.get(plan.identity, time.monotonic())
        self._say(f"{label(plan)}: found {parameters(record)} with {gates} gates after {duration(after)}")

    def on_retry(self, plan: RunPlan, reason: str) -> None:
        """Say that the run goes on elsewhere."""
        self._say(f"{label(plan)}: {reason}; the run goes on elsewhere from its last checkpoint")

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """Say how the run ended, with its last readings."""
        readings = self._readings.pop(plan.identity, None)
        last = readings.words() if readings is not None else ""
        words = {
            "finished": f"finished in {duration(outcome.seconds)}{f', {last}' if last else ''}",
            "skipped": f"was finished before; nothing to do{self._anew}",
            "failed": f"failed: {outcome.error}",
            "interrupted": f"interrupted: {outcome.error}",
        }
        self._say(f"{self._counted(plan)}: {words[outcome.status]}")

    def on_wait(self, plan: RunPlan, run_id: str) -> None:
        """Say that another process has the run."""
        self._say(f"{label(plan)}: another process carries out run {run_id}; waiting for its end")

    def on_stop(self) -> None:
        """Say at once that the signal has come."""
        self._say("stopping: each run saves its state at its next step (a third Ctrl-C ends them without saving)")

    def _read(self, plan: RunPlan, metrics: Mapping[str, float]) -> Readings:
        """The run's readings, those of this report among them. A view that fails is named, once."""
        if plan.identity not in self._readings:
            self._readings[plan.identity] = Readings(plan)
        readings = self._readings[plan.identity]
        for line in readings.add(metrics):
            self._say(f"{label(plan)}: {line}")
        return readings


class LineProgress(_Announcer):
    """Plain lines, progress at most every `seconds`.

    Args:
        say: Takes each line.
        seconds: Least time between two lines of progress of one run.
        clock: Monotonic seconds.
        count: Says which of how many runs each is.
        force: Whether the command has the option --force.
    """

    def __init__(
        self,
        say: Callable[[str], None] = say,
        *,
        seconds: float = LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        count: RunCount | None = None,
        force: bool = False,
    ) -> None:
        super().__init__(say, count, force)
        self._seconds, self._clock = seconds, clock
        self._last: dict[str, float] = {}
        self._shots: dict[str, int] = {}

    def on_phase(self, plan: RunPlan, phase: Phase) -> None:
        """The first line of progress of a phase is due `seconds` after its begin."""
        super().on_phase(plan, phase)
        self._last[plan.identity] = self._clock()

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """One line, if it is due."""
        readings = self._read(plan, metrics)
        if self._due(plan):
            words = readings.words()
            self._say(f"{self._counted(plan)}: {step:,} of {total:,} {readings.unit}{f', {words}' if words else ''}")

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """One line, if it is due."""
        self._shots[plan.identity] = self._shots.get(plan.identity, 0) + counts.shots
        if self._due(plan):
            self._say(
                f"{self._counted(plan)}: evaluates {LOGICAL_ERROR_RATE.name}, p = {number(task.p)}, "
                f"{self._shots[plan.identity]:,} shots"
            )

    def on_evaluation(self, plan: RunPlan, name: str, done: int, total: int) -> None:
        """One line, if it is due."""
        if self._due(plan):
            words = f", {done:,} of {total:,} ({done / max(total, 1):.0%})" if done else ""
            self._say(f"{self._counted(plan)}: evaluates {name}{words}")

    def _due(self, plan: RunPlan) -> bool:
        now = self._clock()
        due = now - self._last.setdefault(plan.identity, now) >= self._seconds
        if due:
            self._last[plan.identity] = now
        return due


class TerminalProgress(_Announcer):
    """A bar for each run that works, with the name of what it does."""

    def __init__(self, progress: Progress, *, count: RunCount | None = None, force: bool = False) -> None:
        super().__init__(lambda line: progress.console.print(printable(line), markup=False), count, force)
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._does: dict[str, str] = {}
        self._points: dict[str, set[str]] = {}
        self._shots: dict[str, int] = {}

    def on_phase(self, plan: RunPlan, phase: Phase) -> None:
        """A fresh bar for the phase."""
        super().on_phase(plan, phase)
        self._begin(plan, _BARS[phase])

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Move the bar."""
        readings = self._read(plan, metrics)
        self._update(plan, completed=step, total=total, note=readings.words(), readings=readings)

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """Count the values of p that are done, the one in work left out."""
        points = self._points.setdefault(plan.identity, set())
        points.add(task.task_id)
        shots = self._shots[plan.identity] = self._shots.get(plan.identity, 0) + counts.shots
        words = f"p = {number(task.p)}, {shots:,} shots"
        self._begin(plan, LOGICAL_ERROR_RATE.name)
        self._update(plan, completed=len(points) - 1, total=planned_points(plan), note=words)

    def on_evaluation(self, plan: RunPlan, name: str, done: int, total: int) -> None:
        """Move the evaluation's bar; one that has told nothing yet has no percentage."""
        self._begin(plan, name)
        if done:
            self._update(plan, completed=done, total=total)

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """Take the bar away and say how the run ended."""
        self._drop(plan)
        super().on_end(plan, outcome)

    def _begin(self, plan: RunPlan, what: str) -> None:
        """A fresh bar, unless the run has the one of what it does already."""
        if self._does.get(plan.identity) == what:
            return
        self._drop(plan)
        bar = self._progress.add_task(f"{self._counted(plan)}: {what}", total=None, note="")
        self._bars[plan.identity], self._does[plan.identity] = bar, what

    def _update(self, plan: RunPlan, **changes: Any) -> None:
        bar = self._bars.get(plan.identity)
        if bar is not None:
            self._progress.update(bar, **changes)

    def _drop(self, plan: RunPlan) -> None:
        bar = self._bars.pop(plan.identity, None)
        self._does.pop(plan.identity, None)
        if bar is not None:
            self._progress.remove_task(bar)


def label(plan: RunPlan) -> str:
    """A run's name for people: the manifest's, its seed, its place in the sweep."""
    point = "".join(f" {path.rsplit('.', 1)[-1]}={value}" for path, value in plan.sweep_point.items())
    return printable(f"{plan.name} seed {plan.seed}{point}", keep="")


def planned_points(plan: RunPlan) -> int | None:
    """How many values of p are measured; None where that depends on how many codes there are."""
    config = plan.evaluation.of(LOGICAL_ERROR_RATE)
    if config is None or config.max_codes is None:
        return None
    return len(config.strengths) * config.max_codes
