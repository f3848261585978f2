"""Random paths that can be looked up at any time: what is kept between calls only saves work."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Normals", "Octaves", "Path", "Walk"]

FloatArray: TypeAlias = NDArray[np.float64]


class Normals:
    """Vectors of standard normals, each a function of its address alone."""

    def __init__(self, entropy: tuple[int, ...], size: int) -> None:
        self._key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
        self.size = size

    def generator(self, address: int, level: int) -> np.random.Generator:
        """A generator of its own for each address."""
        counter = np.array([0, 0, address, level], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=self._key, counter=counter))

    def __call__(self, address: int, level: int = 0) -> FloatArray:
        """(size,) float64."""
        return self.generator(address, level).standard_normal(self.size)


class Path(ABC):
    """A profile made ready: n offsets for each epoch counted from its beginning."""

    @abstractmethod
    def at(self, t: int) -> FloatArray:
        """(n,) float64 for t >= 0; the caller may not write to it."""


class Walk(Path):
    """A random walk by midpoints: W(t) from its neighbours t ± b on the coarser grid (b the lowest bit of t), or from
    W(t/2) where t is a power of two. One draw for each epoch, addressed by it; log t draws to look up any."""

    def __init__(self, step: float, normals: Normals) -> None:
        self._step, self._normals = step, normals
        self._known: dict[int, FloatArray] = {}

    def at(self, t: int) -> FloatArray:
        used: dict[int, FloatArray] = {0: np.zeros(self._normals.size)}
        walk = self._visit(t, used)
        self._known = used
        return walk

    def _visit(self, t: int, used: dict[int, FloatArray]) -> FloatArray:
        if t not in used:
            known = self._known.get(t)
            used[t] = self._draw(t, used) if known is None else known
            for parent in _parents(t):
                self._visit(parent, used)
        return used[t]

    def _draw(self, t: int, used: dict[int, FloatArray]) -> FloatArray:
        low, high = _parents(t)
        bit = t & -t
        variance = bit / 2 if t > 1 else 1.0
        noise = self._step * math.sqrt(variance) * self._normals(t)
        return (self._visit(low, used) + self._visit(high, used)) / 2 + noise


def _parents(t: int) -> tuple[int, int]:
    bit = t & -t
    return (t // 2, t // 2) if t == bit else (t - bit, t + bit)


class Octaves(Path):
    """Voss's sum: octave k draws all parameters anew every 2^k epochs, at times of its own."""

    def __init__(self, amplitude: float, octaves: int, normals: Normals) -> None:
        self._scale, self._normals = amplitude / np.sqrt(octaves), normals
        self._lags = [int(normals.generator(0, octaves).integers(0, 2**k)) for k in range(octaves)]
        self._indices = [-1] * octaves
        self._rows = [np.zeros(0)] * octaves
        self._sums = [np.zeros(normals.size)] * (octaves + 1)

    def at(self, t: int) -> FloatArray:
        indices = [(t + lag) >> k for k, lag in enumerate(self._lags)]
        stale = False
        for k in range(len(indices) - 1, -1, -1):
            if indices[k] != self._indices[k]:
                self._rows[k], stale = self._scale * self._normals(indices[k], k), True
            if stale:
                self._sums[k] = self._sums[k + 1] + self._rows[k]
        self._indices = indices
        return self._sums[0]
