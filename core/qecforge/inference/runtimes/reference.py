"""The runtime that the others are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.inference.integer import IntegerMlp, run_reference
from qecforge.inference.runtimes.base import RuntimeReport, flat_observations

__all__ = ["ReferenceRuntime"]


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
