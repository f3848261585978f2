"""Contexts in memory, for tests of agents and of evaluations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qecforge.codes import DiscoveredCode
from qecforge.errors import ConfigurationError, Interrupted
from qecforge.learning.generators import seed_for
from qecforge.runs.checkpoints import load_checkpoint, save_checkpoint

__all__ = ["Advance", "RecordingContext", "RecordingEvaluation", "through_checkpoint"]


@dataclass(frozen=True)
class Advance:
    """One call of `TrainingContext.advance`."""

    step: int
    total: int
    metrics: dict[str, float]


def through_checkpoint(state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` as it comes back from a checkpoint file: written and read by the core's own functions.

    Raises:
        TypeError: The state holds what a checkpoint cannot.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.ckpt"
        save_checkpoint(path, state)
        return load_checkpoint(path)


class RecordingContext:
    """A `TrainingContext` that remembers instead of filing.

    Args:
        env: The environment that the agent trains on, of arrays or of text; its discoveries are taken, its state goes
            into checkpoints.
        seed: What the agent is seeded with.
        checkpoint: `RecordingContext.checkpoint` of an interrupted context: `env` is restored from it here, and the
            agent is shown its own part.
        stop_after: The n-th `advance` returns False, as if the run's budget were spent; None: at the total only.
        interrupt_after: The n-th `advance` saves a checkpoint and raises `Interrupted`; None: never.
        make: `make(num_envs, seed)` -> an environment like `env`, for agents that ask for more; None: there are none.
        begins_anew: `env`, restored, begins new episodes, as where one of the two specs says `between_episodes`.

    Attributes:
        advances: What was reported, in order.
        discoveries: What the environment found, oldest first.
        checkpoint: Agent and environment at the last `advance` that ended the training, read back from a file; None
            while it goes on.
        begun: See `qecforge.contracts.agent.TrainingContext.begun`.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        checkpoint: Mapping[str, Any] | None = None,
        stop_after: int | None = None,
        interrupt_after: int | None = None,
        make: Callable[[int, int], Any] | None = None,
        begins_anew: bool = False,
    ) -> None:
        self.env = env
        self.seed = seed
        self.stop_after = stop_after
        self.interrupt_after = interrupt_after
        self.advances: list[Advance] = []
        self.discoveries: list[DiscoveredCode] = []
        self.checkpoint: dict[str, Any] | None = None
        self.begun: tuple[Any, dict[str, Any]] | None = None
        self._make, self._made, self._tests = make, ExitStack(), list[Any]()
        self._restored: Mapping[str, Any] | None = None
        if checkpoint is not None:
            env.load_state_dict(checkpoint["environment"])
            self._restored = checkpoint["agent"]
            if begins_anew:
                self.begun = env.reset(seed=seed_for(seed, "new episodes"))

    @property
    def restored(self) -> Mapping[str, Any] | None:
        """The agent's part of the checkpoint, or None at a fresh start."""
        return self._restored

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Every metric's values in the order of their steps."""
        series: dict[str, list[float]] = {}
        for advance in self.advances:
            for name, value in advance.metrics.items():
                series.setdefault(name, []).append(value)
        return series

    def make_environment(self, purpose: str, num_envs: int | None = None) -> Any:
        """See `qecforge.contracts.agent.TrainingContext.make_environment`; closed by `close`.

        Raises:
            ConfigurationError: The context was given no `make`.
        """
        if self._make is None:
            raise ConfigurationError(
                f"RecordingContext: an environment for {purpose} was asked for and there is no `make`: give one"
            )
        made = self._make(num_envs or self.env.num_envs, seed_for(self.seed, purpose))
        self._made.callback(made.close)
        self._tests.append(made)
        self._share_fitted()
        return made

    def _share_fitted(self) -> None:
        if fitted := self.env.fitted_state():
            for each in self._tests:
                each.load_fitted_state(fitted)

    def close(self) -> None:
        """Close the environments that were made."""
        self._made.close()

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        """See `qecforge.contracts.agent.TrainingContext.advance`."""
        self.advances.append(Advance(step, total, dict(metrics)))
        self.discoveries.extend(self.env.take_discoveries())
        self._share_fitted()
        calls = len(self.advances)
        interrupted = self.interrupt_after is not None and calls >= self.interrupt_after
        goes_on = step < total and not (self.stop_after is not None and calls >= self.stop_after)
        if interrupted or not goes_on:
            self.checkpoint = through_checkpoint({"environment": self.env.state_dict(), "agent": state()})
        if interrupted:
            raise Interrupted(f"stopped on purpose at step {step}")
        return goes_on


class RecordingEvaluation:
    """An `EvaluationContext` that remembers instead of filing.

    Args:
        seed: What the evaluation is seeded with.
        cancel_after: The run is cancelled after this many records or reports; None: never.

    Attributes:
        series: Values by step of each metric. As in a store, a step that a series has already is passed over.
        payloads: Content, read back from JSON, and values of each payload, by name.
        artifacts: Bytes by name.
        reports: (done, total) of each call of `progress`.
        calls: How often something was filed or reported.
    """

    def __init__(self, seed: int = 0, *, cancel_after: int | None = None) -> None:
        self.seed, self.cancel_after = seed, cancel_after
        self.series: dict[str, dict[int, float]] = {}
        self.payloads: dict[str, tuple[dict[str, Any], dict[str, float]]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.reports: list[tuple[int, int]] = []
        self.calls = 0

    def record(self, metric: str, step: int, value: float) -> None:
        """See `qecforge.contracts.evaluation.EvaluationContext.record`."""
        self.series.setdefault(metric, {}).setdefault(int(step), float(value))
        self._count()

    def payload(self, name: str, content: Mapping[str, Any], *, values: Mapping[str, float] | None = None) -> None:
        """See `qecforge.contracts.evaluation.EvaluationContext.payload`."""
        try:
            kept = json.loads(json.dumps([dict(content), dict(values or {})], allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"payload {name}: cannot be kept as JSON ({error})") from error
        self.payloads[name] = (kept[0], kept[1])
        self._count()

    def artifact(self, name: str, content: bytes) -> None:
        """See `qecforge.contracts.evaluation.EvaluationContext.artifact`."""
        self.artifacts[name] = bytes(content)
        self._count()

    def progress(self, done: int, total: int) -> None:
        """See `qecforge.contracts.evaluation.EvaluationContext.progress`."""
        self.reports.append((done, total))
        self._count()

    def cancelled(self) -> bool:
        """Whether the run is cancelled by now."""
        return self.cancel_after is not None and self.calls >= self.cancel_after

    def _count(self) -> None:
        self.calls += 1
        if self.cancelled():
            raise Interrupted(f"stopped on purpose after {self.calls} calls")
