"""Rewards of candidates that were not tried alike: some with fewer shots, some not at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError, QecforgeError

__all__ = ["LEAST_SHARE", "mean_of", "shares_of", "weighed"]

LEAST_SHARE = 0.5
"""An epoch of which fewer candidates than this came to something is not learned from."""


def shares_of(shots: ArrayLike, rewards: NDArray[np.float32], *, mirrored: bool) -> NDArray[np.float64]:
    """(K,) what each candidate counts, 0..1: its shots beside the most that one had, 0 where a reward is not finite.
    Of mirrored pairs (k and k + K/2) both count as the lesser, for one is the other's baseline.

    Args:
        shots: (K,) numbers >= 0.
        rewards: (K, m).

    Raises:
        ConfigurationError: Another shape, or a number below 0 or not finite.
        QecforgeError: Fewer than `LEAST_SHARE` of the candidates are left.
    """
    given = np.asarray(shots, np.float64)
    K = len(rewards)
    if given.shape != (K,) or not (np.isfinite(given).all() and (given >= 0).all()):
        raise ConfigurationError(
            f"parameter_ppo: shots are {given.shape} numbers from {given.min(initial=0):g}, expected ({K},) from 0 on: "
            "say of each candidate how many it had, 0 where it failed"
        )
    share = np.where(np.isfinite(rewards).all(axis=1), given, 0.0)
    if mirrored:
        share = np.minimum(share, np.roll(share, K // 2))
    left = int((share > 0).sum())
    if left < LEAST_SHARE * K:
        raise QecforgeError(
            f"parameter_ppo: {left} of {K} candidates are left, expected {int(np.ceil(LEAST_SHARE * K))} or more: "
            "try those of this epoch again, and tell once more"
        )
    found: NDArray[np.float64] = share / share.max()
    return found


def mean_of(rewards: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) mean by shares of (K, m) rewards, whatever they are in rows of share 0."""
    mean: NDArray[np.float64] = share @ _known(rewards, share) / share.sum()
    return mean


def weighed(
    rewards: NDArray[np.float32], share: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(K, m) rewards whose distance from `centre` (m,) is multiplied by each candidate's share; those of share 0 lie
    there, and have no advantage. Around `mean_of` the plain mean of the result is `centre` again."""
    found: NDArray[np.float32] = (centre + share[:, None] * (_known(rewards, share) - centre)).astype(np.float32)
    return found


def _known(rewards: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((share > 0)[:, None], rewards, 0.0).astype(np.float64)
