"""The policy that training leaves: observations to actions in the environment's own units."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts import ActionHead, Environment, Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge_td3.actors import Actor, Explored, HybridActor, PlainActor
from qecforge_td3.blocks import Pqc, needed
from qecforge_td3.quantum import make_backend

__all__ = ["ActionRange", "HybridPolicy", "Normalizer", "spaces"]


class ActionRange:
    """Actions of a bounded box in the environment's units, and the same in -1..1 along each axis.

    Args:
        space: Refused where it is no box, or one without bounds.
    """

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise ConfigurationError(
                f"td3: the action space is {space}, expected a Box of real numbers: choose an agent for such actions"
            )
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ConfigurationError(f"td3: the action space is {space}, expected bounds that are finite: bound it")
        self.shape, self.dtype = space.shape, space.dtype
        self.low, self.high = space.low.reshape(-1), space.high.reshape(-1)
        self._middle = (self.low.astype(np.float64) + self.high) / 2
        self._half = (self.high.astype(np.float64) - self.low) / 2

    @property
    def size(self) -> int:
        """A, numbers in an action."""
        return len(self.low)

    def to_environment(self, unit: NDArray[Any]) -> NDArray[Any]:
        """(B, A) in -1..1 -> (B, *shape) in the environment's units and type, within its bounds."""
        actions: NDArray[Any] = np.clip((self._middle + self._half * unit).astype(self.dtype), self.low, self.high)
        return actions.reshape(len(unit), *self.shape)


class Normalizer(nn.Module):
    """Running mean and variance of observations (B, D), by which they are normalised and held within -10..10."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(width, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def update(self, s: Tensor) -> None:
        """Count these observations in (Chan et al. 1979)."""
        s = s.to(self.mean.dtype)
        added, total = len(s), float(self.count) + len(s)
        delta = s.mean(0) - self.mean
        variance = s.var(0, correction=0)
        kept = float(self.count) / total
        self.variance.mul_(kept).add_(variance, alpha=added / total).addcmul_(delta, delta, value=kept * added / total)
        self.mean.add_(delta, alpha=added / total)
        self.count.fill_(total)

    def forward(self, s: Tensor) -> Tensor:
        """(B, D) float32 -> the same."""
        scale = torch.rsqrt(self.variance + 1e-8).float()
        return ((s - self.mean.float()) * scale).clamp_(-10.0, 10.0)


class HybridPolicy(Policy):
    """What `td3` leaves behind. Acts with the block as it is: bits are drawn, in deterministic play too.

    Args:
        actor: In -1..1.
        normalizer: Of observations; None where they are not normalised.
        actions: The environment's range.
        noise: Standard deviation of what is added where actions are drawn, in halves of the range.
    """

    def __init__(self, actor: Actor, normalizer: Normalizer | None, actions: ActionRange, noise: float) -> None:
        self.actor, self.normalizer, self.actions, self.noise = actor, normalizer, actions, noise

    @torch.inference_mode()
    def explore(self, observations: NDArray[Any], rng: np.random.Generator | None) -> Explored:
        """(B, *observation_shape) -> actions in -1..1 without noise, q_in and q_out."""
        s = torch.from_numpy(np.ascontiguousarray(observations, np.float32).reshape(len(observations), -1))
        s = s.to(next(self.actor.parameters()).device)
        return self.actor.explore(s if self.normalizer is None else self.normalizer(s), rng)

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions (B, *action_shape) in the environment's units.

        Args:
            deterministic: Without exploration noise. Bits of a circuit, and random bits, are drawn all the same.

        Raises:
            ConfigurationError: Something is to be drawn, and `rng` is None.
        """
        unit = self.explore(observations, rng).actions.cpu().numpy()
        if not deterministic:
            unit = unit + self.noise * needed(rng, "actions").standard_normal(unit.shape, np.float32)
        return self.actions.to_environment(unit)

    def with_backend(self, backend: Any) -> HybridPolicy:
        """The same policy with its circuits carried out elsewhere. Weights are shared.

        Args:
            backend: What `qecforge_td3.quantum.make_backend` takes, such as "exact", {"fake": NAME},
                {"depolarizing": p} or any `SamplerV2` of qiskit.

        Raises:
            ConfigurationError: It has no quantum circuit, or there is no such backend.
        """
        actor = copy.copy(self.actor)
        if not isinstance(actor, HybridActor) or not isinstance(actor.block, Pqc):
            raise ConfigurationError("td3: this policy has no quantum circuit: train one with `block: pqc`")
        block = copy.copy(actor.block)
        block.circuit = make_backend(backend, block.paper_circuit)
        actor.block = block
        return HybridPolicy(actor, self.normalizer, self.actions, self.noise)

    @property
    def module(self) -> nn.Module:
        """The actor, where it is one network from (normalised) observations to actions in -1..1: without a block and
        without noise in it. Its weights are the policy's. Raises `ConfigurationError` where it is not."""
        if not isinstance(self.actor, PlainActor):
            raise ConfigurationError(
                "td3: the actor contains a block, so it is not a plain network: train it with `block: none`"
            )
        if self.actor.hidden_noise:
            raise ConfigurationError(
                "td3: the actor's hidden layer has noise, so it is not a plain network: train it with `hidden_noise: 0`"
            )
        return self.actor.perceptron()

    @property
    def head(self) -> ActionHead:
        """The environment's range, the exploration noise, and what observations are normalised by."""
        low, high = (
            end.reshape(self.actions.shape).astype(self.actions.dtype) for end in (self.actions.low, self.actions.high)
        )
        if self.normalizer is None:
            return ActionHead(low, high, self.noise)
        mean = self.normalizer.mean.float().cpu().numpy()
        scale = torch.rsqrt(self.normalizer.variance + 1e-8).float().cpu().numpy()
        return ActionHead(low, high, self.noise, mean, scale)

    def state_dict(self) -> dict[str, Tensor]:
        """Weights of the actor (`actor.`), and what observations are normalised by (`observations.`)."""
        state = {f"actor.{name}": tensor for name, tensor in self.actor.state_dict().items()}
        if self.normalizer is not None:
            state |= {f"observations.{name}": tensor for name, tensor in self.normalizer.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over all of it. Raises `CheckpointError` where names or shapes differ."""
        own = self.state_dict()
        if set(state) != set(own):
            names = sorted(set(state) ^ set(own))
            raise CheckpointError(
                f"td3: the policy's weights have other names ({', '.join(names[:4])}): they belong to another actor"
            )
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise CheckpointError(
                    f"td3: policy weights: {name} has shape {tuple(state[name].shape)}, expected "
                    f"{tuple(tensor.shape)}: build the policy with the configuration that it was trained with"
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])


def spaces(env: Environment) -> tuple[int, ActionRange]:
    """Elements of an observation, and the range of actions. Raises `ConfigurationError` for spaces that td3 is not
    for."""
    space = env.single_observation_space
    if isinstance(space, gymnasium.spaces.Discrete) or not space.shape:
        raise ConfigurationError(f"td3: the observation space is {space}, expected an array such as a Box")
    return int(np.prod(space.shape)), ActionRange(env.single_action_space)
