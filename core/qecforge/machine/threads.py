"""How many threads numerical libraries compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["compute_on", "threads", "torch_threads"]


def compute_on(count: int) -> None:
    """From now on torch and numba, both of which are loaded now, compute on `count` threads in this thread."""
    import numba
    import torch

    most: int = vars(numba.config)["NUMBA_NUM_THREADS"]
    numba.set_num_threads(min(count, most))
    torch.set_num_threads(count)  # afterwards: where both use OpenMP, numba's first call sets torch's number too


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it torch computes on `count` threads; on one, sums come in an order that no number of cores changes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it torch and numba, both of which are loaded now, compute on `count` threads."""
    import numba
    import torch

    of_numba, of_torch = numba.get_num_threads(), torch.get_num_threads()
    compute_on(count)
    try:
        yield
    finally:
        numba.set_num_threads(of_numba)
        torch.set_num_threads(of_torch)
