"""The results store: every run, code, rate and file, in one SQL database with a folder beside it."""

from __future__ import annotations

from qecforge.store.records import (
    Artifact,
    CodeRecord,
    Comparison,
    Discovery,
    ErrorRate,
    Event,
    Interval,
    PolicyEvaluation,
    Run,
    RunLock,
    Series,
)
from qecforge.store.store import Store

__all__ = [
    "Artifact",
    "CodeRecord",
    "Comparison",
    "Discovery",
    "ErrorRate",
    "Event",
    "Interval",
    "PolicyEvaluation",
    "Run",
    "RunLock",
    "Series",
    "Store",
]
