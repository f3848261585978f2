"""A layer of torch from angles to measured bits: circuits, their exact simulation, gradients and backends."""

from __future__ import annotations

from qecforge_td3.quantum.backends import AerBackend, Backend, NumbaBackend, SamplerBackend, make_backend
from qecforge_td3.quantum.circuits import Circuit, PaperCircuit
from qecforge_td3.quantum.devices import depolarizing, fake_backend
from qecforge_td3.quantum.gradients import Agreement, agreement, circuits_of_shifts, expectation_gradient
from qecforge_td3.quantum.initialization import CircuitStatistics, circuit_statistics, spread_pairs
from qecforge_td3.quantum.kernels import amplitudes, marginals, marginals_vjp, peak_register, sample_bits
from qecforge_td3.quantum.layer import QuantumLayer
from qecforge_td3.quantum.qiskit_circuits import QiskitCircuit
from qecforge_td3.quantum.tangential import TangentialNetwork

__all__ = [
    "AerBackend",
    "Agreement",
    "Backend",
    "Circuit",
    "CircuitStatistics",
    "NumbaBackend",
    "PaperCircuit",
    "QiskitCircuit",
    "QuantumLayer",
    "SamplerBackend",
    "TangentialNetwork",
    "agreement",
    "amplitudes",
    "circuit_statistics",
    "circuits_of_shifts",
    "depolarizing",
    "expectation_gradient",
    "fake_backend",
    "make_backend",
    "marginals",
    "marginals_vjp",
    "peak_register",
    "sample_bits",
    "spread_pairs",
]
