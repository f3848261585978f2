"""Runs of an MLflow experiment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qecforge.machine.extras import missing_dependency
from qecforge.runs.listener import RunListener
from qecforge_tracking.config import MlflowConfig
from qecforge_tracking.numbers import RatesSoFar, code_numbers

if TYPE_CHECKING:
    from qecforge.evaluation import ErrorCounts, ErrorRateTask
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunOutcome
    from qecforge.store import CodeRecord

__all__ = ["MlflowListener"]

_STATUS = {"finished": "FINISHED", "skipped": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_LONGEST = 500
"""Characters that MLflow takes of a parameter, at least."""


class MlflowListener(RunListener):
    """A run of MLflow for each of ours, found again by its tag `qecforge.run` when that is resumed: settings as
    parameters, seed and identity as tags, metrics by step.

    Raises:
        MissingDependency: MLflow is not installed.
    """

    def __init__(self, config: MlflowConfig) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing_dependency("listener mlflow", "mlflow", "mlflow") from error
        self._client: Any = MlflowClient(tracking_uri=config.tracking_uri)
        found = self._client.get_experiment_by_name(config.experiment)
        self._experiment = found.experiment_id if found else self._client.create_experiment(config.experiment)
        self._runs: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._rates: dict[str, RatesSoFar] = {}

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """Begin a run, or take up that of an earlier attempt."""
        known = self._earlier(run_id) if resumed else None
        if known is None:
            tags = {"qecforge.run": run_id, "qecforge.identity": plan.identity, "qecforge.seed": str(plan.seed)}
            made = self._client.create_run(self._experiment, run_name=f"{plan.name} seed {plan.seed}", tags=tags)
            known = made.info.run_id
            for name, value in _parameters(json.loads(plan.canonical)):
                self._client.log_param(known, name, value[:_LONGEST])
        else:
            self._client.set_terminated(known, "RUNNING")
        self._runs[plan.identity] = known

    def on_extend(self, plan: RunPlan, run_id: str, evaluations: Sequence[str]) -> None:
        """Take up the run of the training, or begin one where MLflow has none."""
        self.on_start(plan, run_id, resumed=True)

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """A metric each, in one request."""
        self._steps[plan.identity] = step
        self._log(plan, [(name, float(value), step) for name, value in metrics.items()])

    def on_code(self, plan: RunPlan, record: CodeRecord) -> None:
        """Distance and gates, at the last step."""
        step = self._steps.get(plan.identity, 0)
        self._log(plan, [(name, value, step) for name, value in code_numbers(record)])

    def on_measure(self, plan: RunPlan, task: ErrorRateTask, counts: ErrorCounts) -> None:
        """The rate over all shots so far; its step is their number."""
        name, shots, rate = self._rates.setdefault(plan.identity, RatesSoFar()).add(task, counts)
        self._log(plan, [(name.replace("=", " "), rate, shots)])

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """End it as ours ended."""
        self._rates.pop(plan.identity, None)
        if (run := self._runs.pop(plan.identity, None)) is not None:
            if outcome.error:
                self._client.set_tag(run, "qecforge.error", outcome.error)
            self._client.set_terminated(run, _STATUS[outcome.status])

    def close(self) -> None:
        """End what is open: those runs were cut off."""
        for run in self._runs.values():
            self._client.set_terminated(run, "KILLED")
        self._runs = {}

    def _earlier(self, run_id: str) -> str | None:
        wanted = f"tags.`qecforge.run` = '{run_id}'"
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        return found[0].info.run_id if found else None

    def _log(self, plan: RunPlan, numbers: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name, value, now, step) for name, value, step in numbers]
        if entries:
            self._client.log_batch(self._runs[plan.identity], metrics=entries)


def _parameters(settings: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Settings of a canonical manifest, those of sections by dotted names, as texts."""
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from _parameters(value, f"{path}.{name}" if path else name)
    else:
        yield path, settings if isinstance(settings, str) else json.dumps(settings)
