"""What executes an integer policy: a common face for ONNX Runtime, our own kernels and the numpy reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qecforge._cores import available_cores
from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerMlp, run_reference

__all__ = [
    "DEFAULT_RUNTIME",
    "RUNTIMES",
    "OnnxRuntime",
    "ReferenceRuntime",
    "Runtime",
    "RuntimeReport",
    "check_runtime",
    "flat_observations",
    "host_instruction_set",
    "make_runtime",
]

RUNTIMES = ("onnxruntime", "native", "reference")
DEFAULT_RUNTIME = "onnxruntime"

_MULTIPLY_ADD_SETS = (
    ("amx-int8", "amx_int8"),
    ("avx512vnni", "avx512_vnni"),
    ("avx512bw", "avx512bw"),
    ("avxvnni", "avx_vnni"),
    ("avx2", "avx2"),
    ("sse4.1", "sse4_1"),
    ("i8mm", "i8mm"),
    ("dotprod", "asimddp"),
    ("neon", "asimd"),
)
"""LLVM's names of what multiplies bytes, and the kernel's (those of /proc/cpuinfo), in ONNX Runtime's preference.

Source: onnxruntime/core/mlas/lib/platform.cpp, where each set that is found overrides those before it.
"""


@dataclass(frozen=True)
class RuntimeReport:
    """What ran.

    Attributes:
        runtime: One of `RUNTIMES`.
        version: Of the library that executes.
        kernel: The operators after optimisation, `QGemm x4, Gelu x3` say, or the name of our kernel.
        instruction_set: Of the integer products, as /proc/cpuinfo names it: `avx512_vnni`, say.
        threads: At most so many work on one call.
    """

    runtime: str
    version: str
    kernel: str
    instruction_set: str
    threads: int


class Runtime(Protocol):
    """Executes one `IntegerMlp`. Every runtime gives the logits of `run_reference`."""

    @property
    def name(self) -> str:
        """One of `RUNTIMES`."""
        ...

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(B, *shape) of any numeric dtype -> (B, N) float32. `out`, of that shape and contiguous, is filled and
        returned where it is given. Observations are not mutated."""
        ...

    def report(self) -> RuntimeReport:
        """What runs here."""
        ...


def make_runtime(name: str, mlp: IntegerMlp, *, threads: int | None = None) -> Runtime:
    """A runtime for a policy, its weights packed and ready.

    Args:
        threads: At most so many for one call; None for the cores that the process may use.

    Raises:
        ConfigurationError: There is no runtime of this name, or `threads` is below 1.
    """
    check_runtime(name, threads)
    if name == "onnxruntime":
        return OnnxRuntime(mlp, threads=threads)
    if name == "native":
        from qecforge.inference.native import NativeRuntime

        return NativeRuntime(mlp, threads=threads)
    return ReferenceRuntime(mlp)


def check_runtime(name: str, threads: int | None = None) -> None:
    """Refuse an unknown runtime or a number of threads below 1 with a `ConfigurationError`."""
    if name not in RUNTIMES:
        raise ConfigurationError(f"runtime: got {name!r}, expected one of {', '.join(RUNTIMES)}")
    if threads is not None and threads < 1:
        raise ConfigurationError(f"threads: got {threads}, expected 1 or more")


def flat_observations(
    mlp: IntegerMlp, observations: NDArray[Any], out: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Observations (B, *shape) as (B, D), checked, with `out`, against what the policy takes and gives.

    Raises:
        ConfigurationError: A shape does not fit, or `out` is not contiguous float32.
    """
    x = np.asarray(observations)
    batch = len(x) if x.ndim else 0
    if x.ndim == 0 or x.size != batch * mlp.num_inputs:
        raise ConfigurationError(
            f"observations: got shape {x.shape}, expected (batch, ...) with {mlp.num_inputs} elements for each member"
        )
    wanted = (batch, mlp.num_outputs)
    if out is not None and not (out.shape == wanted and out.dtype == np.float32 and out.flags.c_contiguous):
        raise ConfigurationError(f"out: got {out.dtype} of shape {out.shape}, expected contiguous float32 of {wanted}")
    return x.reshape(batch, mlp.num_inputs)


@cache
def host_instruction_set() -> str:
    """The best set of this machine for products of bytes that ONNX Runtime has kernels for."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return next((name for llvm, name in _MULTIPLY_ADD_SETS if features.get(llvm)), "none")


class ReferenceRuntime:
    """`run_reference`: plain int32 sums in numpy, on one thread. Slow; what the others are measured against."""

    name = "reference"

    def __init__(self, mlp: IntegerMlp) -> None:
        self._mlp = mlp

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """See `Runtime.logits`."""
        found = run_reference(self._mlp, flat_observations(self._mlp, observations, out))
        if out is None:
            return found
        out[...] = found
        return out

    def report(self) -> RuntimeReport:
        """See `Runtime.report`."""
        return RuntimeReport(self.name, np.__version__, "int32 matmul", "none", 1)


class OnnxRuntime:
    """ONNX Runtime on the CPU, with the model that `onnx_model.qdq_model` makes.

    Its U8S8 kernels for processors with AVX2 or AVX-512 but no VNNI add pairs of products in 16 bits, saturating; the
    session asks for U8U8 kernels there, which are exact.

    Args:
        mlp: The policy.
        threads: At most so many for one call; None for the cores that the process may use. Waiting ones do not spin:
            they leave the cores to the simulator between calls.
    """

    name = "onnxruntime"

    def __init__(self, mlp: IntegerMlp, *, threads: int | None = None) -> None:
        from qecforge.inference.onnx_model import qdq_model

        check_runtime(self.name, threads)
        self._mlp = mlp
        self._threads = threads or available_cores()
        self._takes_levels = mlp.takes_bits
        self._model = qdq_model(mlp).SerializeToString(deterministic=True)
        self._session = self._open(None)

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """See `Runtime.logits`."""
        x = flat_observations(self._mlp, observations, out)
        if not self._takes_levels:
            x = np.ascontiguousarray(x, np.float32)
        elif x.dtype == np.uint8:
            x = np.ascontiguousarray(x)
        else:
            x = self._mlp.layers[0].inputs.quantize(x)
        if out is None:
            found: NDArray[np.float32] = self._session.run(["logits"], {"observations": x})[0]
            return found
        binding = self._session.io_binding()
        binding.bind_cpu_input("observations", x)
        binding.bind_output("logits", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        self._session.run_with_iobinding(binding)
        return out

    def report(self) -> RuntimeReport:
        """See `Runtime.report`. The instruction set is what its kernels choose on a processor like this one."""
        import onnxruntime

        return RuntimeReport(self.name, onnxruntime.__version__, self._kernels, host_instruction_set(), self._threads)

    @cached_property
    def _kernels(self) -> str:
        """The operators of the model as the session optimises it."""
        import onnx

        with TemporaryDirectory() as folder:
            path = Path(folder) / "optimised.onnx"
            self._open(path)
            operators = Counter(node.op_type for node in onnx.load(path).graph.node)
        return ", ".join(f"{operator} x{count}" for operator, count in sorted(operators.items()))

    def _open(self, optimised: Path | None) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # at 2 it warns that an optimised model fits this machine alone
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.x64quantprecision", "1")
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
        return onnxruntime.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])
