"""Gates that disturb each other: by how far the mask is widened, so that a parameter learns from what its gate does to
others.

Source: arXiv 2511.08493 (masking by the factor graph); what it leaves out, and how to widen it, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qecforge.contracts import PluginConfig
from qecforge_surface_steering.device.landscape import matching

if TYPE_CHECKING:
    from qecforge_surface_steering.device.tagged import Gate

__all__ = ["Widen", "crosstalk_pairs"]


class Widen(PluginConfig):
    """Gates whose parameters learn from each other's detectors too."""

    pairs: tuple[tuple[str, str], ...] = Field(
        default=(), description="Pairs of gates, names or patterns such as [cz0-9, xy1*]: every one with every other."
    )
    within: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Neighbours: gates of which some qubits are no further apart than this, in the circuit's "
        "coordinates (its data qubits are 2 apart in the surface code); none: no neighbours.",
    )


def crosstalk_pairs(
    gates: Sequence[Gate], coordinates: Mapping[int, tuple[float, ...]], widen: Widen
) -> NDArray[np.int64]:
    """(N, 2) numbers of gates that disturb each other, each pair once, the lower number first.

    Args:
        gates: Of the model.
        coordinates: Of qubits, for `within`.
        widen: Which.

    Raises:
        ValueError: A pattern that matches no gate, or qubits without coordinates where `within` is given.
    """
    names = [gate.name for gate in gates]
    number = {name: g for g, name in enumerate(names)}
    found: set[tuple[int, int]] = set()
    for pair in widen.pairs:
        first, second = ([number[name] for name in matching(pattern, names, "gate")] for pattern in pair)
        found |= {(min(g, h), max(g, h)) for g in first for h in second if g != h}
    if widen.within is not None:
        places = [_places(gate, coordinates) for gate in gates]
        for g, own in enumerate(places):
            for h in range(g + 1, len(places)):
                apart = np.linalg.norm(own[:, None] - places[h][None, :], axis=-1).min()
                if apart <= widen.within * (1 + 1e-12):
                    found.add((g, h))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _places(gate: Gate, coordinates: Mapping[int, tuple[float, ...]]) -> NDArray[np.float64]:
    """(qubits, 2)."""
    for qubit in gate.qubits:
        if len(coordinates.get(qubit, ())) < 2:
            raise ValueError(
                f"within: qubit {qubit} of {gate.name} has no place: give QUBIT_COORDS of two numbers, or name pairs"
            )
    return np.array([coordinates[qubit][:2] for qubit in gate.qubits], dtype=np.float64)
