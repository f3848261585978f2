"""The reward."""

from __future__ import annotations

from typing import Any

import numpy as np

from qecforge.contracts import CompiledReward, Reward, RewardBuffers
from qecforge.errors import ConfigurationError
from qecforge_thirdparty_example import SpreadConfig

__all__ = ["Spread"]


class Spread(Reward):
    """The fraction of qubits on which the logical X acts, times a scale."""

    components = ("weight",)

    def __init__(self, config: SpreadConfig) -> None:
        self.config = config

    def compile(self, subject: Any) -> CompiledReward:
        """`subject` has `n` and `num_envs`. Raises `ConfigurationError` for anything else."""
        if not hasattr(subject, "n") or not hasattr(subject, "num_envs"):
            raise ConfigurationError(f"spread: got {subject!r}, expected the subject of a chain, with n and num_envs")
        return _CompiledSpread(self.config.scale, int(subject.n))


class _CompiledSpread(CompiledReward):
    def __init__(self, scale: float, n: int) -> None:
        self.scale, self.n = scale, n

    def score(self, batch: Any, out: RewardBuffers | None = None) -> RewardBuffers:
        """`batch.support` is a (B, n) bool array."""
        weight = batch.support.sum(axis=1).astype(np.float64)
        values = (self.scale * weight / self.n).astype(np.float32)
        if out is None:
            return RewardBuffers(values, weight == self.n, {"weight": weight})
        rows = slice(len(values))
        out.values[rows] = values
        if out.solved is not None:
            out.solved[rows] = weight == self.n
        if "weight" in out.components:
            out.components["weight"][rows] = weight
        return out
