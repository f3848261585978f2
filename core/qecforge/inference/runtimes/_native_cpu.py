"""The kernels of the native runtime, and which of them this CPU can run."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from qecforge.machine.cpu import host_features

__all__ = ["KERNELS", "Kernel", "cpu_features", "packed_order"]


@dataclass(frozen=True)
class Kernel:
    """One way to compute the forward pass.

    Attributes:
        number: Its place in `KERNELS`, the constant by which compiled loops are told apart.
        name: As reports give it.
        lanes: W, 32-bit lanes of a register.
        rows: Observations of a tile: as many as leave the sums in registers.
        needs: Sets of CPU features, in LLVM's words, of which the CPU must have one whole.
        instruction_set: Of the dot product, as /proc/cpuinfo names it; "none" where four multiplications stand for it.
        permutes: Whether tables are looked up 64 bytes at a time (VBMI).
    """

    number: int
    name: str
    lanes: int
    rows: int
    needs: tuple[frozenset[str], ...]
    instruction_set: str
    permutes: bool = False

    @property
    def multiplies_bytes(self) -> bool:
        """Whether the CPU has the dot product."""
        return self.instruction_set != "none"

    def runs_on(self, features: frozenset[str]) -> bool:
        """Whether a CPU with these features has its instructions."""
        return any(needed <= features for needed in self.needs)


_AVX512 = frozenset({"avx512f", "avx512bw", "avx512vnni"})

KERNELS = (
    Kernel(0, "vnni_512_vbmi", 16, 6, (_AVX512 | {"avx512vbmi"},), "avx512_vnni", permutes=True),
    Kernel(1, "vnni_512", 16, 6, (_AVX512,), "avx512_vnni"),
    Kernel(2, "vnni_256", 8, 2, (frozenset({"avx2", "avxvnni"}), _AVX512 | {"avx512vl"}), "avx_vnni"),
    Kernel(3, "portable", 8, 2, (frozenset(),), "none"),
)
"""Best first; the last one runs everywhere."""


def cpu_features() -> frozenset[str]:
    """What numba compiles for: the features that NUMBA_CPU_FEATURES names, else the host's, as LLVM finds them, without
    AVX where NUMBA_ENABLE_AVX is 0."""
    environment = vars(numba.config)
    if environment["CPU_FEATURES"] is not None:
        return frozenset(name[1:] for name in environment["CPU_FEATURES"].split(",") if name.startswith("+"))
    found = host_features()
    return found if environment["ENABLE_AVX"] else frozenset(name for name in found if not name.startswith("avx"))


def packed_order(lanes: int) -> NDArray[np.int64]:
    """(4 W,) the output that each byte of a panel's packed levels holds: byte 16 l + 4 j + b, output W j + 4 l + b."""
    return np.arange(4 * lanes).reshape(4, lanes // 4, 4).transpose(1, 0, 2).reshape(-1)
