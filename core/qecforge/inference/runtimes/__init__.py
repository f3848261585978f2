"""What executes an integer policy: numpy as the reference, our own kernels, ONNX Runtime."""

from __future__ import annotations

from qecforge.inference.runtimes.base import DEFAULT_RUNTIME, RUNTIMES, Runtime, RuntimeReport, check_runtime
from qecforge.inference.runtimes.choice import make_runtime
from qecforge.inference.runtimes.onnx import OnnxRuntime, host_instruction_set
from qecforge.inference.runtimes.reference import ReferenceRuntime

__all__ = [
    "DEFAULT_RUNTIME",
    "RUNTIMES",
    "OnnxRuntime",
    "ReferenceRuntime",
    "Runtime",
    "RuntimeReport",
    "check_runtime",
    "host_instruction_set",
    "make_runtime",
]
