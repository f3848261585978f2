"""The loop that all agents for parameters share: a search at work on an environment."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts.agent import Agent, ExtraLoss, TrainingContext
from qecforge.contracts.environment import Environment, ParameterEnvironment
from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.parameters._log import Log, Snapshots
from qecforge.parameters.config import ParameterAgentConfig
from qecforge.parameters.policy import GaussianParameters

__all__ = ["AskTell", "ParameterAgent"]


class AskTell(Protocol):
    """A search that asks and is told: whatever scores its candidates, a simulator or a device, is outside."""

    @property
    def epoch(self) -> int:
        """Epochs done: calls of `tell`."""
        ...

    def ask(self) -> NDArray[Any]:
        """(K, P) candidates of this epoch, float32 or float64, in the parameters' own units. Asked again before it is
        told, the search gives the same ones. Not to be written to, and valid until then."""
        ...

    def tell(self, rewards: ArrayLike) -> None:
        """Learn from the candidates' rewards, (K, m), or (K,) for a single objective; larger is better.

        Raises:
            ConfigurationError: Another shape, or nothing was asked.
            QecforgeError: A reward is not finite.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Of the last update, for the log. `sigma`: geometric mean of the deviations, in exploration scales;
        `displacement`: root mean square of the mean's way from the start, likewise; and the search's own."""
        ...

    def policy(self) -> GaussianParameters:
        """Mean and deviation as they are now, as copies."""
        ...

    def start_from(self, policy: GaussianParameters) -> None:
        """Before the first `ask`: start where the policy is; it is not changed. Raises `ConfigurationError` where it
        has another number of parameters."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies: numbers, strings, lists, dicts and numpy arrays only."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another search."""
        ...


class ParameterAgent(Agent):
    """Steers the parameters of a `ParameterEnvironment`; a step is an epoch of K candidates.

    Metrics, at every `report_every`-th epoch: `cost` and, where the environment knows it, `true_cost`, means
    over the epochs since the last report; the search's own; what assessments found since the last report, the epoch of
    this one included; `time/epochs_per_second`, assessments left out.

    Attributes:
        name: As in a manifest, for messages.
        config: As given.
        keeps_limits: Whether its search keeps an environment's `limits`; environments that have some are refused
            otherwise.
    """

    name: ClassVar[str]
    keeps_limits: ClassVar[bool] = False

    def __init__(self, config: ParameterAgentConfig) -> None:
        self.config = config

    @abstractmethod
    def search(self, env: Environment, seed: int) -> AskTell:
        """A fresh search for `env`, to ask and tell it by hand. Raises `ConfigurationError` as `checked` does."""

    @property
    @abstractmethod
    def initial_sigma(self) -> float:
        """Deviation that a search starts with, in exploration scales."""

    @property
    def num_envs(self) -> int:
        """Candidates of an epoch."""
        return self.config.candidates

    def build_policy(self, env: Environment) -> Policy:
        """The Gaussian that a search starts from."""
        env = self._of_parameters(env)
        return GaussianParameters(env.initial_parameters, self.initial_sigma * np.asarray(env.exploration_scale))

    def checked(self, env: Environment) -> ParameterEnvironment:
        """`env`, which takes parameters and has a member for each candidate. Raises `ConfigurationError` otherwise."""
        env = self._of_parameters(env)
        if env.num_envs != self.config.candidates:
            raise ConfigurationError(
                f"{self.name}: the environment has {env.num_envs} members, expected {self.config.candidates}: "
                "make it with one for each candidate"
            )
        if env.limits is not None and not self.keeps_limits:
            raise ConfigurationError(
                f"{self.name}: it keeps no limits of parameters, and the environment has some: choose an agent that "
                "does, or leave the limits out"
            )
        return env

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Search until the context says stop. A given `policy`, Gaussian too, is where it starts; it is not changed.

        Raises:
            ConfigurationError: The environment takes no parameters, or has another number of members than there are
                candidates; or an `extra_loss` or another policy was given.
        """
        if extra_loss is not None:
            raise ConfigurationError(
                f"{self.name}: got an extra loss, but this agent has no logits for it: choose an agent with logits"
            )
        env, config = self.checked(env), self.config
        search = self.search(env, context.seed)
        if policy is not None:
            if not isinstance(policy, GaussianParameters):
                raise ConfigurationError(
                    f"{self.name}: the given policy is {type(policy).__name__}, expected GaussianParameters"
                )
            search.start_from(policy)
        log, snapshots = Log(), Snapshots(config.snapshots, config.total_epochs)

        def look() -> float:
            """Keep and assess the mean, where that is due between two epochs. Seconds that it took."""
            started = time.perf_counter()
            if snapshots.due(search.epoch):
                snapshots.add(search.epoch, search.policy().mean)
            if self._assessment_due(search.epoch):
                log.add_assessment(env.assess(search.policy().mean))
            return time.perf_counter() - started

        def state() -> dict[str, Any]:
            return {"search": search.state_dict(), "snapshots": snapshots.state_dict(), **log.state_dict()}

        if context.restored is None:
            env.reset(seed=context.seed)
            look()
            log.close({})
        else:
            log.load_state_dict(context.restored)
            search.load_state_dict(_part(context.restored, "search"))
            snapshots.load_state_dict(_part(context.restored, "snapshots"), len(env.parameter_names))
        while context.advance(search.epoch, config.total_epochs, log.metrics, state):
            started, first, aside = time.perf_counter(), search.epoch, 0.0
            for _ in range(min(config.report_every, config.total_epochs - search.epoch)):
                _, rewards, _, _, infos = env.step(search.ask())
                search.tell(rewards)
                log.add(rewards, infos)
                aside += look()
            speed = (search.epoch - first) / (time.perf_counter() - started - aside)
            log.close(search.metrics() | {"time/epochs_per_second": speed})
        final = search.policy()
        return GaussianParameters(final.mean, final.std, snapshots.trajectory(search.epoch, final.mean))

    def _assessment_due(self, epoch: int) -> bool:
        """Not after the last epoch: the environment may know no epoch after it."""
        every = self.config.assess_every
        return every is not None and epoch % every == 0 and epoch < self.config.total_epochs

    def _of_parameters(self, env: Environment) -> ParameterEnvironment:
        if not isinstance(env, ParameterEnvironment):
            raise ConfigurationError(
                f"{self.name}: {type(env).__name__} does not take parameter vectors: choose an environment whose "
                "actions are parameters (`qecforge plugins show NAME` says so)"
            )
        return env


def _part(state: Mapping[str, Any], name: str) -> Any:
    if name not in state:
        raise CheckpointError(
            f"this checkpoint has no {name}: restore it with the agent that wrote it, or start the run anew "
            "with `force`"
        )
    return state[name]
