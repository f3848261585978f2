"""What an agent leaves behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["WEIGHTS", "ActionHead", "Policy", "SavedPolicy", "weights_of"]

WEIGHTS = "policy.safetensors"
"""Name of the one file of a policy that has no others."""


_CLIP = 10.0
"""Of normalised observations."""


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


@dataclass(frozen=True, eq=False)
class ActionHead:
    """From what a network gives to actions, and from observations to what it takes.

    Behind the last linear layer of the network stands tanh, which gives unit actions u in -1..1; actions are
    (low + high) / 2 + u (high - low) / 2, with normal noise on u where they are drawn.

    Attributes:
        low, high: (*action_shape) finite ends of the box, of the actions' dtype.
        noise: Standard deviation of the noise on u; 0 draws nothing.
        mean, scale: (D,) float32; the network takes clip((observation - mean) scale, -10, 10). None: observations as
            they are.
        divisor: (D,) float32, positive, by which the above is divided: ranges that integers share. None: by nothing.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    noise: float = 0.0
    mean: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    divisor: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.dtype != self.high.dtype:
            raise ConfigurationError(
                f"actions: low is {self.low.dtype} {self.low.shape}, high {self.high.dtype} {self.high.shape}, "
                "expected the same: take both from the action space"
            )
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all() and (self.low < self.high).all()):
            raise ConfigurationError(f"actions: got {self.low} to {self.high}, expected finite bounds, low below high")
        if (self.mean is None) != (self.scale is None):
            raise ConfigurationError("observations: got one of mean and scale, expected both or neither")

    def shown(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """(B, *observation_shape) -> (B, D), what the network takes."""
        shown: NDArray[np.float32] = np.asarray(observations, np.float32).reshape(len(observations), -1)
        if self.mean is not None and self.scale is not None:
            shown = np.clip((shown - self.mean) * self.scale, -_CLIP, _CLIP)
        return shown if self.divisor is None else shown / self.divisor

    def actions(
        self, unit: NDArray[np.float32], *, deterministic: bool, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        """(B, A) unit actions -> (B, *action_shape), within the box.

        Raises:
            ConfigurationError: Actions are to be drawn, and `rng` is None.
        """
        if not deterministic and self.noise:
            if rng is None:
                raise ConfigurationError(
                    "act: deterministic is False and rng is missing: pass rng, a numpy.random.Generator"
                )
            unit = unit + np.float32(self.noise) * rng.standard_normal(unit.shape, np.float32)
        low, high = self.low.reshape(-1), self.high.reshape(-1)
        middle, half = (low.astype(np.float64) + high) / 2, (high.astype(np.float64) - low) / 2
        actions: NDArray[Any] = np.clip((middle + half * unit).astype(low.dtype), low, high)
        return actions.reshape(len(unit), *self.low.shape)


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
