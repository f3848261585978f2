"""What the plugins for tests are made of: a ring that members walk on, a policy that counts, and a rounding of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch

from qecforge.codes import DiscoveredCode
from qecforge.contracts import Environment, Policy
from qecforge.errors import CheckpointError
from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels
from qecforge.inference.policy import QuantizedPolicy
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.testing.examples import example_code

__all__ = ["CountingPolicy", "Ring", "RingSettings", "rounded"]


class RingSettings(Protocol):
    """What the configuration of a ring has: its positions, and the environment step at which a code is found."""

    @property
    def size(self) -> int:
        """Positions."""

    @property
    def find_at(self) -> int:
        """Environment step."""


class Ring(Environment):
    """Members walk left or right on a ring; the reward is the position. Finds the five-qubit code once."""

    def __init__(self, config: RingSettings, *, num_envs: int, seed: int, reward: Any) -> None:
        self.config, self.num_envs = config, num_envs
        self.single_observation_space = gymnasium.spaces.Box(0, config.size, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.steps, self.found = 0, False
        self.rng = np.random.default_rng(seed)
        self.position = np.zeros(num_envs, dtype=np.int64)

    def reset(self, *, seed: int | None = None, options: Any = None, out: Any = None) -> Any:
        """Every member at a random position."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.position = self.rng.integers(0, self.config.size, self.num_envs)
        return self.observe(), {}

    def step(self, actions: Any, out: Any = None) -> Any:
        """One position to the left (0) or to the right (1)."""
        self.position = (self.position + 2 * np.asarray(actions) - 1) % self.config.size
        self.steps += self.num_envs
        ended = self.position == 0
        self.position[ended] = self.rng.integers(1, self.config.size, int(ended.sum()))
        infos = {"episode_return": self.position.astype(float), "episode_length": np.ones(self.num_envs)}
        return self.observe(), self.position.astype(np.float32), ended, np.zeros_like(ended), infos

    def observe(self) -> Any:
        """(B, 1) float32, the positions."""
        return self.position[:, None].astype(np.float32)

    def take_discoveries(self) -> Sequence[DiscoveredCode]:
        """The code, once."""
        if self.found or self.steps < self.config.find_at:
            return ()
        self.found = True
        code = example_code()
        encoder = str(code.encoder())
        return (
            DiscoveredCode(
                code=code,
                encoder=encoder,
                gate_count=len(encoder.split()),
                two_qubit_gate_count=0,
                target_distance=3,
                step=self.steps,
                attributes={},
            ),
        )

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            "rng": generator_state(self.rng),
            "position": self.position,
            "steps": self.steps,
            "found": self.found,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was taken."""
        self.rng = restored_generator(state["rng"])
        self.position, self.steps, self.found = state["position"], state["steps"], state["found"]


class CountingPolicy(Policy):
    """Goes to the right; counts how often each action was taken in training."""

    def __init__(self) -> None:
        self.visits = torch.zeros(2, dtype=torch.int64)

    def act(self, observations: Any, *, action_mask: Any = None, deterministic: bool = True, rng: Any = None) -> Any:
        """To the right."""
        return np.ones(len(observations), dtype=np.int64)

    def logits(self, observations: Any) -> Any:
        """In proportion to position and counts."""
        return (observations * (self.visits / self.visits.sum()).numpy()).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"visits": self.visits}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where the state is none of this policy's."""
        if set(state) != {"visits"}:
            raise CheckpointError(f"policy: got {sorted(state)}, expected visits")
        self.visits = state["visits"].clone()


def rounded(policy: CountingPolicy, calibration: Any, *, bits: int, method: str) -> QuantizedPolicy:
    """The share of each action as the weights of one layer, each rounded to the nearest level of so many bits."""
    share = (policy.visits / policy.visits.sum()).numpy()
    step = np.float32(share.max() / (2 ** (bits - 1) - 1))
    layer = IntegerLayer(
        weight=np.rint(share / step).astype(np.int8)[:, None],
        weight_scale=np.array([step, step], np.float32),
        bias=np.zeros(2, np.int32),
        inputs=Levels(max(float(calibration.max()), 1.0) / (2**bits - 1), 0, bits),
    )
    return QuantizedPolicy(IntegerMlp((layer,), bits, method))
