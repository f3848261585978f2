"""The agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qecforge.contracts import Agent, Environment, ExtraLoss, Policy, TrainingContext
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.generators import generator_state, restored_generator
from qecforge_thirdparty_example import BanditConfig

__all__ = ["GradientBandit", "LinearPolicy"]


class LinearPolicy(Policy):
    """Preferences that are linear in the observation; the softmax of them is drawn from.

    Attributes:
        preferences: (S + 1, A) float64; the last row belongs to a constant.
        start: Number of the first action.
    """

    def __init__(self, observations: int, actions: int, start: int = 0) -> None:
        self.preferences = np.zeros((observations + 1, actions))
        self.start = start

    def probabilities(self, features: NDArray[np.float64], mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """(B, A) probabilities of the actions, 0 where the mask forbids."""
        logits = features @ self.preferences
        if mask is not None:
            logits = np.where(mask, logits, -np.inf)
        likelihood = np.exp(logits - logits.max(axis=1, keepdims=True))
        return likelihood / likelihood.sum(axis=1, keepdims=True)

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """The likeliest actions, or drawn ones."""
        probabilities = self.probabilities(features(observations), action_mask)
        if deterministic:
            return self.start + probabilities.argmax(axis=1)
        if rng is None:
            raise ConfigurationError("gradient_bandit: rng is None, expected a generator where deterministic is False")
        return self.start + draw(probabilities, rng)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The preferences."""
        return {"preferences": torch.from_numpy(self.preferences.copy())}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over preferences. Raises `CheckpointError` where the name or the shape differs."""
        if set(state) != {"preferences"} or tuple(state["preferences"].shape) != self.preferences.shape:
            shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
            raise CheckpointError(f"gradient_bandit: got {shapes}, expected preferences of {self.preferences.shape}")
        self.preferences = state["preferences"].cpu().numpy().astype(np.float64).copy()


class GradientBandit(Agent):
    """Gradient bandit with a context: what brings more than the mean reward at once becomes likelier.

    Source: Sutton and Barto 2018, Reinforcement Learning, equation (2.12), with preferences linear in a context.
    """

    def __init__(self, config: BanditConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """As configured."""
        return self.config.num_envs

    def build_policy(self, env: Environment) -> LinearPolicy:
        """Without preferences."""
        actions: Any = env.single_action_space
        size = int(np.prod(env.single_observation_space.shape or (1,)))
        return LinearPolicy(size, int(actions.n), int(actions.start))

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Train until the context says stop. Raises `ConfigurationError` for a given policy or an extra loss."""
        if policy is not None or extra_loss is not None:
            raise ConfigurationError("gradient_bandit: takes neither policy nor extra_loss; train it by itself")
        learner = self.build_policy(env)
        rng = np.random.default_rng(context.seed)
        if context.restored is not None:
            state = context.restored
            step, mean = int(state["step"]), float(state["mean"])
            observations, mask = state["observations"], state["mask"]
            learner.preferences = state["preferences"].copy()
            rng = restored_generator(state["rng"])
            metrics = dict(state["metrics"])
            if context.begun is not None:
                observations, infos = context.begun
                mask = infos.get("action_mask")
        else:
            step, mean, metrics = 0, 0.0, {"episode_return": 0.0}
            observations, infos = env.reset(seed=context.seed)
            mask = infos.get("action_mask")

        def state_dict() -> dict[str, Any]:
            return {
                "step": step,
                "mean": mean,
                "observations": observations.copy(),
                "mask": None if mask is None else mask.copy(),
                "preferences": learner.preferences.copy(),
                "rng": generator_state(rng),
                "metrics": dict(metrics),
            }

        while context.advance(step, self.config.total_steps, metrics, state_dict):
            returns: list[float] = []
            for _ in range(self.config.horizon):
                seen = features(observations)
                probabilities = learner.probabilities(seen, mask)
                actions = draw(probabilities, rng)
                observations, rewards, terminated, truncated, infos = env.step(learner.start + actions)
                chosen = np.eye(probabilities.shape[1])[actions]
                advantage = rewards.astype(np.float64) - mean
                gradient = seen.T @ (advantage[:, None] * (chosen - probabilities)) / len(rewards)
                learner.preferences += self.config.step_size * gradient
                mean += 0.1 * float(advantage.mean())
                mask = infos.get("action_mask")
                returns.extend(np.asarray(infos["episode_return"])[terminated | truncated].tolist())
                step += len(rewards)
            metrics = {
                "episode_return": float(np.mean(returns)) if returns else metrics["episode_return"],
                "mean_reward": mean,
            }
        return learner


def features(observations: NDArray[Any]) -> NDArray[np.float64]:
    """(B, S + 1): observations, flat, and a constant."""
    flat = np.asarray(observations, np.float64).reshape(len(observations), -1)
    return np.hstack([flat, np.ones((len(flat), 1))])


def draw(probabilities: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One action for each row."""
    cumulative = probabilities.cumsum(axis=1)
    total = cumulative[:, -1:]
    threshold = np.minimum(rng.random((len(probabilities), 1)) * total, np.nextafter(total, 0.0))
    return (threshold >= cumulative).sum(axis=1)
