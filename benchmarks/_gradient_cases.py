"""Actors, critics and batches on which gradients are compared: of random inputs, and of a `td3` agent's own replay."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from qecforge.environments import GymnasiumAdapter
from qecforge.learning.torch_state import seeded_generator
from qecforge.testing.contexts import RecordingContext
from qecforge_td3 import TD3Config
from qecforge_td3.agent import _Training
from qecforge_td3.networks import Networks

__all__ = ["AGENTS", "RANDOM", "Batch", "Case", "agent_case", "random_case", "sampled"]

OBSERVATIONS, ACTIONS = 376, 17
"""Humanoid-v4's, for random inputs: the paper's networks."""

RANDOM = {"random, small angles": 1.0, "random, spread": 12.0}
"""How many times PreDNN's initial weights for the circuit: angles with a deviation of 0.24, or of 2.9 radians and CZ
outputs spread as far."""

AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Pendulum-v1": ("Pendulum-v1", {"actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3}),
    "Hopper-v4": ("Hopper-v4", {"critic": "layer_norm"}),
}
"""Gymnasium's id, and settings as in `qecforge reproduce hybrid`."""


@dataclass
class Batch:
    """Observations as the networks see them, (B, D), and pairs of q_in (B, 220) and q_out (B, 10) as they were
    sampled."""

    s: Tensor
    q_in: Tensor
    q_out: Tensor

    def __len__(self) -> int:
        return len(self.s)

    def first(self, rows: int) -> Batch:
        """Some of it."""
        return Batch(self.s[:rows], self.q_in[:rows], self.q_out[:rows])


@dataclass
class Case:
    """Networks that stay as they are, and where batches come from.

    Attributes:
        networks: An actor with a quantum circuit, and critics.
        draw: One batch of so many samples.
        live: The same, with the networks as they were right after some updates of the agent's own training.
    """

    networks: Networks
    draw: Callable[[int, np.random.Generator], Batch]
    live: dict[int, tuple[Networks, Batch]]


def random_case(scale: float, seed: int) -> Case:
    """Untrained networks of the paper's sizes on normal observations; each batch is new."""
    config = TD3Config()
    networks = Networks(OBSERVATIONS, ACTIONS, config, seeded_generator(seed), torch.device("cpu"))
    actor: Any = networks.actor
    with torch.no_grad():
        actor.pre_2.weight[: config.circuit_inputs] *= scale

    def draw(rows: int, rng: np.random.Generator) -> Batch:
        return sampled(networks, torch.from_numpy(rng.standard_normal((rows, OBSERVATIONS), dtype=np.float32)), rng)

    return Case(networks, draw, {})


@torch.no_grad()
def sampled(networks: Networks, s: Tensor, rng: np.random.Generator) -> Batch:
    """The pairs that the actor makes of observations as it is now."""
    explored = networks.actor.explore(s, rng)
    return Batch(s, explored.q_in, explored.q_out)


def agent_case(name: str, seed: int, *, starts: int, live_at: Sequence[int], batch_size: int = 256) -> Case:
    """An agent with the paper's settings (tangential, 32 fits) trained for `max(live_at)` updates; its replay."""
    identifier, options = AGENTS[name]
    steps = starts + max(live_at)
    settings = {"total_steps": steps, "learning_starts": starts, "replay_capacity": steps, "batch_size": batch_size}
    config = TD3Config.model_validate(settings | options)
    env = GymnasiumAdapter(lambda: _environment(identifier), num_envs=1, seed=seed, resumes="between_episodes")
    training = _Training(config, env, RecordingContext(env, seed=seed), None)
    buffer, networks = training.transitions.buffer, training.networks
    drawn: list[dict[str, Tensor]] = []
    sample = buffer.sample_tensors

    def recording(rows: int, rng: np.random.Generator) -> dict[str, Tensor]:
        drawn[:] = [sample(rows, rng)]
        return drawn[0]

    buffer.sample_tensors = recording  # type: ignore[method-assign]
    live: dict[int, tuple[Networks, Batch]] = {}
    training.start()
    while training.updates < max(live_at):
        training.collect()
        if training.step >= starts:
            training.update()
            if training.updates in live_at:
                live[training.updates] = copy.deepcopy(networks), _batch(networks, drawn[0])
    env.close()
    return Case(networks, lambda rows, rng: _batch(networks, sample(rows, rng)), live)


def _batch(networks: Networks, rows: dict[str, Tensor]) -> Batch:
    """Copies: what the replay gives is overwritten by the next batch."""
    s, q_in, q_out = (rows[name].clone() for name in ("s", "q_in", "q_out"))
    return Batch(networks.normalized(s), q_in, q_out)


def _environment(identifier: str) -> gymnasium.Env[Any, Any]:
    """Without Gymnasium's words on newer versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gymnasium.make(identifier)
