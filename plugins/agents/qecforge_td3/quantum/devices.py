"""Devices to imitate: fake backends by name, and noise of one number."""

from __future__ import annotations

import inspect
import re
from typing import Any

from qecforge.errors import ConfigurationError, did_you_mean

__all__ = ["depolarizing", "fake_backend", "fake_backends"]

GATES_OF_ONE = ["r", "rx", "ry", "rz", "h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "p", "u"]
GATES_OF_TWO = ["cz", "cx", "cy", "crx", "cry", "crz", "cp", "rxx", "ryy", "rzz", "rzx", "swap", "ecr"]


def fake_backends() -> dict[str, Any]:
    """Classes of fake backends by name: those of qiskit-ibm-runtime, where it is installed."""
    try:
        from qiskit_ibm_runtime import fake_provider
    except ImportError:
        return {}
    return {
        name: each
        for name, each in inspect.getmembers(fake_provider, inspect.isclass)
        if name.startswith("Fake") and not name.startswith(("FakeProvider", "FakeBackend"))
    }


def fake_backend(name: str, qubits: int) -> Any:
    """A fake backend of qiskit with at least `qubits` qubits.

    Args:
        name: `generic_N` is a line of N qubits with the gates CX, RZ, SX, X and with noise of a usual size (qiskit's
            `GenericBackendV2`, seed 0); other names, such as `FakeManilaV2`, are those of qiskit-ibm-runtime.

    Raises:
        ConfigurationError: There is none of this name (the nearest are offered), or it has too few qubits.
    """
    if found := re.fullmatch(r"generic_(\d{1,3})", name):
        from qiskit.providers.fake_provider import GenericBackendV2

        size = int(found[1])
        backend = None
        if size >= 1:
            line = [[at, at + 1] for at in range(size - 1)] + [[at + 1, at] for at in range(size - 1)]
            backend = GenericBackendV2(size, coupling_map=line or None, seed=0)
    else:
        known = fake_backends()
        if name not in known:
            where = "" if known else "; others come with qiskit-ibm-runtime, which is not installed"
            raise ConfigurationError(
                f"fake backend: there is none called {name!r}.{did_you_mean(name, [*known, f'generic_{qubits}'])} "
                f"Known: generic_N for N qubits{''.join(f', {each}' for each in list(known)[:5])}{where}"
            )
        backend = known[name]()
    if backend is None or backend.num_qubits < qubits:
        size = 0 if backend is None else backend.num_qubits
        raise ConfigurationError(
            f"fake backend {name!r}: has {size} qubits, and the circuit {qubits}: choose a larger one, such as "
            f"generic_{qubits}"
        )
    return backend


def depolarizing(probability: float) -> Any:
    """Noise of Aer: a depolarizing channel of this parameter after every gate, on each of its qubits alone.

    Raises:
        ConfigurationError: It is no number in [0, 1].
    """
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise ConfigurationError(f"depolarizing: got {probability!r}, expected a number in 0..1")
    noise, error = NoiseModel(), depolarizing_error(probability, 1)
    noise.add_all_qubit_quantum_error(error, GATES_OF_ONE)
    noise.add_all_qubit_quantum_error(error.tensor(error), GATES_OF_TWO)
    return noise
