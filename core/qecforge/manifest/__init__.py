"""YAML manifests to validated, expanded, hashed runs."""

from __future__ import annotations

from qecforge.manifest._choice import Choice
from qecforge.manifest._evaluation import Evaluation
from qecforge.manifest._schema import manifest_schema
from qecforge.manifest._sections import MANIFEST_VERSION, Budget, Checkpoint, Teacher
from qecforge.manifest.loading import MAX_RUNS, Manifest, load_manifest
from qecforge.manifest.plan import Quantization, RunPlan

__all__ = [
    "MANIFEST_VERSION",
    "MAX_RUNS",
    "Budget",
    "Checkpoint",
    "Choice",
    "Evaluation",
    "Manifest",
    "Quantization",
    "RunPlan",
    "Teacher",
    "load_manifest",
    "manifest_schema",
]
