"""Names that Qiskit had and no longer has, with what replaces each.

Source: the migration guides to Qiskit 1.0 and 2.0; a test asks the installed Qiskit that each is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CIRCUIT", "REMOVED", "Removed"]

CIRCUIT = "QuantumCircuit"
"""Before the name of a method of circuits and of their instructions."""


@dataclass(frozen=True)
class Removed:
    """One name.

    Attributes:
        name: `qiskit.execute`, whose parts below are meant too; `Fake*`, all that begin so; or
            `QuantumCircuit.cnot`, a method.
        since: The first release without it.
        instead: What replaces it.
    """

    name: str
    since: str
    instead: str


_FIRST: Mapping[str, str] = {
    "qiskit.Aer": "from qiskit_aer import AerSimulator",
    "qiskit.BasicAer": "qiskit.providers.basic_provider.BasicSimulator",
    "qiskit.IBMQ": "qiskit_ibm_runtime.QiskitRuntimeService",
    "qiskit.algorithms": "the package qiskit_algorithms",
    "qiskit.aqua": "the package qiskit_algorithms",
    "qiskit.chemistry": "the package qiskit_nature",
    "qiskit.circuit.qpy_serialization": "qiskit.qpy",
    "qiskit.execute": "transpile(circuit, backend), then backend.run(circuit), or a primitive",
    "qiskit.execute_function": "transpile(circuit, backend), then backend.run(circuit), or a primitive",
    "qiskit.extensions": "qiskit.circuit.library (UnitaryGate, Initialize, ...)",
    "qiskit.finance": "the package qiskit_finance",
    "qiskit.ignis": "the package qiskit_experiments",
    "qiskit.opflow": "qiskit.quantum_info.SparsePauliOp and the primitives",
    "qiskit.optimization": "the package qiskit_optimization",
    "qiskit.providers.aer": "the package qiskit_aer",
    "qiskit.providers.basicaer": "qiskit.providers.basic_provider",
    "qiskit.providers.fake_provider.Fake*": "GenericBackendV2, or qiskit_ibm_runtime.fake_provider",
    "qiskit.providers.ibmq": "the package qiskit_ibm_runtime",
    "qiskit.qasm.Qasm": "qiskit.qasm2 and qiskit.qasm3",
    "qiskit.quantum_info.PauliTable": "qiskit.quantum_info.PauliList",
    "qiskit.quantum_info.StabilizerTable": "qiskit.quantum_info.StabilizerState, or PauliList",
    "qiskit.test": "qiskit_ibm_runtime.fake_provider, or GenericBackendV2",
    "qiskit.tools": "qiskit.visualization, or job.status()",
    "qiskit.transpiler.passes.CXDirection": "GateDirection",
    "qiskit.transpiler.passes.Unroller": "BasisTranslator",
    "qiskit.utils.QuantumInstance": "a primitive",
    "qiskit.utils.algorithm_globals": "qiskit_algorithms.utils.algorithm_globals",
    "QuantumCircuit.bind_parameters": "assign_parameters",
    "QuantumCircuit.cnot": "cx",
    "QuantumCircuit.combine": "compose",
    "QuantumCircuit.cu1": "cp",
    "QuantumCircuit.cu3": "cu",
    "QuantumCircuit.diagonal": "append(DiagonalGate(...), qubits)",
    "QuantumCircuit.extend": "compose",
    "QuantumCircuit.fredkin": "cswap",
    "QuantumCircuit.hamiltonian": "append(HamiltonianGate(...), qubits)",
    "QuantumCircuit.i": "id",
    "QuantumCircuit.iden": "id",
    "QuantumCircuit.iso": "append(Isometry(...), qubits)",
    "QuantumCircuit.isometry": "append(Isometry(...), qubits)",
    "QuantumCircuit.mct": "mcx",
    "QuantumCircuit.mcu1": "mcp",
    "QuantumCircuit.qasm": "qiskit.qasm2.dumps",
    "QuantumCircuit.snapshot": "save_statevector and others of qiskit_aer",
    "QuantumCircuit.squ": "append(UnitaryGate(...), qubits)",
    "QuantumCircuit.toffoli": "ccx",
    "QuantumCircuit.u1": "p",
    "QuantumCircuit.u2": "u",
    "QuantumCircuit.u3": "u",
    "QuantumCircuit.ucrx": "append(UCRXGate(...), qubits)",
    "QuantumCircuit.ucry": "append(UCRYGate(...), qubits)",
    "QuantumCircuit.ucrz": "append(UCRZGate(...), qubits)",
}
_SECOND: Mapping[str, str] = {
    "qiskit.assemble": "backend.run(circuits), or a primitive",
    "qiskit.assembler": "backend.run(circuits), or a primitive",
    "qiskit.circuit.classicalfunction": "qiskit.circuit.library.PhaseOracleGate and BitFlipOracleGate",
    "qiskit.primitives.BackendEstimator": "qiskit.primitives.BackendEstimatorV2",
    "qiskit.primitives.BackendSampler": "qiskit.primitives.BackendSamplerV2",
    "qiskit.primitives.Estimator": "qiskit.primitives.StatevectorEstimator",
    "qiskit.primitives.Sampler": "qiskit.primitives.StatevectorSampler",
    "qiskit.providers.BackendV1": "qiskit.providers.BackendV2",
    "qiskit.providers.BackendV2Converter": "qiskit.providers.BackendV2",
    "qiskit.providers.Provider": "a class of your own",
    "qiskit.providers.ProviderV1": "a class of your own",
    "qiskit.providers.models": "qiskit.transpiler.Target",
    "qiskit.pulse": "fractional gates; there is no control of pulses any more",
    "qiskit.qobj": "backend.run(circuits), or a primitive",
    "qiskit.result.LocalReadoutMitigator": "resilience options of qiskit_ibm_runtime",
    "qiskit.result.mitigation": "resilience options of qiskit_ibm_runtime",
    "qiskit.schedule": "there are no schedules of pulses any more",
    "qiskit.scheduler": "there are no schedules of pulses any more",
    "qiskit.transpiler.passes.CXCancellation": "InverseCancellation",
    "qiskit.transpiler.passes.StochasticSwap": "SabreSwap",
    "QuantumCircuit.add_calibration": "there are no calibrations by pulses any more",
    "QuantumCircuit.c_if": "if_test",
    "QuantumCircuit.calibrations": "there are no calibrations by pulses any more",
    "QuantumCircuit.condition": "if_test",
}

REMOVED: Mapping[str, Removed] = {
    name: Removed(name, since, instead)
    for since, table in (("1.0", _FIRST), ("2.0", _SECOND))
    for name, instead in table.items()
}
"""By name."""
