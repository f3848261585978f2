"""How many threads numerical libraries compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["compute_on", "torch_threads"]


def compute_on(count: int) -> None:
    """From now on torch and numba, both of which are loaded now, compute on `count` threads in this thread."""
    import numba
    import torch

    torch.set_num_threads(count)
    most: int = vars(numba.config)["NUMBA_NUM_THREADS"]
    numba.set_num_threads(min(count, most))


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
