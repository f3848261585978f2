"""A layer of torch from angles to measured bits: circuits, their exact simulation, gradients and backends."""

from __future__ import annotations

__all__: list[str] = []
