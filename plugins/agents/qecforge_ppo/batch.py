"""A rollout as samples to learn from, shuffled into minibatches.

Shapes: A agents, M samples of each in a minibatch, D observation elements, N actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import TrainingBatch
from qecforge_ppo.rollout import Rollout

__all__ = ["Batch", "Minibatch"]


class Minibatch:
    """Samples of every agent: inputs (A, M, D), mask (A, M, N) or None, the rest (A, M)."""

    __slots__ = ("actions", "advantages", "inputs", "log_probs", "mask", "returns", "states", "values")

    inputs: Tensor
    mask: Tensor | None
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor
    states: NDArray[Any] | None

    def as_training_batch(self, logits: Tensor, progress: float, shape: tuple[int, ...]) -> TrainingBatch:
        """What an `ExtraLoss` is shown; one agent."""
        return TrainingBatch(
            observations=self.inputs[0].reshape(-1, *shape),
            logits=logits[0],
            actions=self.actions[0],
            action_mask=None if self.mask is None else self.mask[0],
            states=self.states,
            progress=progress,
        )


class Batch:
    """A rollout as samples, one agent's after another's: n per agent."""

    def __init__(self, rollout: Rollout, advantages: NDArray[Any], values: NDArray[Any]) -> None:
        steps = (rollout.horizon, rollout.agents, rollout.members)
        device = rollout.inputs.device
        self.agents, self.samples = rollout.agents, rollout.horizon * rollout.members
        self.inputs = rollout.by_agent(rollout.inputs[:-1])
        self.mask = None
        if rollout.masks is not None:
            self.mask = rollout.by_agent(torch.from_numpy(rollout.masks[:-1]).view(*steps, -1).to(device))
        self.actions = rollout.by_agent(rollout.actions)
        self.log_probs = rollout.by_agent(rollout.log_probs)
        self.advantages = rollout.by_agent(torch.from_numpy(advantages).view(steps).to(device))
        self.values = rollout.by_agent(torch.from_numpy(values[:-1]).view(steps).to(device))
        self.returns = self.advantages + self.values
        self.states = None if rollout.states is None else rollout.states.reshape(-1, *rollout.states.shape[2:])

    def shuffled(self, generators: Sequence[torch.Generator], size: int) -> Iterator[Minibatch]:
        """All samples once, in an order of each agent's own, as minibatches of nearly equal size: at most `size`, and
        at least 2, without which no deviation of advantages would exist (so 3 where `size` is 2 and one is left over).
        """
        orders = [torch.randperm(self.samples, generator=generator) for generator in generators]
        order = torch.cat([index + agent * self.samples for agent, index in enumerate(orders)])
        on_device = order.to(self.inputs.device)

        def ordered(rows: Tensor) -> Tensor:
            return rows.index_select(0, on_device).view(self.agents, self.samples, *rows.shape[1:])

        inputs, actions, log_probs = ordered(self.inputs), ordered(self.actions), ordered(self.log_probs)
        advantages, values, returns = ordered(self.advantages), ordered(self.values), ordered(self.returns)
        mask = None if self.mask is None else ordered(self.mask)
        count = min(-(-self.samples // size), self.samples // 2)
        for part in range(count):
            rows = slice(part * self.samples // count, (part + 1) * self.samples // count)
            minibatch = Minibatch()
            minibatch.inputs, minibatch.actions = inputs[:, rows], actions[:, rows]
            minibatch.log_probs, minibatch.advantages = log_probs[:, rows], advantages[:, rows]
            minibatch.values, minibatch.returns = values[:, rows], returns[:, rows]
            minibatch.mask = None if mask is None else mask[:, rows]
            minibatch.states = None if self.states is None else self.states[order[rows].numpy()]
            yield minibatch
