"""What a reward is: a function of what an environment shows, made ready for one environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import InfrastructureError

__all__ = ["CompiledReward", "Reward", "RewardBuffers", "require_valid"]


@dataclass
class RewardBuffers:
    """What a reward writes.

    Attributes:
        values: (B,) float32.
        solved: (B,) bool, members that meet the subject's target; None where the reward does not decide that (the
            environment then does).
        components: Named (B,) float64 arrays for the log and for `Environment.peek`.
        valid: (B,) bool, False where there is no reward because what scores is out of order: none of the values says
            that. Such a row holds 0 in `values` and False in `solved`. None: all rows are rewards. A reward that can
            fail sets it at every call, whatever it held; others never touch it.
    """

    values: NDArray[np.float32]
    solved: NDArray[np.bool_] | None = None
    components: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    valid: NDArray[np.bool_] | None = None


def require_valid(scores: RewardBuffers, environment: str) -> RewardBuffers:
    """`scores`, where every row is a reward. An environment of arrays asks this of all that it has scored.

    Raises:
        InfrastructureError: some row is none.
    """
    if scores.valid is None or scores.valid.all():
        return scores
    raise InfrastructureError(
        f"{environment}: its reward could not score {int((~scores.valid).sum())} of {len(scores.valid)} members: "
        "repair what it needs (a sandbox, a device), then start the same command again, which goes on from the last "
        "checkpoint"
    )


class CompiledReward(ABC):
    """A reward made ready for one environment. A pure function of the batch: no state between calls."""

    @abstractmethod
    def score(self, batch: Any, out: RewardBuffers | None = None) -> RewardBuffers:
        """Score a batch of at most `num_envs` members. With `out` its arrays (at least as long) are filled.

        What failed for want of infrastructure is tried again here, as often as makes sense, then marked in
        `RewardBuffers.valid`.
        """

    def circumstances(self) -> Mapping[str, Any]:
        """For `BaseEnvironment.circumstances` of the environment that compiled it; empty by default."""
        return {}

    def close(self) -> None:  # noqa: B027
        """End what scoring has running, such as processes; by default nothing is. Called by whoever compiled it, the
        environment; a second time does nothing."""


class Reward(ABC):
    """What makes a `CompiledReward` from a description of what will be scored."""

    components: tuple[str, ...] = ()

    @abstractmethod
    def compile(self, subject: Any) -> CompiledReward:
        """`subject` is the environment's description of what it shows (`qecforge.codes.TableauSubject`, say).

        Raises `ConfigurationError` where the subject does not fit this reward's configuration.
        """

    def close(self) -> None:  # noqa: B027
        """End what compiled rewards of this one share; by default nothing. Called by whoever made it, after its
        compiled rewards are closed; a second time does nothing."""
