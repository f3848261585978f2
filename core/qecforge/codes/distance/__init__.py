"""Distances of codes, with their proofs."""

from __future__ import annotations

from qecforge.codes.distance.effective import EffectiveDistance, bias_weights, effective_distance
from qecforge.codes.distance.enumerators import WeightEnumerators, weight_enumerators
from qecforge.codes.distance.proof import (
    CssDistances,
    Distance,
    DistanceKind,
    DistanceMethod,
    css_distances,
    find_distance,
)

__all__ = [
    "CssDistances",
    "Distance",
    "DistanceKind",
    "DistanceMethod",
    "EffectiveDistance",
    "WeightEnumerators",
    "bias_weights",
    "css_distances",
    "effective_distance",
    "find_distance",
    "weight_enumerators",
]
