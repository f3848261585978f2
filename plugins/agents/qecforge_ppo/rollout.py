"""What happened in the last T steps of B members: preallocated, written by the environment itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import StepBuffers

__all__ = ["Rollout"]


class Rollout:
    """T steps of B members, B = A agents x m members each (agent a owns members a m .. (a + 1) m - 1).

    Attributes:
        observations: (T + 1, B, *shape), the environment's dtype; row T is the observation after the last step.
        masks: (T + 1, B, N) bool, or None where every action is allowed.
        rewards, terminated, truncated, final_values: (T, B).
        inputs: (T + 1, A, m, D) float32 on the device: observations, flattened.
        actions, log_probs: (T, A, m) on the device.
        states: (T, B, ...) `Environment.compact_states` before each step, or None where nobody asked.
    """

    def __init__(
        self,
        horizon: int,
        observations: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        agents: int,
        device: torch.device,
    ) -> None:
        members = len(observations)
        self.horizon, self.agents, self.members = horizon, agents, members // agents
        self.observations = np.zeros((horizon + 1, *observations.shape), observations.dtype)
        self.masks = None if mask is None else np.ones((horizon + 1, *mask.shape), np.bool_)
        self.rewards = np.zeros((horizon, members), np.float32)
        self.terminated = np.zeros((horizon, members), np.bool_)
        self.truncated = np.zeros((horizon, members), np.bool_)
        self.final_values = np.zeros((horizon, members), np.float32)
        shape = (horizon, agents, self.members)
        self.inputs = torch.zeros((horizon + 1, *shape[1:], int(np.prod(observations.shape[1:]))), device=device)
        self.actions = torch.zeros(shape, dtype=torch.int64, device=device)
        self.log_probs = torch.zeros(shape, device=device)
        self.states: NDArray[Any] | None = None
        self.begin_with(observations, mask)

    def begin_with(self, observations: NDArray[Any], mask: NDArray[np.bool_] | None) -> None:
        """Set row 0."""
        self.observations[0] = observations
        if self.masks is not None and mask is not None:
            self.masks[0] = mask

    def carry_over(self) -> None:
        """The observation after the last step becomes the first of the next rollout."""
        self.begin_with(self.observations[-1], None if self.masks is None else self.masks[-1])

    def buffers(self, t: int) -> StepBuffers:
        """Where step t's outcome goes."""
        return StepBuffers(
            observations=self.observations[t + 1],
            rewards=self.rewards[t],
            terminated=self.terminated[t],
            truncated=self.truncated[t],
            action_mask=None if self.masks is None else self.masks[t + 1],
        )

    def input(self, t: int) -> Tensor:
        """(A, m, D): observation t as the networks take it, kept in `inputs`."""
        row = self.inputs[t]
        row.copy_(torch.from_numpy(self.observations[t]).view(row.shape))
        return row

    def mask(self, t: int) -> Tensor | None:
        """(A, m, N) bool on the device."""
        if self.masks is None:
            return None
        return torch.from_numpy(self.masks[t]).view(self.agents, self.members, -1).to(self.inputs.device)

    def keep_states(self, t: int, states: NDArray[Any]) -> None:
        """Store the compact states before step t."""
        if self.states is None:
            self.states = np.zeros((self.horizon, *states.shape), states.dtype)
        self.states[t] = states

    def by_agent(self, steps: Tensor) -> Tensor:
        """(T, A, m, ...) -> (A T m, ...), one agent's samples after another's."""
        return steps.transpose(0, 1).reshape(-1, *steps.shape[3:])
