"""Reproductions of papers: what a plugin's plan and report are made with. `carry_out.py` carries any of them out."""

from __future__ import annotations

from qecforge.reproduction.claims import Held, above, at_least, at_most, mean_at_least, mean_at_most, mean_within
from qecforge.reproduction.planning import check_names, finished

__all__ = [
    "Held",
    "above",
    "at_least",
    "at_most",
    "check_names",
    "finished",
    "mean_at_least",
    "mean_at_most",
    "mean_within",
]
