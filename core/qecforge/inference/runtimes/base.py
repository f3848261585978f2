"""What a runtime is: integer logits of a batch, and what computed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerMlp

__all__ = ["DEFAULT_RUNTIME", "RUNTIMES", "Runtime", "RuntimeReport", "check_runtime", "flat_observations"]

RUNTIMES = ("onnxruntime", "native", "reference")
DEFAULT_RUNTIME = "onnxruntime"


@dataclass(frozen=True)
class RuntimeReport:
    """What ran.

    Attributes:
        runtime: One of `RUNTIMES`.
        version: Of the library that executes.
        kernel: The operators after optimisation, `QGemm x4, Gelu x3` say, or the name of our kernel.
        instruction_set: Of the integer products, as /proc/cpuinfo names it: `avx512_vnni`, say.
        threads: Largest number for one call.
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
