"""What an agent is, and what the core gives it while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, runtime_checkable

from numpy.typing import NDArray
from typing_extensions import TypeVar

from qecforge.contracts.environment import BaseEnvironment, Environment
from qecforge.contracts.policy import Policy, SavedPolicy

if TYPE_CHECKING:
    import torch

__all__ = ["Agent", "ExtraLoss", "ReportingExtraLoss", "StatefulExtraLoss", "TrainingBatch", "TrainingContext"]

E = TypeVar("E", bound=BaseEnvironment, default=Environment)
"""What an agent trains on."""
P = TypeVar("P", bound=SavedPolicy, default=Policy)
"""What it leaves behind."""


@dataclass(frozen=True)
class TrainingBatch:
    """What an agent shows to an `extra_loss` for each minibatch.

    Attributes:
        observations: (M, *observation_shape) tensor on the agent's device, as its network takes it.
        logits: (M, A) outputs of the policy in training, with gradient.
        actions: (M,) or (M, action_size).
        action_mask: (M, A) bool or None.
        states: `Environment.compact_states` of each row, where `ExtraLoss.needs_states`; else None.
        progress: Fraction of the training done, 0..1, for schedules.
    """

    observations: torch.Tensor
    logits: torch.Tensor
    actions: torch.Tensor
    action_mask: torch.Tensor | None
    states: NDArray[Any] | None
    progress: float


class ExtraLoss(Protocol):
    """A term that a quantizer adds to an agent's objective."""

    needs_states: bool

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        """A scalar with gradient."""
        ...


@runtime_checkable
class StatefulExtraLoss(ExtraLoss, Protocol):
    """A term whose later values depend on earlier calls: an agent keeps its state in checkpoints, beside its own."""

    def state_dict(self) -> Mapping[str, Any]:
        """All that decides what comes next, as copies: numbers, strings, lists, dicts, arrays and tensors only."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` for the state of another term."""
        ...


@runtime_checkable
class ReportingExtraLoss(ExtraLoss, Protocol):
    """A term that says what it did: an agent logs its metrics beside its own, as `quantizer/NAME`."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the latest call; empty before the first."""
        ...


class TrainingContext(Protocol):
    """What the core gives to an agent: seed, budget, log, checkpoints, discoveries, progress, cancellation, and
    environments to test its policy in.

    An agent's loop is

        if context.restored is None:
            observations, infos = env.reset(seed=context.seed)
        else:
            self.load_state_dict(context.restored)
            if context.begun is not None:
                observations, infos = context.begun
        while context.advance(step, total, metrics, self.state_dict):
            ...one rollout and update...
    """

    seed: int

    @property
    def restored(self) -> Mapping[str, Any] | None:
        """The agent's own state from a checkpoint (the environment is restored already), or None at a fresh start."""
        ...

    @property
    def begun(self) -> tuple[Any, dict[str, Any]] | None:
        """Observations and infos of `reset`, where this resume had to begin new episodes: environment or agent resume
        between episodes (`Resumes`). The agent goes on from these, and the episodes that it had under way are over.
        None at a fresh start, and where the environment stands where the checkpoint left it."""
        ...

    def make_environment(self, purpose: str, num_envs: int | None = None) -> Any:
        """Another environment of the run's configuration and kind, such as for test returns while training.

        What is done with it changes nothing in the training, and codes that it finds are not filed. What the training's
        environment has fitted (`fitted_state`) it has as of the latest `advance`, and fits nothing itself. It is no
        part of checkpoints: for tests that are the same after a resume, give each `reset` a seed, such as the step.
        It is closed when the training ends.

        Args:
            purpose: What for. Each purpose has a seed of its own, by which the environment is made.
            num_envs: Its members; None for as many as in training.
        """
        ...

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        """Report between two iterations, the state being whole.

        Logs `metrics` at `step` (environment steps so far), takes the environment's discoveries, shows progress
        towards `total`, and saves a checkpoint of agent and environment when one is due. `state` is called for it,
        and what it gives is written before this returns: arrays and tables of rows (`qecforge.learning.rows`) need not
        be copied. Once there is any, `metrics` holds `episode_return`, or `cost` where no episode ends
        (`qecforge.contracts.metrics`).

        Returns:
            Whether to go on: False once `step >= total`, or when the run's budget is spent.

        Raises:
            Interrupted: the run was cancelled; the checkpoint is written.
        """
        ...


class Agent(ABC, Generic[E, P]):
    """Learns a policy on an environment, of arrays where nothing else is said (`TextAgent` is for text). All it owns is
    in its checkpoint state, random generators included: a resumed run equals the uninterrupted one, bit for bit, where
    the specs of agent and environment say so (`Resumes`)."""

    @property
    @abstractmethod
    def num_envs(self) -> int:
        """Number of environment members that it needs; for text, number of completions scored at once."""

    @abstractmethod
    def train(
        self,
        env: E,
        context: TrainingContext,
        *,
        policy: P | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> P:
        """Train until `context.advance` returns False.

        Args:
            env: Reset by the agent at a fresh start with `context.seed`, left alone on resume (see
                `TrainingContext.begun`).
            policy: Start from this one (a quantizer's student, say) instead of a fresh one.
            extra_loss: Added to the objective of each minibatch. The state of a `StatefulExtraLoss` is part of the
                agent's, the metrics of a `ReportingExtraLoss` are logged with its own.
        """

    @abstractmethod
    def build_policy(self, env: E) -> P:
        """An untrained policy for `env`, to load saved files into. It does not need `env` afterwards."""
