"""A policy whose logits come from a torch module: what a float policy and a fake-quantised student have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts.policy import WEIGHTS, Policy, weights_of
from qecforge.errors import CheckpointError
from qecforge.inference._acting import choose_actions
from qecforge.inference.network import NETWORK, describe_layers

__all__ = ["ModulePolicy"]


class ModulePolicy(Policy):
    """A softmax policy over N actions.

    Args:
        module: (M, *observation_shape) float32 -> logits (M, N); with at least one parameter.
        value_module: (M, *observation_shape) float32 -> (M, 1), the value network beside it; None where there is none.
        start: First action's number in the environment's action space.
    """

    def __init__(self, module: nn.Module, value_module: nn.Module | None = None, *, start: int = 0) -> None:
        self._module, self.value_module, self.start = module, value_module, start

    @property
    def module(self) -> nn.Module:
        """From observations to logits."""
        return self._module

    def logits(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """(B, N) logits of (B, *observation_shape) observations, computed where the module is."""
        device = next(self._module.parameters()).device
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(observations)).to(device=device, dtype=torch.float32)
            logits: NDArray[np.float32] = self._module(x).cpu().numpy()
        return logits

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions (B,) int64: the most likely ones, or drawn with `rng` (Gumbel-max).

        Raises:
            ConfigurationError: Actions are to be sampled, and `rng` is None.
        """
        logits = self.logits(observations)
        return choose_actions(logits, action_mask=action_mask, deterministic=deterministic, rng=rng, start=self.start)

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers of the module (`policy.`) and of the value network (`value.`)."""
        state = {f"policy.{name}": tensor for name, tensor in self._module.state_dict().items()}
        if self.value_module is not None:
            state |= {f"value.{name}": tensor for name, tensor in self.value_module.state_dict().items()}
        return state

    def files(self) -> Mapping[str, bytes | Path]:
        """The weights; where the networks are plain perceptrons, with a description by which
        `qecforge.inference.described.described_policy` builds them."""
        policy = describe_layers(self.module)
        value = None if self.value_module is None else describe_layers(self.value_module)
        if policy is None or (value is None) != (self.value_module is None):
            return {WEIGHTS: weights_of(self)}
        description = {"format": 1, "start": int(self.start), "policy": policy, "value": value}
        return {WEIGHTS: weights_of(self, {NETWORK: json.dumps(description, separators=(",", ":"))})}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over all of it. Raises `CheckpointError` where names or shapes differ."""
        own = self.state_dict()
        if set(state) != set(own):
            names = sorted(set(state) ^ set(own))
            raise CheckpointError(f"policy weights: names differ ({', '.join(names[:4])}): this is another network")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise CheckpointError(
                    f"policy weights: {name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}: "
                    "build the policy with the configuration that it was trained with"
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])
