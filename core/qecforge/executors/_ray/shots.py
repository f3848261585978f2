"""Chunks of shots, drawn by whatever of the cluster is free."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from qecforge.evaluation.error_rates.pools import ChunkPool
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.evaluation.error_rates.sampling import Chunk, draw_chunk

__all__ = ["cluster_pool"]

_LEAST_PATIENCE = 1.0
"""Seconds that a chunk is waited for at least before it is drawn here."""


@contextmanager
def cluster_pool() -> Iterator[ChunkPool]:
    """Within a task: draws chunks as tasks of their own, one core each, on all nodes."""
    import ray

    pool = _Cluster(ray)
    try:
        yield pool
    finally:
        pool.close()


class _Cluster(ChunkPool):
    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.longest = 0.0
        self._draw = ray.remote(num_cpus=1, scheduling_strategy="SPREAD", max_retries=3)(_timed)
        self._width = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._sent: dict[Any, None] = {}

    @property
    def width(self) -> int:
        return self._width

    def submit(self, chunk: Chunk) -> _Drawing:
        reference = self._draw.remote(chunk)
        self._sent[reference] = None
        return _Drawing(self, chunk, reference)

    def forget(self, reference: Any) -> None:
        """A chunk that is there, or is not wanted from elsewhere."""
        self._sent.pop(reference, None)

    def close(self) -> None:
        """Nothing that was sent is wanted any more."""
        for reference in self._sent:
            with suppress(self.ray.exceptions.RayError):
                self.ray.cancel(reference)
        self._sent.clear()


class _Drawing:
    """A chunk that was sent. Where the cluster is busy with something else, or has lost it, it is drawn here: its
    counts are the same."""

    def __init__(self, pool: _Cluster, chunk: Chunk, reference: Any) -> None:
        self._pool, self._chunk, self._reference = pool, chunk, reference

    def result(self) -> ErrorCounts:
        counts: ErrorCounts
        try:
            # Waiting for a future does not give this task's core to others meanwhile, as `ray.get` would.
            patience = max(_LEAST_PATIENCE, 2.0 * self._pool.longest)
            counts, seconds = self._reference.future().result(patience)
            self._pool.longest = max(self._pool.longest, seconds)
        except (TimeoutError, self._pool.ray.exceptions.RayError):
            self.cancel()
            counts = draw_chunk(self._chunk)
        self._pool.forget(self._reference)
        return counts

    def cancel(self) -> None:
        self._pool.forget(self._reference)
        with suppress(self._pool.ray.exceptions.RayError):
            self._pool.ray.cancel(self._reference)


def _timed(chunk: Chunk) -> tuple[ErrorCounts, float]:
    from qecforge.machine.threads import compute_on

    compute_on(1)
    started = time.monotonic()
    return draw_chunk(chunk), time.monotonic() - started
