"""Where a network that names the CZs begins, and what its circuits are like.

With default weights the rounded outputs of a layer that names qubits are nearly all equal, so that no CZ fires; centred
among the qubits, all name the same neighbouring pair. [ours]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum.circuits import PaperCircuit
from qecforge_td3.quantum.kernels import peak_register

__all__ = ["CircuitStatistics", "circuit_statistics", "spread_pairs"]


def spread_pairs(linear: nn.Linear, circuit: PaperCircuit, generator: torch.Generator, *, first: int) -> None:
    """Draw the biases of the outputs that name the qubits of the CZs uniformly over the qubits there are.

    Args:
        linear: Its outputs `first` to `first + 2 L - 1` name the qubits; no other bias changes.
        generator: What is drawn from.
        first: Which output is the first of them, `circuit.angles` where angles come before.

    Raises:
        ConfigurationError: It has no biases, or too few outputs.
    """
    wanted = 2 * circuit.layers
    if linear.bias is None or len(linear.bias) < first + wanted:
        raise ConfigurationError(
            f"pairs: got a layer with {linear.out_features} outputs{' and no biases' if linear.bias is None else ''}, "
            f"expected biases for {first + wanted}"
        )
    with torch.no_grad():
        drawn = torch.rand(wanted, generator=generator) * circuit.qubits - 0.5
        linear.bias[first : first + wanted] = drawn.to(linear.bias)


@dataclass(frozen=True)
class CircuitStatistics:
    """What the circuits of a batch are like.

    Attributes:
        firing: Fraction of the CZs that are gates, their two qubits being different.
        distinct_pairs: Mean over the batch of how many different pairs of qubits a circuit's CZs join.
        peak_register: Mean over the batch of the qubits that the exact simulation of `sample_bits` holds at most.
    """

    firing: float
    distinct_pairs: float
    peak_register: float


def circuit_statistics(angles: NDArray[np.float32], pairs: NDArray[np.int64], kind: str = "r") -> CircuitStatistics:
    """Statistics of a batch; arguments and errors as in `kernels.sample_bits`."""
    low, high = pairs.min(2), pairs.max(2)
    keys = np.where(low < high, low * 64 + high, -1)
    keys.sort(axis=1)
    new = np.concatenate([keys[:, :1] >= 0, (keys[:, 1:] != keys[:, :-1]) & (keys[:, 1:] >= 0)], 1)
    return CircuitStatistics(
        float((low < high).mean()), float(new.sum(1).mean()), float(peak_register(angles, pairs, kind).mean())
    )
