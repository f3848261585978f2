"""The vocabulary of quantum error correction: stabilizer codes, their distance, import and export.

Compiled kernels, scipy and qiskit are imported by the functions that need them.
"""

from __future__ import annotations

from qecforge.codes.discovered import DiscoveredCode, JsonScalar
from qecforge.codes.distance import CssDistances, Distance, css_distances, find_distance
from qecforge.codes.distance.effective import EffectiveDistance, bias_weights, effective_distance
from qecforge.codes.distance.enumerators import WeightEnumerators
from qecforge.codes.encoders import verify_encoder
from qecforge.codes.equivalence import equivalent_under_permutation
from qecforge.codes.formats import (
    CodeFormat,
    ReadableFormat,
    css_from_alist,
    css_to_alist,
    dump_code,
    load_code,
    load_css,
)
from qecforge.codes.known_codes import singleton_bound
from qecforge.codes.packed import TABLEAU, TableauBatch, TableauSubject, words_per_column
from qecforge.codes.stabilizer_code import StabilizerCode

__all__ = [
    "TABLEAU",
    "CodeFormat",
    "CssDistances",
    "DiscoveredCode",
    "Distance",
    "EffectiveDistance",
    "JsonScalar",
    "ReadableFormat",
    "StabilizerCode",
    "TableauBatch",
    "TableauSubject",
    "WeightEnumerators",
    "bias_weights",
    "css_distances",
    "css_from_alist",
    "css_to_alist",
    "dump_code",
    "effective_distance",
    "equivalent_under_permutation",
    "find_distance",
    "load_code",
    "load_css",
    "singleton_bound",
    "verify_encoder",
    "words_per_column",
]
