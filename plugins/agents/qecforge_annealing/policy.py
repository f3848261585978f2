"""What `annealing` leaves behind: the best sequence, as a table from what is observed to the action taken there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import Policy
from qecforge.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["TablePolicy"]


class TablePolicy(Policy):
    """Plays a sequence again wherever it is observed where it led; elsewhere it takes an action that is allowed.

    Args:
        observations: (G, D) numbers, what was observed before each action of the sequence.
        actions: (G,) the actions.
        num_actions: How many there are.
        start: First action's number in the environment's action space; `actions` count from 0.
    """

    def __init__(self, observations: NDArray[Any], actions: NDArray[Any], num_actions: int, start: int = 0) -> None:
        self.observations = np.asarray(observations, np.float32)
        self.actions = np.asarray(actions, np.int64)
        self.num_actions, self.start = num_actions, start
        self._index()

    def _index(self) -> None:
        # Backwards: of states that are visited twice, the last action leads to the end.
        self._known = {row.tobytes(): int(action) for row, action in zip(self.observations, self.actions, strict=True)}

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """See `Policy.act`. Where nothing is known, or what is known is not allowed: the first action that is, or one
        drawn by `rng`.

        Raises:
            ConfigurationError: Actions are to be drawn, and `rng` is missing.
        """
        if not deterministic and rng is None:
            raise ConfigurationError("annealing: actions are to be drawn, and `rng` is missing: give a generator")
        rows = np.ascontiguousarray(observations, np.float32).reshape(len(observations), -1)
        taken = np.empty(len(rows), np.int64)
        for b, row in enumerate(rows):
            allowed = np.arange(self.num_actions) if action_mask is None else np.flatnonzero(action_mask[b])
            known = self._known.get(row.tobytes())
            if known is not None and (action_mask is None or action_mask[b, known]):
                taken[b] = known
            elif deterministic or rng is None:
                taken[b] = allowed[0]
            else:
                taken[b] = rng.choice(allowed)
        return taken + self.start

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Observations and actions."""
        import torch

        return {"observations": torch.from_numpy(self.observations), "actions": torch.from_numpy(self.actions)}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """See `Policy.load_state_dict`."""
        if set(state) != {"observations", "actions"}:
            raise CheckpointError(
                f"annealing: got {', '.join(sorted(state)) or 'nothing'}, expected observations and actions"
            )
        observations, actions = state["observations"].numpy(), state["actions"].numpy()
        width = self.observations.shape[1]
        if observations.ndim != 2 or observations.shape[1] != width or actions.shape != (len(observations),):
            raise CheckpointError(
                f"annealing: observations have shape {observations.shape} and actions {actions.shape}, expected "
                f"(G, {width}) and (G,): load it into a policy of the environment that it was made for"
            )
        if actions.size and not (actions.min() >= 0 and actions.max() < self.num_actions):
            raise CheckpointError(f"annealing: actions are out of range, expected 0..{self.num_actions - 1}")
        self.observations, self.actions = observations.astype(np.float32), actions.astype(np.int64)
        self._index()
