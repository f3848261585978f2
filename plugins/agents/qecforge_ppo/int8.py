"""Actors in integers: what plays the rollouts where `actor` is int8."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerMlp
from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.calibration import space_holds_levels
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.inference.quantization.observers import FEWEST_STATES
from qecforge.inference.runtimes.native import NativeRuntime
from qecforge_ppo.networks import ActorCritic

__all__ = ["CALIBRATION_STATES", "Int8Actors", "calibration_states"]

CALIBRATION_STATES = 1024
"""Of the last rollout, for each agent (APQ paper: 1024 for its post-training baselines)."""

_BITS = 8


class Int8Actors:
    """The policies of A agents in integers, per-channel weights and min-max ranges, as they stand at one instant.

    Args:
        networks: Not changed. A given policy that is fake-quantised already is taken with its own steps.
        calibration: (A, S, *observation_shape) states that each agent has met lately.
        space: Of one observation.
        threads: For one call.

    Raises:
        ConfigurationError: a policy is no perceptron, or too few states are given.
    """

    def __init__(
        self, networks: ActorCritic, calibration: NDArray[Any], space: gymnasium.Space[Any], threads: int
    ) -> None:
        takes_levels = space_holds_levels(space, _BITS)
        self._runtimes = [
            NativeRuntime(_integers(networks.actor_module(agent), states, takes_levels), threads=threads)
            for agent, states in enumerate(calibration)
        ]

    def logits(self, observations: NDArray[Any]) -> Tensor:
        """(B, *observation_shape), agent a's members a m .. (a + 1) m - 1 -> (A, m, N) float32 on the CPU."""
        parts = np.split(observations, len(self._runtimes))
        logits = [runtime.logits(part) for runtime, part in zip(self._runtimes, parts, strict=True)]
        return torch.from_numpy(np.stack(logits))


def calibration_states(observations: NDArray[Any], agents: int) -> NDArray[Any]:
    """(T, B, *shape) observations of a rollout -> (A, S, *shape), copies, S <= `CALIBRATION_STATES`: evenly spaced, so
    that every step of the rollout and every member has its part."""
    horizon, members = len(observations), observations.shape[1] // agents
    by_agent = observations.reshape(horizon, agents, members, *observations.shape[2:]).swapaxes(0, 1)
    samples = by_agent.reshape(agents, horizon * members, *observations.shape[2:])
    count = min(CALIBRATION_STATES, horizon * members)
    chosen = np.arange(count) * (horizon * members) // count
    return np.ascontiguousarray(samples[:, chosen])


def _integers(module: torch.nn.Module, states: NDArray[Any], takes_levels: bool) -> IntegerMlp:
    if not isinstance(module, FakeQuantizedMlp):
        if len(states) < FEWEST_STATES:
            raise ConfigurationError(
                f"actor: int8 takes its ranges from the last rollout, where an agent met {len(states)} states, "
                f"expected {FEWEST_STATES} or more: raise num_envs or horizon, or set actor to float"
            )
        fake = FakeQuantizedMlp(
            read_mlp(module),
            bits=_BITS,
            takes_levels=takes_levels,
            learn_weights=False,
            learn_weight_steps=False,
            learn_activation_steps=False,
        )
        fake.calibrate(states)
        module = fake
    return to_integer(module, "ppo")
