"""From solved codes to the archive: only what it lacks, without superfluous gates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qecforge_code_discovery import _canonical, _kernels
from qecforge_code_discovery._layout import Rules
from qecforge_code_discovery.filing.archive import Archive, Discovery
from qecforge_code_discovery.filing.superfluous import Pruning

__all__ = ["Solved", "keep"]


class Solved(NamedTuple):
    """A batch in which some codes meet the target.

    Attributes:
        solved: (B,) bool.
        words: (B, n, 2, W) uint64.
        history: (B, >= gates) uint16, the encoders' gates.
        gates: (B,) int32, how many.
    """

    solved: NDArray[np.bool_]
    words: NDArray[np.uint64]
    history: NDArray[np.uint16]
    gates: NDArray[np.int32]


def keep(
    archive: Archive,
    batch: Solved,
    rules: Rules,
    pruning: Pruning,
    stabilizers: NDArray[np.uint64],
    *,
    step: int,
    parameters: NDArray[np.float64],
) -> None:
    """Add to the archive what it lacks, or has with more gates.

    A code whose generators are heavier than allowed is left out. Which codes are looked at is decided by the gates as
    they were appended; those that are superfluous are left out afterwards.

    Args:
        stabilizers: (W,) uint64, bits of the stabilizer rows.
        step: Environment steps so far, over all members.
        parameters: (B, P) noise parameters, or (1, P) of all.
    """
    hashes = np.zeros(len(batch.words), np.uint64)
    found = _canonical.screen(
        batch.solved,
        batch.words,
        batch.gates,
        stabilizers,
        archive.most,
        archive.known,
        archive.known_gates,
        hashes,
    )
    if len(found) and rules.weight_limit:
        excess = np.empty(len(found), np.int64)
        _kernels.excess_weights(batch.words[found], rules, excess)
        found = found[excess == 0]
    if not len(found):
        return
    archive.add(
        [
            Discovery(
                group=int(hashes[b]),
                actions=pruning(batch.history[b, : batch.gates[b]].copy()),
                step=step,
                parameters=parameters[b if len(parameters) > 1 else 0].copy(),
                appended=int(batch.gates[b]),
            )
            for b in found
        ]
    )
