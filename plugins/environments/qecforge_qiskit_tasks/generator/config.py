"""What a generator of tasks is told."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from qecforge.contracts import PluginConfig

__all__ = ["GeneratorConfig"]


class GeneratorConfig(PluginConfig):
    """What is generated; the same configuration gives the same tasks."""

    count: int = Field(default=2000, ge=1, le=50_000, description="Tasks of all splits together.")
    seed: int = Field(default=0, ge=0, description="Of all that is drawn.")
    operations: tuple[int, int] = Field(default=(2, 3), description="Fewest and most operations of a task.")
    held_out: float = Field(default=0.2, gt=0, lt=1, description="Part of the pairs of families that only `test` has.")
    test_share: float = Field(default=0.15, gt=0, lt=1, description="Part of the tasks that are in `test`.")

    def model_post_init(self, context: Any) -> None:
        """Refuse numbers of operations that cannot be."""
        if not 2 <= self.operations[0] <= self.operations[1] <= 5:
            raise ValueError("operations: expected two numbers from 2 to 5, the fewest first")
