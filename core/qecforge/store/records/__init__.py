"""What the store hands out: records, frozen, with the row that a table shows of each."""

from __future__ import annotations

from qecforge.store.records.codes import CodeRecord, Discovery, DistanceKind, ErrorRate, Interval
from qecforge.store.records.runs import Artifact, Comparison, Event, PolicyEvaluation, Run, RunLock, RunStatus, Series

__all__ = [
    "Artifact",
    "CodeRecord",
    "Comparison",
    "Discovery",
    "DistanceKind",
    "ErrorRate",
    "Event",
    "Interval",
    "PolicyEvaluation",
    "Run",
    "RunLock",
    "RunStatus",
    "Series",
]
