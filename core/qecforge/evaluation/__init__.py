"""Evaluation: logical error rates of stabilizer codes, and the statistics that go with them."""

from __future__ import annotations

from qecforge.evaluation.config import LogicalErrorRateConfig
from qecforge.evaluation.records import ErrorCounts, ErrorRateTask, chunk_shots

__all__ = ["ErrorCounts", "ErrorRateTask", "LogicalErrorRateConfig", "chunk_shots"]
