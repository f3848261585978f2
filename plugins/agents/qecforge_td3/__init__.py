"""Agent `td3`: twin delayed deterministic policy gradients for continuous actions, whose actor may hold a quantum
layer. The layer alone: `from qecforge_td3.quantum import QuantumLayer`."""

from __future__ import annotations

__all__: list[str] = []
