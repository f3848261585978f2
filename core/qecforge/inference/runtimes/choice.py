"""What executes an integer policy: a common face for ONNX Runtime, our own kernels and the numpy reference."""

from __future__ import annotations

from qecforge.inference.integer import IntegerMlp
from qecforge.inference.runtimes.base import Runtime, check_runtime
from qecforge.inference.runtimes.onnx import OnnxRuntime
from qecforge.inference.runtimes.reference import ReferenceRuntime

__all__ = [
    "make_runtime",
]


def make_runtime(name: str, mlp: IntegerMlp, *, threads: int | None = None) -> Runtime:
    """A runtime for a policy, its weights packed and ready.

    Args:
        threads: Largest number for one call; None: the cores that the process may use.

    Raises:
        ConfigurationError: There is no runtime of this name, or `threads` is below 1.
    """
    check_runtime(name, threads)
    if name == "onnxruntime":
        return OnnxRuntime(mlp, threads=threads)
    if name == "native":
        from qecforge.inference.runtimes.native import NativeRuntime

        return NativeRuntime(mlp, threads=threads)
    return ReferenceRuntime(mlp)
