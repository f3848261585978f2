"""The base of every plugin's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    pass

__all__ = ["PluginConfig"]


class PluginConfig(BaseModel):
    """Base of every config model: frozen, unknown keys refused. Fields have descriptions.

    A check across fields raises `ValueError("n: 7 is too small: a code needs n > k (k is 7). Set n to 8 or more")`; the
    name of a field in front makes the error in a manifest point at that field. The model's JSON form must give an equal
    model back: runs are rebuilt from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)
