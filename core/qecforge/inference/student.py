"""The policy that is fine-tuned under fake quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.errors import CheckpointError
from qecforge.hookspecs import Policy
from qecforge.inference._acting import choose_actions
from qecforge.inference.fake_quantize import FakeQuantizedMlp

__all__ = ["StudentPolicy"]


class StudentPolicy(Policy):
    """A softmax policy over N actions whose logits are fake-quantised; an agent trains it in place.

    Args:
        module: Calibrated.
        value_module: (M, *observation_shape) float32 -> (M, 1), a value network of its own to go on with; None where
            the agent shall start afresh.
        start: First action's number in the environment's action space.
    """

    def __init__(self, module: FakeQuantizedMlp, value_module: nn.Module | None = None, *, start: int = 0) -> None:
        self._module, self.value_module, self.start = module, value_module, start

    @property
    def module(self) -> FakeQuantizedMlp:
        """From observations to logits."""
        return self._module

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions (B,) int64: the most likely ones, or drawn with `rng` (Gumbel-max)."""
        device = self._module.parts()[0].weight.device
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(observations)).to(device=device, dtype=torch.float32)
            logits = self._module(x).cpu().numpy()
        return choose_actions(logits, action_mask=action_mask, deterministic=deterministic, rng=rng, start=self.start)

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, steps and calibration (`policy.`), and weights of the value network (`value.`)."""
        state = {f"policy.{name}": tensor for name, tensor in self._module.state_dict().items()}
        if self.value_module is not None:
            state |= {f"value.{name}": tensor for name, tensor in self.value_module.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over all of it. Raises `CheckpointError` where names or shapes differ."""
        own = self.state_dict()
        if set(state) != set(own):
            names = sorted(set(state) ^ set(own))
            raise CheckpointError(f"student weights: names differ ({', '.join(names[:4])}): this is another network")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise CheckpointError(
                    f"student weights: {name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}: "
                    "build the student with the configuration that it was trained with"
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])
