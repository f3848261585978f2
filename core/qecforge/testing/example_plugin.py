"""A plugin for tests of what carries runs out: an environment that finds the five-qubit code, an agent whose runs fail,
kill their process or take their time as they are told, and a quantizer for its policies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from qecforge.contracts import Agent, PluginConfig, Quantizer, TrainingContext
from qecforge.errors import Interrupted, UserError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, QuantizerSpec, hookimpl
from qecforge.inference.policy import QuantizedPolicy
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.testing.walks import CountingPolicy, Ring, rounded

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


class Stroll(Ring):
    """The ring, after what its constructor is told to do to the run."""

    def __init__(self, config: StrollConfig, *, num_envs: int, seed: int, reward: Any) -> None:
        _come_to_grief(config.mishap)
        super().__init__(config, num_envs=num_envs, seed=seed, reward=reward)


class StrollerConfig(PluginConfig):
    """How long, how slowly, and what goes wrong on the way."""

    total_steps: int = Field(200, ge=1, description="Environment steps.")
    slow_while: str | None = Field(None, description="A file: as long as it is there, each step takes 50 ms more.")
    mishap: Mishap | None = Field(None, description="What the run does to itself.")
    mishap_at: int = Field(100, ge=0, description="Environment step at which it does so.")


class Stroller(Agent):
    """Walks at random with four members."""

    num_envs = 4

    def __init__(self, config: StrollerConfig) -> None:
        self.config, self.policy, self.step = config, CountingPolicy(), 0
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

    def build_policy(self, env: Any) -> CountingPolicy:
        """An empty one."""
        return CountingPolicy()

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
        return rounded(policy, calibration, bits=self.config.bits, method="rounding")


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
