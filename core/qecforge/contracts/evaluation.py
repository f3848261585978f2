"""What the core gives to an evaluation that a plugin brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["EvaluationContext"]


class EvaluationContext(Protocol):
    """Seed, log, files, progress and cancellation of one evaluation of one run.

    An evaluation is

        def evaluate(env, policy, config, context):
            rng = np.random.default_rng(context.seed)
            for number in range(config.trials):
                context.record("my_evaluation/score", number, ...)
                context.progress(number + 1, config.trials)
            context.payload("summary", {"scores": [...]}, values={"mean_score": ...})

    It may be cut off at any instant and is then begun anew: what it files again under the same name takes the place of
    what was there, a series keeps the steps that it has.

    Attributes:
        seed: 0..2^32 - 1, of this evaluation of this run: the same whenever it is begun anew.
    """

    seed: int

    def record(self, metric: str, step: int, value: float) -> None:
        """File a number of the series `metric`, at a step of its own counting.

        Raises:
            Interrupted: the run was cancelled; what was recorded is filed.
        """
        ...

    def payload(self, name: str, content: Mapping[str, Any], *, values: Mapping[str, float] | None = None) -> None:
        """Store results that are not a series of numbers, as evaluation `EVALUATION/NAME` of the run's policy.

        Args:
            content: Whatever JSON can hold, NaN excluded.
            values: Numbers by which runs are compared, shown with those of the core's evaluations; finite.

        Raises:
            ConfigurationError: JSON cannot hold it.
            Interrupted: as `record`.
        """
        ...

    def artifact(self, name: str, content: bytes) -> None:
        """File bytes, as an artifact of kind `evaluation` named `EVALUATION/NAME`. Raises `Interrupted` as `record`
        does."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Say how much is done, 0 <= done <= total, in a unit of the evaluation's own. Raises `Interrupted` as
        `record` does."""
        ...

    def cancelled(self) -> bool:
        """Whether the run was cancelled: to be asked in a long loop that records nothing, and to return then."""
        ...
