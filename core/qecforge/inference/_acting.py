"""From logits to actions, for every policy that the core makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

__all__ = ["choose_actions"]


def choose_actions(
    logits: NDArray[np.float32],
    *,
    action_mask: NDArray[np.bool_] | None,
    deterministic: bool,
    rng: np.random.Generator | None,
    start: int,
) -> NDArray[Any]:
    """Actions (B,) int64, the first being `start`: the likeliest ones, or drawn with `rng` (Gumbel-max).

    Args:
        logits: (B, N). Not mutated.
        action_mask: (B, N), True where an action is allowed.

    Raises:
        ConfigurationError: Actions are to be sampled, and `rng` is None.
    """
    scores: NDArray[Any] = logits
    if not deterministic:
        if rng is None:
            raise ConfigurationError(
                "act: deterministic is False and rng is missing: pass rng, a numpy.random.Generator"
            )
        scores = scores + rng.gumbel(size=scores.shape)
    if action_mask is not None:
        scores = np.where(action_mask, scores, -np.inf)
    actions: NDArray[np.int64] = scores.argmax(-1) + start
    return actions
