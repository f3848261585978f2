"""Manifests, listeners and records for the cases of executors."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qecforge.executors import Executor
from qecforge.manifest import RunPlan, load_manifest
from qecforge.registry import Registry
from qecforge.runs.listener import RunListener, RunOptions, RunOutcome
from qecforge.store import Store

__all__ = ["Told", "carry_out", "plans_of", "record_of", "slow_plans", "statuses", "url_of"]

_MANIFEST = """\
qecforge: 1
name: example
environment: {plugin: example_stroll}
agent: {plugin: example_stroller}
evaluation: {count: {episodes: 4}}
"""


def plans_of(registry: Registry, more: str = "", *, seeds: str = "[0]") -> list[RunPlan]:
    """The runs of the suite's manifest with these seeds and further sections or replaced lines."""
    replaced = {line.partition(":")[0] for line in more.splitlines()}
    kept = [line for line in _MANIFEST.splitlines() if line.partition(":")[0] not in replaced]
    return list(load_manifest("\n".join([*kept, f"seeds: {seeds}", more]), registry=registry).runs())


def slow_plans(registry: Registry, folder: Path, *, seeds: str) -> tuple[list[RunPlan], Path]:
    """Runs that take seconds as long as a file is there, and that file."""
    slow = folder / "slow"
    slow.touch()
    agent = f"agent: {{plugin: example_stroller, total_steps: 2000, slow_while: {json.dumps(str(slow))}}}\n"
    return plans_of(registry, agent, seeds=seeds), slow


def url_of(folder: Path, name: str = "results") -> str:
    """A store's address; the store is made."""
    url = f"sqlite:///{folder}/{name}.db"
    Store(url).close()
    return url


@dataclass
class Told(RunListener):
    """Remembers what it is told, and calls `at` in the thread that tells it.

    Attributes:
        at: `at(name, plan)` for each event that has a plan.
        events: Names with the plan's identity and the event's other arguments.
    """

    at: Callable[[str, RunPlan], None] = lambda _name, _plan: None
    events: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    processes: set[int] = field(default_factory=set)

    def _hear(self, name: str, plan: RunPlan, *arguments: Any) -> None:
        self.processes.add(os.getpid())
        self.events.append((name, plan.identity, arguments))
        self.at(name, plan)

    def on_start(self, plan: RunPlan, run_id: str, resumed: bool) -> None:
        """Remember."""
        self._hear("on_start", plan, run_id, resumed)

    def on_phase(self, plan: RunPlan, phase: Any) -> None:
        """Remember."""
        self._hear("on_phase", plan, phase)

    def on_progress(self, plan: RunPlan, step: int, total: int, metrics: Any) -> None:
        """Remember."""
        self._hear("on_progress", plan, step, total, dict(metrics))

    def on_code(self, plan: RunPlan, record: Any) -> None:
        """Remember."""
        self._hear("on_code", plan, record.id)

    def on_measure(self, plan: RunPlan, task: Any, counts: Any) -> None:
        """Remember."""
        self._hear("on_measure", plan, task.task_id, counts.shots)

    def on_evaluation(self, plan: RunPlan, name: str, done: int, total: int) -> None:
        """Remember."""
        self._hear("on_evaluation", plan, name, done, total)

    def on_end(self, plan: RunPlan, outcome: RunOutcome) -> None:
        """Remember."""
        self._hear("on_end", plan, outcome)

    def on_wait(self, plan: RunPlan, run_id: str) -> None:
        """Remember."""
        self._hear("on_wait", plan, run_id)

    def on_stop(self) -> None:
        """Remember."""
        self.stopped.set()

    def of(self, plan: RunPlan) -> list[tuple[str, tuple[Any, ...]]]:
        """What was told of this plan's run, in order."""
        return [(name, arguments) for name, identity, arguments in self.events if identity == plan.identity]


def carry_out(
    executor: Executor, plans: list[RunPlan], url: str, listener: RunListener | None = None, **options: Any
) -> list[RunOutcome]:
    """The outcomes of the runs in this store."""
    return executor.run(plans, RunOptions(url, **options), listener or RunListener())


def statuses(url: str) -> dict[str, str]:
    """Of each run in the store, by identity."""
    with Store(url, read_only=True) as store:
        return {run.identity: run.status for run in store.runs()}


def record_of(url: str) -> dict[str, Any]:
    """All that the store holds of its runs and that is promised to be the same: not times, not where they ran."""
    with Store(url, read_only=True) as store:
        return {run.identity: _record_of_run(store, run) for run in store.runs()}


def _record_of_run(store: Store, run: Any) -> dict[str, Any]:
    codes = store.codes(run=run.id, order_by="gate_count")
    series = [store.metrics(run.id, name) for name in store.metric_names(run.id) if not name.startswith("time/")]
    return {
        "row": {
            key: getattr(run, key)
            for key in (
                "id", "name", "seed", "status", "phase", "error", "environment", "reward", "agent", "quantizer",
                "manifest", "manifest_source", "sweep_point", "group",
            )
        },
        "metrics": {each.name: (each.step.tolist(), each.value.tolist()) for each in series},
        "codes": [(each.digest, each.distance, each.distance_kind, each.gate_count, each.encoder) for each in codes],
        "error_rates": sorted(
            (rate.task.task_id, rate.counts.shots, rate.counts.errors, rate.counts.discards)
            for code in codes
            for rate in store.error_rates(code.id)
        ),
        "artifacts": [(each.kind, each.name, each.sha256) for each in store.artifacts(run.id)],
        "evaluations": sorted(
            (each.name, sorted((key, value) for key, value in each.values.items() if "seconds" not in key))
            for each in store.policy_evaluations(run.id)
        ),
        "events": [each.kind for each in store.events(run.id)],
    }  # fmt: skip
