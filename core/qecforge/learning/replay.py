"""Replay buffers of off-policy agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring import restored_parts
from qecforge.learning.rows import RowTable

if TYPE_CHECKING:
    import torch

__all__ = ["ReplayBuffer"]


class ReplayBuffer:
    """The latest transitions, from which batches are drawn with equal chances and with replacement.

        buffer = ReplayBuffer({"observation": (np.float32, (376,)), "reward": np.float32}, capacity=1_000_000)
        buffer.add({"observation": observations, "reward": rewards})
        batch = buffer.sample_tensors(256, rng)

    Its state in a checkpoint is its table of rows: a save writes those that are new. What is drawn after a resume is
    what would have been drawn, where the generator is restored too.

    Args:
        fields: Name -> dtype of its entry in a row, such as `np.float32` or `(np.float32, (376,))`.
        capacity: Rows that are kept; the oldest give way.

    Raises:
        ConfigurationError: No field or no capacity, or a field of something else than booleans and numbers.
    """

    def __init__(self, fields: Mapping[str, DTypeLike], capacity: int) -> None:
        self._table = RowTable(fields, capacity)
        self._drawn: dict[str, NDArray[Any]] = {}
        self._tensors: dict[str, torch.Tensor] = {}

    def __len__(self) -> int:
        """Rows that are there."""
        return len(self._table)

    @property
    def capacity(self) -> int:
        """Rows that it can hold."""
        return self._table.capacity

    @property
    def rows(self) -> RowTable:
        """What it holds. Not to be appended to but by `add`."""
        return self._table

    def add(self, rows: Mapping[str, ArrayLike]) -> None:
        """Add B rows, the last of them the newest: for each field (B, *shape), copied.

        Raises:
            ConfigurationError: A field is missing or unknown, or does not fit; nothing is added then.
        """
        self._table.append(rows)

    def sample(self, batch_size: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Rows drawn at random: for each field (batch_size, *shape), all of them from the same rows.

        The arrays are the buffer's own: the next sample overwrites them.

        Raises:
            ConfigurationError: No row is there, or the batch has none.
        """
        if batch_size < 1 or not len(self):
            raise ConfigurationError(
                f"replay buffer: a batch of {batch_size} was asked for and {len(self)} rows are there: "
                "ask for one or more, once rows were added"
            )
        slots = rng.integers(len(self), size=batch_size)
        drawn = self._batch(batch_size)
        for name, out in drawn.items():
            np.take(self._table.column(name), slots, axis=0, out=out, mode="clip")
        return dict(drawn)

    def sample_tensors(self, batch_size: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """As `sample`, in torch tensors on the CPU that share the arrays' memory."""
        import torch

        drawn = self.sample(batch_size, rng)
        if not self._tensors:
            self._tensors = {name: torch.from_numpy(array) for name, array in drawn.items()}
        return dict(self._tensors)

    def state_dict(self) -> dict[str, Any]:
        """The table of rows itself, not a copy."""
        return {"rows": self._table}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. The table is taken over, not copied.

        Raises:
            CheckpointError: It has other fields or another capacity, or is none.
        """
        table = restored_parts(state, (), "replay buffer").get("rows")
        if not isinstance(table, RowTable):
            raise CheckpointError(
                f"replay buffer: the checkpoint has {type(table).__name__} where a table of rows was expected: "
                "restore it with the agent that wrote it, or start the run anew with `force`"
            )
        table.check(self._table.columns, self.capacity)
        self._table = table

    def _batch(self, size: int) -> dict[str, NDArray[Any]]:
        """Arrays for a batch, made anew where its size changes."""
        if not self._drawn or len(next(iter(self._drawn.values()))) != size:
            columns = self._table.columns
            self._drawn = {name: np.empty((size, *dtype.shape), dtype.base) for name, dtype in columns.items()}
            self._tensors = {}
        return self._drawn
