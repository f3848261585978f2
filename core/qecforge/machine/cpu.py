"""What the processor of this machine can do."""

from __future__ import annotations

__all__ = ["host_features"]


def host_features() -> frozenset[str]:
    """Features of the CPU by LLVM's names, such as `avx2`; none where LLVM cannot tell."""
    from llvmlite import binding

    try:
        return frozenset(name for name, has in binding.get_host_cpu_features().items() if has)
    except RuntimeError:
        return frozenset()
