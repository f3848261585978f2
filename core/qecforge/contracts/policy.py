"""What an agent leaves behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["Policy"]


class Policy(ABC):
    """What an agent leaves behind: acts on observations, and can be saved.

    Attributes:
        start: First action's number in the environment's action space, where actions are discrete.
    """

    start: int = 0

    @abstractmethod
    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions for a batch.

        Args:
            observations: (B, *observation_shape). Not mutated.
            action_mask: (B, A) bool, True where an action is allowed; None where all are.
            deterministic: Take the action that the policy holds for best, instead of a drawn one. A policy that samples
                on the way to it (the bits of a quantum circuit, say) needs `rng` then too.
            rng: All randomness comes from it: generators in the same state give the same actions. The core passes one
                always.

        Returns:
            (B,) numbers of discrete actions, from `start` on; (B, *action_shape) of others, within the bounds of their
            space.

        Raises:
            ConfigurationError: `rng` is missing, and the policy needs it.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights, as safetensors keeps them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over weights. Raises `CheckpointError` where names or shapes differ."""

    @property
    def module(self) -> torch.nn.Module:
        """The network from observations to logits (or action means), for quantizers. Raises `ConfigurationError` where
        there is none."""
        raise ConfigurationError(
            f"{type(self).__name__} has no network, which quantizers and ONNX need: train an agent whose policy has one"
        )
