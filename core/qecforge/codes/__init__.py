"""The vocabulary of quantum error correction: stabilizer codes, their distance, import and export.

Compiled kernels, scipy and qiskit are imported by the functions that need them.
"""

from __future__ import annotations

from qecforge.codes.discovered import DiscoveredCode, JsonScalar, verify_encoder
from qecforge.codes.distance import CssDistances, Distance, css_distances, find_distance
from qecforge.codes.enumerators import WeightEnumerators
from qecforge.codes.formats import CodeFormat, css_from_alist, css_to_alist, dump_code, load_code
from qecforge.codes.known_codes import singleton_bound
from qecforge.codes.packed import TABLEAU, TableauBatch, TableauSubject, words_per_column
from qecforge.codes.stabilizer_code import StabilizerCode

__all__ = [
    "TABLEAU",
    "CodeFormat",
    "CssDistances",
    "DiscoveredCode",
    "Distance",
    "JsonScalar",
    "StabilizerCode",
    "TableauBatch",
    "TableauSubject",
    "WeightEnumerators",
    "css_distances",
    "css_from_alist",
    "css_to_alist",
    "dump_code",
    "find_distance",
    "load_code",
    "singleton_bound",
    "verify_encoder",
    "words_per_column",
]
