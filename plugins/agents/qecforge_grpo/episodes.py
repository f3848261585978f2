"""Whole episodes of groups that begin alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import Environment
from qecforge.errors import ConfigurationError
from qecforge.learning.stepping import FilledSteps

__all__ = ["Act", "Episodes", "as_tensors", "play_episodes"]

Act = Callable[[NDArray[Any], NDArray[np.bool_] | None], tuple[Tensor, Tensor]]
"""(B, *shape) observations and (B, N) mask or None -> actions (B,) and their log probabilities (B,)."""


@dataclass(frozen=True)
class Episodes:
    """E episodes of at most T steps, those of a group one after the other.

    Attributes:
        observations: (E, T, *shape), the environment's dtype; zeros after the end.
        action_mask: (E, T, N) bool, or None where every action is allowed; all True after the end.
        actions: (E, T) int64.
        log_probs: (E, T) float32, under the policy that acted.
        mask: (E, T) bool, the steps that are part of the episode.
        returns: (E,) float64, undiscounted.
        states: (E, T, ...) `Environment.compact_states` before each step, or None.
        steps: Steps that were played, those that belong to no episode included.
    """

    observations: NDArray[Any]
    action_mask: NDArray[np.bool_] | None
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    mask: NDArray[np.bool_]
    returns: NDArray[np.float64]
    states: NDArray[Any] | None
    steps: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(E,) steps of each."""
        lengths: NDArray[np.int64] = self.mask.sum(1)
        return lengths

    def chosen(self, rows: NDArray[np.int64]) -> Episodes:
        """Those of the given numbers, without the steps that none of them reaches."""
        longest = int(self.lengths[rows].max())

        def of(table: NDArray[Any] | None) -> Any:
            return None if table is None else table[rows, :longest]

        return Episodes(
            observations=of(self.observations),
            action_mask=of(self.action_mask),
            actions=of(self.actions),
            log_probs=of(self.log_probs),
            mask=of(self.mask),
            returns=self.returns[rows],
            states=of(self.states),
            steps=int(self.mask[rows].sum()),
        )


def play_episodes(
    env: Environment,
    steps: FilledSteps,
    act: Act,
    *,
    group_size: int,
    episodes: int,
    longest: int,
    seed: int,
    start: int = 0,
    with_states: bool = False,
) -> Episodes:
    """Start all members anew, in groups, and play until each has ended so many episodes.

    Args:
        seed: For the reset.
        start: Number of the first action in the environment's action space.

    Raises:
        ConfigurationError: the environment has no groups, or an episode does not end within `longest` steps.
    """
    observations, infos = steps.reset(seed=seed, options={"group_size": group_size})
    members, table = env.num_envs, _Table(env.num_envs, episodes)
    while not table.complete:
        mask = infos.get("action_mask")
        states = env.compact_states() if with_states else None
        actions, log_probs = act(observations, mask)
        chosen = actions.cpu().numpy()
        shown = np.array(observations), None if mask is None else np.array(mask), states
        observations, rewards, terminated, truncated, infos = steps.step(chosen + start if start else chosen)
        table.add(shown, chosen, log_probs.cpu().numpy(), rewards, terminated | truncated)
        if table.longest > longest:
            raise ConfigurationError(
                f"grpo: an episode of {type(env).__name__} did not end within {longest} steps: raise longest_episode "
                "or have the environment end its episodes"
            )
    return table.episodes(members)


class _Table:
    """What happened, step by step; which rows belong to which episode is known as they come."""

    def __init__(self, members: int, episodes: int) -> None:
        self._episodes = episodes
        self._rows: list[tuple[Any, ...]] = []
        self._numbers: list[NDArray[np.int64]] = []
        self._places: list[NDArray[np.int64]] = []
        self._number = np.zeros(members, np.int64)
        self._place = np.zeros(members, np.int64)
        self._returns = np.zeros((members, episodes + 1))

    @property
    def complete(self) -> bool:
        return bool((self._number >= self._episodes).all())

    @property
    def longest(self) -> int:
        """Steps of the longest episode so far that counts."""
        counts = self._number < self._episodes
        return int(self._place[counts].max(initial=0))

    def add(self, shown: tuple[Any, ...], *rest: Any) -> None:
        rewards, ended = rest[-2], rest[-1]
        self._rows.append((*shown, *rest[:-2]))
        number = np.minimum(self._number, self._episodes)
        self._numbers.append(number)
        self._places.append(self._place.copy())
        self._returns[np.arange(len(number)), number] += rewards
        self._number += ended
        self._place = np.where(ended, 0, self._place + 1)

    def episodes(self, members: int) -> Episodes:
        numbers, places = np.stack(self._numbers), np.stack(self._places)
        counts = numbers < self._episodes
        time, member = np.nonzero(counts)
        # Episode k of all members, then k + 1: those of a group, which begin alike, stand together.
        row, place = numbers[counts] * members + member, places[counts]
        shape = (members * self._episodes, int(place.max()) + 1)

        def filled(column: int, blank: Any) -> Any:
            first = self._rows[0][column]
            if first is None:
                return None
            table = np.full((*shape, *first.shape[1:]), blank, first.dtype)
            table[row, place] = np.stack([each[column] for each in self._rows])[time, member]
            return table

        mask = np.zeros(shape, np.bool_)
        mask[row, place] = True
        return Episodes(
            observations=filled(0, 0),
            action_mask=filled(1, True),
            actions=filled(3, 0),
            log_probs=filled(4, 0),
            mask=mask,
            returns=np.ascontiguousarray(self._returns[:, : self._episodes].T).ravel(),
            states=filled(2, 0),
            steps=numbers.size,
        )


def as_tensors(episodes: Episodes, device: torch.device) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """Observations (E, T, D) float32, action mask, actions, log probabilities and mask on the device."""
    count, length = episodes.mask.shape
    flat = np.ascontiguousarray(episodes.observations.reshape(count, length, -1), dtype=np.float32)
    allowed = None if episodes.action_mask is None else torch.from_numpy(episodes.action_mask).to(device)
    return (
        torch.from_numpy(flat).to(device),
        allowed,
        torch.from_numpy(episodes.actions).to(device),
        torch.from_numpy(episodes.log_probs).to(device),
        torch.from_numpy(episodes.mask).to(device),
    )
