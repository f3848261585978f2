"""References for the tests: stim for the tableau, dense loops for the conditions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject
from qecforge.contracts import CompiledReward, Reward, RewardBuffers


def rows(circuit: stim.Circuit, n: int, k: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """X and Z parts, (n + k, n) each, of the rows that stim gives: logical X, logical Z, stabilizers."""
    tableau = stim.Tableau.from_circuit(circuit + stim.Circuit(f"I {n - 1}"))
    paulis = [tableau.x_output(q) for q in range(k)] + [tableau.z_output(q) for q in range(n)]
    bits = [pauli.to_numpy() for pauli in paulis]
    return np.array([x for x, _ in bits], np.uint8), np.array([z for _, z in bits], np.uint8)


def pack(x: NDArray[np.uint8], z: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Words (n, 2, W) of rows given by their X and Z parts."""
    count, n = x.shape
    W = 1 if count <= 64 else 2
    words = np.zeros((n, 2, W), np.uint64)
    for i, q in itertools.product(range(count), range(n)):
        words[q, 0, i // 64] |= np.uint64(int(z[i, q]) << (i % 64))
        words[q, 1, i // 64] |= np.uint64(int(x[i, q]) << (i % 64))
    return words


def unpack(words: NDArray[np.uint64], count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """X and Z parts, (count, n) each, of words (n, 2, W)."""
    bits = [((words[:, :, i // 64] >> np.uint64(i % 64)) & np.uint64(1)).astype(np.uint8) for i in range(count)]
    return np.array([b[:, 1] for b in bits]), np.array([b[:, 0] for b in bits])


def violations(x: NDArray[np.uint8], z: NDArray[np.uint8], k: int, distance: int) -> list[tuple[int, str]]:
    """Violating errors of weight 1..distance-1, each as (weight, Paulis): commutes with every stabilizer, not with all
    logical operators."""
    n = x.shape[1]
    found = []
    for weight in range(1, distance):
        for qubits in itertools.combinations(range(n), weight):
            for paulis in itertools.product("XYZ", repeat=weight):
                anti = np.zeros(len(x), np.uint8)
                for q, p in zip(qubits, paulis, strict=True):
                    if p in "XY":
                        anti ^= z[:, q]
                    if p in "ZY":
                        anti ^= x[:, q]
                if anti.any() and not anti[2 * k :].any():
                    found.append((weight, "".join(paulis)))
    return found


class BruteForceReward(Reward):
    """Minus the number of violations, weighed with the noise; one member at a time, in plain Python."""

    components = ("violations",)

    def __init__(self, *, decides: bool = True) -> None:
        self.decides = decides
        self.subject: TableauSubject | None = None

    def compile(self, subject: Any) -> CompiledReward:
        self.subject = subject
        return _Compiled(subject, self.decides)


class _Compiled(CompiledReward):
    def __init__(self, subject: TableauSubject, decides: bool) -> None:
        self.subject, self.decides = subject, decides
        self.found: dict[bytes, int] = {}

    def score(self, batch: TableauBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        B = len(batch.words)
        assert self.subject.num_envs >= B
        out = out or RewardBuffers(np.zeros(B, np.float32), np.zeros(B, np.bool_), {"violations": np.zeros(B)})
        for b in range(B):
            noise = None if batch.noise is None else batch.noise if batch.noise.ndim == 2 else batch.noise[b]
            scale = 1.0 if noise is None else float(1 - noise[:, 0].mean())
            found = self.violations(batch.words[b])
            out.values[b] = -scale * found
            if out.solved is not None:
                out.solved[b] = not found
            if "violations" in out.components:
                out.components["violations"][b] = found
        return out if self.decides else RewardBuffers(out.values, None, out.components)

    def violations(self, words: Any) -> int:
        """Of one member; each code is counted once, for episodes begin alike and look ahead at the same neighbours."""
        key = words.tobytes()
        if key not in self.found:
            x, z = unpack(words, self.subject.n + self.subject.k)
            self.found[key] = len(violations(x, z, self.subject.k, self.subject.target_distance))
        return self.found[key]


class BitsReward(Reward):
    """A cheap function of every word: minus the number of bits.

    Args:
        enough: Solved from so many bits on; None for never.
        decides: Whether it says what is solved.
    """

    def __init__(self, enough: int | None = None, *, decides: bool = True) -> None:
        self.enough, self.decides = enough, decides

    def compile(self, subject: Any) -> CompiledReward:
        return _Bits(self.enough, self.decides)


class _Bits(CompiledReward):
    def __init__(self, enough: int | None, decides: bool) -> None:
        self.enough, self.decides = enough, decides

    def score(self, batch: TableauBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        bits = np.bitwise_count(batch.words).sum(axis=(1, 2, 3), dtype=np.int64)
        B = len(bits)
        out = out or RewardBuffers(np.zeros(B, np.float32), np.zeros(B, np.bool_))
        out.values[:B] = -bits
        assert out.solved is not None
        out.solved[:B] = False if self.enough is None else bits >= self.enough
        return out if self.decides else RewardBuffers(out.values, None)
