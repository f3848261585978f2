"""Event files for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.machine.extras import missing_dependency
from qecforge.runs.listener import RunListener
from qecforge_tracking.config import TensorBoardConfig
from qecforge_tracking.numbers import RatesSoFar, code_numbers

if TYPE_CHECKING:
    from qecforge.evaluation import ErrorCounts, ErrorRateTask
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunOutcome
    from qecforge.store import CodeRecord

__all__ = ["TensorBoardListener"]


class TensorBoardListener(RunListener):
    """A folder of event files for each run, `NAME-RUN`; a run that is resumed goes on in it, and what lies behind its
    checkpoint is hidden (`purge_step`).

    Raises:
        MissingDependency: TensorBoard is not installed.
    """

    def __init__(self, config: TensorBoardConfig) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing_dependency("listener tensorboard", "tensorboard", "tensorboard") from error
        self._make_writer: Any = SummaryWriter
        self._directory = Path(config.directory)
        self._folders: dict[str, tuple[Path, bool]] = {}
        self._writers: dict[str, Any] = {}
        self._steps: dict[str, int] = {}
        self._rates: dict[str, RatesSoFar] = {}

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """Name the folder; it is made with the first number, whose step says from where a resumed run goes on."""
        self._folders[plan.identity] = self._directory / f"{plan.name}-{run_id}", resumed

    def on_extend(self, plan: RunPlan, run_id: str, evaluations: Sequence[str]) -> None:
        """Go on in the folder of the finished run."""
        self.on_start(plan, run_id, resumed=False)

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """A scalar for each metric."""
        # Agents may report the step of the checkpoint once more, with its metrics or without.
        writer = self._writer(plan, step if metrics else step + 1)
        self._steps[plan.identity] = step
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """Distance and gates, at the last step."""
        step = self._steps.get(plan.identity, 0)
        for name, value in code_numbers(record):
            self._writer(plan).add_scalar(name, value, step)

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """The rate over all shots so far; its step is their number."""
        name, shots, rate = self._rates.setdefault(plan.identity, RatesSoFar()).add(task, counts)
        self._writer(plan).add_scalar(name, rate, shots)

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """Close the run's files."""
        self._rates.pop(plan.identity, None)
        if (writer := self._writers.pop(plan.identity, None)) is not None:
            writer.close()

    def close(self) -> None:
        """Close what is open."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, plan: RunPlan, step: int | None = None) -> Any:
        """That of the run. Where training is resumed, `step` is the first that is not to be seen from before."""
        if plan.identity not in self._writers:
            folder, resumed = self._folders[plan.identity]
            purge = step if resumed else None
            self._writers[plan.identity] = self._make_writer(str(folder), purge_step=purge)
        return self._writers[plan.identity]
