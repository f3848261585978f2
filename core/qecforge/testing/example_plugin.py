"""A plugin for tests of what carries runs out: an environment that finds the five-qubit code, an agent whose runs fail,
kill their process or take their time as they are told, and a quantizer for its policies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field

from qecforge.codes import DiscoveredCode
from qecforge.contracts import Agent, Environment, PluginConfig, Policy, Quantizer, TrainingContext
from qecforge.errors import CheckpointError, Interrupted, UserError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, QuantizerSpec, hookimpl
from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels
from qecforge.inference.policy import QuantizedPolicy
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.testing.examples import example_code

__all__ = ["Mishap", "StrollConfig", "StrollerConfig"]

Mishap = Literal[
    "raise", "user_error", "interrupted", "keyboard_interrupt", "exit", "os_exit", "vanish", "kill", "hang"
]
"""What a run does to itself. `exit`: `sys.exit(0)`; `os_exit`: `os._exit(0)`; `vanish`: the same by C code; `kill`:
SIGKILL to its own process."""


class StrollConfig(PluginConfig):
    """Positions on a ring, and when the five-qubit code is found there."""

    size: int = Field(9, ge=2, description="Positions.")
    find_at: int = Field(40, ge=0, description="Environment step at which the code is found.")
    mishap: Mishap | None = Field(None, description="What the constructor does to the run.")


class Stroll(Environment):
    """Members walk left or right on a ring; the reward is the position."""

    def __init__(self, config: StrollConfig, *, num_envs: int, seed: int, reward: Any) -> None:
        _come_to_grief(config.mishap)
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
        return self._observed(), {}

    def step(self, actions: Any, out: Any = None) -> Any:
        """One position to the left (0) or to the right (1)."""
        self.position = (self.position + 2 * np.asarray(actions) - 1) % self.config.size
        self.steps += self.num_envs
        ended = self.position == 0
        self.position[ended] = self.rng.integers(1, self.config.size, int(ended.sum()))
        infos = {"episode_return": self.position.astype(float), "episode_length": np.ones(self.num_envs)}
        return self._observed(), self.position.astype(np.float32), ended, np.zeros_like(ended), infos

    def take_discoveries(self) -> Sequence[DiscoveredCode]:
        """The code, once."""
        if self.found or self.steps < self.config.find_at:
            return ()
        self.found = True
        code = example_code()
        encoder = str(code.encoder())
        gates = len(encoder.split())
        return (
            DiscoveredCode(
                code=code,
                encoder=encoder,
                gate_count=gates,
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

    def _observed(self) -> Any:
        return self.position[:, None].astype(np.float32)


class StrollerConfig(PluginConfig):
    """How long, how slowly, and what goes wrong on the way."""

    total_steps: int = Field(200, ge=1, description="Environment steps.")
    slow_while: str | None = Field(None, description="A file: as long as it is there, each step takes 50 ms more.")
    mishap: Mishap | None = Field(None, description="What the run does to itself.")
    mishap_at: int = Field(100, ge=0, description="Environment step at which it does so.")


class StrollerPolicy(Policy):
    """Counts how often each action was taken."""

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


class Stroller(Agent):
    """Walks at random with four members."""

    num_envs = 4

    def __init__(self, config: StrollerConfig) -> None:
        self.config, self.policy, self.step = config, StrollerPolicy(), 0
        self.rng = np.random.default_rng(0)

    def train(self, env: Any, context: TrainingContext, *, policy: Any = None, extra_loss: Any = None) -> Any:
        """Go on from the checkpoint where there is one."""
        self.rng = np.random.default_rng(context.seed)
        metrics: dict[str, float] = {}
        if context.restored is None:
            env.reset(seed=context.seed)
        else:
            self.step = context.restored["step"]
            self.rng = restored_generator(context.restored["rng"])
            self.policy.visits = context.restored["visits"]
        while context.advance(self.step, self.config.total_steps, metrics, self._state):
            actions = self.rng.integers(0, 2, env.num_envs)
            _, rewards, *_ = env.step(actions)
            self.policy.visits += torch.from_numpy(np.bincount(actions, minlength=2))
            self.step += env.num_envs
            metrics = {"reward": float(rewards.mean())}
            if self.config.slow_while and Path(self.config.slow_while).exists():
                time.sleep(0.05)
            if self.step >= self.config.mishap_at:
                _come_to_grief(self.config.mishap)
        return self.policy

    def build_policy(self, env: Any) -> StrollerPolicy:
        """An empty one."""
        return StrollerPolicy()

    def _state(self) -> dict[str, Any]:
        return {"step": self.step, "rng": generator_state(self.rng), "visits": self.policy.visits}


class RoundingConfig(PluginConfig):
    """Bits of a weight."""

    bits: int = Field(8, ge=2, le=8, description="Bits.")


class Rounding(Quantizer):
    """The share of each action as the weights of one layer."""

    calibration_states = 32

    def __init__(self, config: RoundingConfig) -> None:
        self.config = config

    def quantize(self, policy: Any, calibration: Any) -> QuantizedPolicy:
        """Round to the nearest level."""
        share = (policy.visits / policy.visits.sum()).numpy()
        step = np.float32(share.max() / (2 ** (self.config.bits - 1) - 1))
        layer = IntegerLayer(
            weight=np.rint(share / step).astype(np.int8)[:, None],
            weight_scale=np.array([step, step], np.float32),
            bias=np.zeros(2, np.int32),
            inputs=Levels(max(float(calibration.max()), 1.0) / (2**self.config.bits - 1), 0, self.config.bits),
        )
        return QuantizedPolicy(IntegerMlp((layer,), self.config.bits, "rounding"))


class CountingConfig(PluginConfig):
    """How long is played."""

    episodes: int = Field(4, ge=1, description="Environment steps to play.")


def _count(env: Any, policy: Any, config: Any, context: Any) -> None:
    observations, _ = env.reset()
    rng = np.random.default_rng(0)
    for step in range(config.episodes):
        observations, rewards, *_ = env.step(policy.act(observations, rng=rng))
        context.record("played", step, float(rewards.mean()))


def _come_to_grief(mishap: Mishap | None) -> None:
    if mishap is not None:
        _MISHAPS[mishap]()


def _raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


_MISHAPS: Mapping[Mishap, Callable[[], None]] = {
    "raise": _raising(ArithmeticError("as it was told")),
    "user_error": _raising(UserError("as it was told")),
    "interrupted": _raising(Interrupted("as it was told")),
    "keyboard_interrupt": _raising(KeyboardInterrupt("as it was told")),
    "exit": lambda: sys.exit(0),
    "os_exit": lambda: os._exit(0),
    "vanish": lambda: ctypes.CDLL(None)._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(3600),
}


@hookimpl
def qecforge_environments() -> list[EnvironmentSpec]:
    """The ring."""
    counting = EvaluationSpec(name="count", summary="Plays some steps.", config=CountingConfig, evaluate=_count)
    return [
        EnvironmentSpec(
            name="example_stroll",
            summary="A walk on a ring.",
            config=StrollConfig,
            make=Stroll,
            actions="discrete",
            native_reward=True,
            finds_codes=True,
            evaluations=(counting,),
        )
    ]


@hookimpl
def qecforge_agents() -> list[AgentSpec]:
    """The agent."""
    return [
        AgentSpec(
            name="example_stroller",
            summary="Walks at random.",
            config=StrollerConfig,
            make=Stroller,
            trains_on=frozenset({"discrete"}),
        )
    ]


@hookimpl
def qecforge_quantizers() -> list[QuantizerSpec]:
    """The quantizer."""
    return [
        QuantizerSpec(
            name="example_rounding", summary="Rounds.", config=RoundingConfig, make=Rounding, kind="post_training"
        )
    ]
