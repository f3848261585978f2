"""Simulated annealing over whole sequences of actions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import EPISODE_RETURN, Agent, Environment, ExtraLoss, Policy, TrainingContext
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.generators import seed_for
from qecforge_annealing import _moves
from qecforge_annealing._moves import Chains
from qecforge_annealing.config import AnnealingConfig
from qecforge_annealing.policy import TablePolicy

__all__ = ["Annealing"]


class Annealing(Agent):
    """B chains, each a sequence of actions that changes a little at each try and cools.

    A sequence is worth what the environment's state after it is worth; one that is worse is accepted with probability
    exp(difference / temperature). When one reaches the target, actions are left out of it as long as it does, and from
    then on all chains are one shorter. A chain that is cold starts anew, from the best sequence without one of its
    actions or from one that is drawn.

    Metrics: `best_length`, once there is one; `value` and `episode_return`, both the mean over the chains of what
    their sequences are worth; `accepted`, the share of changes; `time/tries_per_second`.
    """

    def __init__(self, config: AnnealingConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """Chains."""
        return self.config.chains

    def build_policy(self, env: Environment) -> TablePolicy:
        """A table without entries."""
        space, width = env.single_action_space, int(np.prod(env.single_observation_space.shape or ()))
        if not isinstance(space, gymnasium.spaces.Discrete):
            raise ConfigurationError(
                f"annealing: actions of {type(env).__name__} are {space}, expected Discrete: choose another agent"
            )
        return TablePolicy(np.empty((0, width)), np.empty(0), int(space.n), int(space.start))

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Anneal until the context says stop, or no shorter sequence is left to seek.

        Raises:
            ConfigurationError: The environment cannot try sequences, weights of kinds do not fit its actions, or a
                policy or an extra loss was given.
        """
        if policy is not None or extra_loss is not None:
            raise ConfigurationError(
                "annealing: it learns no network that could be trained further: choose an agent that does, such as ppo"
            )
        if not env.can_try:
            raise ConfigurationError(
                f"annealing: {type(env).__name__} cannot try whole sequences as it is configured: choose an "
                "environment that can, such as code_discovery with fixed noise, or another agent"
            )
        search = _Search(self.config, env, context.seed)
        if context.restored is None:
            env.reset(seed=context.seed)
        else:
            search.load_state_dict(context.restored)
        while context.advance(search.steps, self.config.total_steps, search.metrics, search.state_dict):
            search.run()
        return self._policy(env, search.best, context.seed)

    def _policy(self, env: Environment, best: NDArray[np.int64], seed: int) -> TablePolicy:
        """What is observed along the best sequence, in the first member."""
        table = self.build_policy(env)
        observations, _ = env.reset(seed=seed)
        seen = []
        for action in best:
            seen.append(np.array(observations[0], np.float32).reshape(-1))
            observations, *_ = env.step(np.full(env.num_envs, table.start + action))
        if not seen:
            return table
        return TablePolicy(np.stack(seen), best, table.num_actions, table.start)


class _Search:
    """The chains at work, and what they have found."""

    def __init__(self, config: AnnealingConfig, env: Environment, seed: int) -> None:
        self._config, self._env = config, env
        kinds = len(np.unique(env.action_factors[:, 0]))
        if config.kind_weights and len(config.kind_weights) != kinds:
            raise ConfigurationError(
                f"annealing: {len(config.kind_weights)} kind_weights, but the environment has {kinds} kinds of action: "
                "give one for each"
            )
        self._letters = _moves.alphabet(env.action_factors, config.kind_weights)
        B, L = config.chains, config.length
        first = np.random.default_rng(seed_for(seed, "annealing")).integers(2**64, size=B, dtype=np.uint64)
        self._chains = Chains(
            sequences=np.zeros((B, L), np.int64),
            lengths=np.zeros(B, np.int64),
            values=np.full(B, -np.inf),
            tries=np.zeros(B, np.int64),
            untried=np.ones(B, np.bool_),
            generators=first,
        )
        self._proposed = np.zeros((B, L), np.int64)
        self._length = L
        self.best = np.zeros(0, np.int64)
        self.steps = 0
        self.metrics: dict[str, float] = {}
        # Chains stand at different temperatures from the start, so that some are always about to be cold.
        for b in range(B):
            _moves.start(self._chains, b, L, self.best, 0.0, self._letters)
            self._chains.tries[b] = 1 + b * (config.cooling - 1) // B

    def run(self) -> None:
        """Tries until the next report."""
        config, chains = self._config, self._chains
        started, accepted, tries = time.perf_counter(), 0, 0
        for _ in range(max(1, config.report_every // config.chains)):
            if self._length < 1:
                self.steps = config.total_steps
                break
            _moves.propose(chains, self._length, self.best, config.from_best, self._letters, self._proposed)
            trials = self._env.try_sequences(self._proposed, chains.lengths)
            self.steps += int(chains.lengths.sum())
            tries += config.chains
            accepted += _moves.settle(
                chains, self._proposed, trials.values, config.cooling, config.hottest, config.coldest
            )
            if trials.solved.any():
                self._shorten(self._proposed[np.flatnonzero(trials.solved)], chains.lengths[trials.solved])
            if self.steps >= config.total_steps:
                break
        value = float(np.mean(chains.values[np.isfinite(chains.values)]))
        self.metrics = {
            EPISODE_RETURN: value,
            "value": value,
            "accepted": accepted / max(tries, 1),
            "time/tries_per_second": tries / (time.perf_counter() - started),
            **({"best_length": float(len(self.best))} if len(self.best) else {}),
        }

    def _shorten(self, sequences: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        """Take the shortest of those that reached the target, leave out what can be, and go on one shorter."""
        shortest = int(np.argmin(lengths))
        best = sequences[shortest, : lengths[shortest]].copy()
        while (shorter := self._shorter(best)) is not None:
            best = shorter
        self.best, self._length = best, len(best) - 1
        if self._length < 1:
            return
        for b in range(self._config.chains):
            if self._chains.lengths[b] > self._length:
                _moves.shorten(self._chains, b, self._length)

    def _shorter(self, best: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """`best` without one of its actions, else without two, if it still reaches the target."""
        for out in (1, 2):
            if len(best) <= out:
                break
            places = np.array(list(combinations(range(len(best)), len(best) - out)))
            lengths = np.full(len(places), len(best) - out)
            trials = self._env.try_sequences(best[places], lengths)
            self.steps += int(lengths.sum())
            if trials.solved.any():
                found: NDArray[np.int64] = best[places[int(np.argmax(trials.solved))]]
                return found
        return None

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next."""
        return {
            "chains": {name: array.copy() for name, array in self._chains._asdict().items()},
            "best": self.best.copy(),
            "length": self._length,
            "steps": self.steps,
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another configuration."""
        try:
            arrays = {name: np.asarray(state["chains"][name]) for name in Chains._fields}
            best, length, steps = np.asarray(state["best"]), int(state["length"]), int(state["steps"])
            metrics = {str(name): float(value) for name, value in state["metrics"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _foreign(f"{type(error).__name__}: {error}") from error
        actions = self._letters.near_starts.shape[0] - 1
        for name, array in self._chains._asdict().items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise _foreign(f"{name} has shape {arrays[name].shape} and type {arrays[name].dtype}")
        sequences, lengths, tries = arrays["sequences"], arrays["lengths"], arrays["tries"]
        bounded = (
            0 <= length <= self._config.length
            and best.ndim == 1
            and len(best) <= self._config.length
            and all(not each.size or (each.min() >= 0 and each.max() < actions) for each in (sequences, best))
            and lengths.min() >= 1
            and lengths.max() <= self._config.length
            and tries.min() >= 0
            and steps >= 0
        )
        if not bounded:
            raise _foreign("numbers out of range")
        for name, array in self._chains._asdict().items():
            array[...] = arrays[name]
        self.best, self._length, self.steps = best.astype(np.int64), length, steps
        self.metrics = metrics


def _foreign(what: str) -> CheckpointError:
    return CheckpointError(
        f"annealing: this checkpoint does not fit the configuration ({what}): restore it with the one that wrote it, "
        "or start the run anew with `force`"
    )
