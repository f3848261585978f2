"""What an agent leaves behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    import torch

    from qecforge.contracts.heads import ActionHead

__all__ = ["WEIGHTS", "Policy", "SavedPolicy", "weights_of"]

WEIGHTS = "policy.safetensors"
"""Name of the one file of a policy that has no others."""


class SavedPolicy(ABC):
    """What can be kept as files, whatever it acts on."""

    @abstractmethod
    def files(self) -> Mapping[str, bytes | Path]:
        """All that brings the policy back into one that `Agent.build_policy` gives, by name.

        Returns:
            One or more: content, or a file to copy. A name is at most 100 letters, digits, `.`, `_` and `-`. They are
            filed together: a run has all of them or none. What the agent's configuration names, such as a base model,
            is left out where `AgentSpec.pin` names its exact revision.
        """

    @abstractmethod
    def load_files(self, files: Mapping[str, bytes]) -> None:
        """Load what `files` gave. Raises `CheckpointError` where files are missing, foreign or damaged."""


class Policy(SavedPolicy):
    """What an agent has learned: it acts on observations, and can be saved.

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

    def files(self) -> Mapping[str, bytes | Path]:
        """See `SavedPolicy.files`; by default the weights alone, as `policy.safetensors`."""
        return {WEIGHTS: weights_of(self)}

    def load_files(self, files: Mapping[str, bytes]) -> None:
        """See `SavedPolicy.load_files`."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        if set(files) != {WEIGHTS}:
            got = ", ".join(sorted(files)) or "none"
            raise CheckpointError(f"{type(self).__name__}: got the files {got}, expected {WEIGHTS}")
        try:
            weights = load(files[WEIGHTS])
        except SafetensorError as error:
            raise CheckpointError(f"{WEIGHTS}: not a safetensors file ({error}): run its manifest anew") from error
        self.load_state_dict(weights)

    @property
    def module(self) -> torch.nn.Module:
        """The network from observations to logits (or action means), for quantizers. Raises `ConfigurationError` where
        there is none."""
        raise ConfigurationError(
            f"{type(self).__name__} has no network, which quantizers and ONNX need: train an agent whose policy has one"
        )

    @property
    def head(self) -> ActionHead | None:
        """What makes continuous actions of the network's outputs, for quantizers; `module` then ends with tanh. None
        where the outputs are logits of discrete actions, or where it is no such policy."""
        return None


def weights_of(policy: Policy, metadata: Mapping[str, str] | None = None) -> bytes:
    """The policy's weights in the safetensors format.

    Args:
        metadata: Of the file.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    content: bytes = save(tensors, metadata=None if metadata is None else dict(metadata))
    return content
