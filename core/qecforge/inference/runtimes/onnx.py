"""ONNX Runtime as the runtime of an integer policy."""

from __future__ import annotations

from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.inference.integer import IntegerMlp
from qecforge.inference.runtimes.base import RuntimeReport, check_runtime, flat_observations
from qecforge.machine.cores import available_cores
from qecforge.machine.cpu import host_features

__all__ = ["OnnxRuntime", "host_instruction_set"]

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


@cache
def host_instruction_set() -> str:
    """The best set of this machine for products of bytes that ONNX Runtime has kernels for."""
    features = host_features()
    return next((name for llvm, name in _MULTIPLY_ADD_SETS if llvm in features), "none")


class OnnxRuntime:
    """ONNX Runtime on the CPU, with the model that `onnx_model.qdq_model` makes.

    Its U8S8 kernels for processors with AVX2 or AVX-512 but no VNNI add pairs of products in 16 bits, saturating; the
    session asks for U8U8 kernels there, which are exact.

    Args:
        mlp: The policy.
        threads: Largest number for one call; None: the cores that the process may use. Waiting ones do not spin:
            they leave the cores to the simulator between calls.
    """

    name = "onnxruntime"

    def __init__(self, mlp: IntegerMlp, *, threads: int | None = None) -> None:
        from qecforge.inference.runtimes.onnx_model import qdq_model

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
