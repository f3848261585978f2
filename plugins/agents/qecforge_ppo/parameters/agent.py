"""Agent `parameter_ppo`: a `ParameterSearch` at work on an environment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import Agent, Environment, ExtraLoss, ParameterEnvironment, Policy, TrainingContext
from qecforge_ppo.parameters.config import ParameterPPOConfig
from qecforge_ppo.parameters.policy import GaussianParameters
from qecforge_ppo.parameters.search import ParameterSearch

__all__ = ["ParameterPPO"]


class ParameterPPO(Agent):
    """Steers the parameters of a `ParameterEnvironment`; a step is an epoch of K candidates.

    Metrics, at every `report_every`-th epoch: `detection_rate` and, where the environment knows it, `true_cost`, means
    over the epochs since the last report; the search's own; `time/epochs_per_second`.
    """

    def __init__(self, config: ParameterPPOConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """Candidates of an epoch."""
        return self.config.candidates

    def build_policy(self, env: Environment) -> Policy:
        """The Gaussian that a search starts from."""
        env = _parameters(env)
        scale = np.asarray(env.exploration_scale)
        return GaussianParameters(env.initial_parameters, self.config.initial_sigma * scale)

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
                "parameter_ppo: an extra loss was given, and there are no logits that it could be about: use agent ppo"
            )
        search = self.search(env, context.seed)
        if policy is not None:
            if not isinstance(policy, GaussianParameters):
                raise ConfigurationError(
                    f"parameter_ppo: the given policy is {type(policy).__name__}, expected GaussianParameters"
                )
            search.start_from(policy)
        log = _Log()
        if context.restored is None:
            env.reset(seed=context.seed)
        else:
            log.load_state_dict(context.restored)
            search.load_state_dict(context.restored["search"])

        def state() -> dict[str, Any]:
            return {"search": search.state_dict(), **log.state_dict()}

        total = self.config.total_epochs
        while context.advance(search.epoch, total, log.metrics, state):
            started, first = time.perf_counter(), search.epoch
            for _ in range(min(self.config.report_every, total - search.epoch)):
                _, rewards, _, _, infos = env.step(search.ask())
                search.tell(rewards)
                log.add(rewards, infos)
            log.close(search.metrics(), (search.epoch - first) / (time.perf_counter() - started))
        return search.policy()

    def search(self, env: Environment, seed: int) -> ParameterSearch:
        """A fresh search for `env`, to ask and tell it by hand."""
        env = _parameters(env)
        if env.num_envs != self.config.candidates:
            raise ConfigurationError(
                f"parameter_ppo: the environment has {env.num_envs} members, expected {self.config.candidates}: "
                "make it with one for each candidate"
            )
        return ParameterSearch(
            self.config,
            env.initial_parameters,
            env.exploration_scale,
            num_objectives=int(np.prod(env.reward_space.shape)),
            factor_graph=env.factor_graph,
            seed=seed,
            parameter_names=env.parameter_names,
        )


class _Log:
    """Means of what the environment said, between two reports."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, rewards: Any, infos: Mapping[str, Any]) -> None:
        rate = infos.get("detection_rate")
        self._sums["detection_rate"] = self._sums.get("detection_rate", 0.0) + float(
            -np.mean(rewards) if rate is None else rate
        )
        if "true_cost" in infos:
            self._sums["true_cost"] = self._sums.get("true_cost", 0.0) + float(np.mean(infos["true_cost"]))
        self._count += 1

    def close(self, metrics: Mapping[str, float], epochs_per_second: float) -> None:
        """Make `metrics` of what was added, and begin anew."""
        self.metrics = {name: total / self._count for name, total in self._sums.items()}
        self.metrics |= metrics
        self.metrics["time/epochs_per_second"] = epochs_per_second
        self._sums, self._count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": dict(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        try:
            self.metrics = dict(state["metrics"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                "parameter_ppo: the checkpoint has no metrics: restore it with the agent that wrote it, or start anew "
                "with --force"
            ) from error


def _parameters(env: Environment) -> ParameterEnvironment:
    if not isinstance(env, ParameterEnvironment):
        raise ConfigurationError(
            f"parameter_ppo: {type(env).__name__} takes no parameter vectors: choose an environment of "
            "parameters, such as surface_steering"
        )
    return env
