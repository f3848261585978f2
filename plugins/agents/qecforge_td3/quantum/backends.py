"""What carries circuits out: our exact simulation, qiskit-aer, or any sampler of qiskit, which is how hardware is
reached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError, InfrastructureError, one_line
from qecforge_td3.quantum.circuits import Circuit

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseSamplerV2

__all__ = ["Backend", "NumbaBackend", "SamplerBackend", "make_backend"]

Array = NDArray[Any]

SHOTS = 1024
"""Shots of a mean where a sampler is asked for one and no number is named."""


class Backend(Protocol):
    """Carries out the circuits of a layer. `inputs` (B, A) float32, `pairs` (B, L, 2) int64 or None; none changed."""

    exact: bool
    """Whether it gives means without shots, and their derivatives."""

    def shots(self, inputs: Array, pairs: Array | None, shots: int, rng: np.random.Generator) -> Array:
        """Measure each circuit so many times: (B, S, bits) uint8."""
        ...

    def rotation_means(
        self, rotations: Array, pairs: Array | None, shots: int | None, rng: np.random.Generator
    ) -> Array:
        """Mean bits (B, bits) for angles of rotations (`Circuit.rotations`), from shots, or exact for None."""
        ...

    def marginals(self, angles: Array, pairs: Array | None = None) -> Array:
        """Mean bits (B, bits) float32, exact or from the backend's shots."""
        ...

    def marginals_vjp(self, angles: Array, pairs: Array | None, cotangent: Array) -> Array:
        """Exact derivatives (B, A) by the inputs of the sum of mean bits times `cotangent` (B, bits). Raises
        `ConfigurationError` where `exact` is false."""
        ...


class NumbaBackend:
    """The exact simulation, in this process."""

    exact = True

    def __init__(self, circuit: Circuit) -> None:
        if circuit.qubits > 16:
            raise ConfigurationError(
                f"backend `numba`: got {circuit.qubits} qubits, expected at most 16 (a state of {circuit.qubits} takes "
                f"{16 << circuit.qubits:,} bytes for each circuit): choose the backend `aer` or a sampler"
            )
        self.circuit = circuit
        circuit.read(np.zeros((1, circuit.qubits), np.float32))  # what cannot be simulated is refused now

    def sample_bits(self, angles: Array, pairs: Array | None, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One shot of each circuit: (B, bits) uint8."""
        return cast(NDArray[np.uint8], self.shots(angles, pairs, 1, rng)[:, 0])

    def shots(self, inputs: Array, pairs: Array | None, shots: int, rng: np.random.Generator) -> Array:
        """See `Backend`; n numbers are drawn for each shot."""
        batch = self.circuit.batch(inputs, pairs)
        uniforms = rng.random((len(batch), shots, batch.qubits), dtype=np.float32)
        return self.circuit.read(batch.sample(uniforms)[0])

    def rotation_means(
        self, rotations: Array, pairs: Array | None, shots: int | None, rng: np.random.Generator
    ) -> Array:
        """See `Backend`."""
        batch = self.circuit.batch_of_rotations(rotations, pairs)
        if shots is None:
            return self.circuit.read(batch.marginals())
        uniforms = rng.random((len(batch), shots, batch.qubits), dtype=np.float32)
        bits = self.circuit.read(batch.sample(uniforms)[0])
        return cast(Array, bits.mean(1, dtype=np.float32))

    def marginals(self, angles: Array, pairs: Array | None = None) -> Array:
        """See `Backend`."""
        return self.circuit.read(self.circuit.batch(angles, pairs).marginals())

    def marginals_vjp(self, angles: Array, pairs: Array | None, cotangent: Array) -> Array:
        """See `Backend`."""
        cotangent = self.circuit.spread(cotangent)
        return self.circuit.by_inputs(self.circuit.batch(angles, pairs).vjp(cotangent)[1])

    def most_probable(self, inputs: Array, pairs: Array | None) -> Array:
        """The most probable string of all measured bits, (B, bits) uint8; of several the lowest as a number, bit 0
        lowest. Takes the full state of each circuit."""
        probabilities = np.abs(self.circuit.batch(inputs, pairs).amplitudes()) ** 2
        indices = np.arange(probabilities.shape[1])
        strings = self.circuit.read((indices[:, None] >> np.arange(self.circuit.qubits) & 1).astype(np.uint8))
        keys, inverse = np.unique(strings @ (1 << np.arange(strings.shape[1])), return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        starts = np.searchsorted(inverse[order], np.arange(len(keys)))
        best = keys[np.add.reduceat(probabilities[:, order], starts, axis=1).argmax(1)]
        return np.asarray((best[:, None] >> np.arange(strings.shape[1]) & 1).astype(np.uint8))


class SamplerBackend:
    """Any `SamplerV2` of qiskit. Circuits with the same CZ pattern are one PUB, all of a batch one job.

    Args:
        circuit: The layer's.
        sampler: What runs them; its own randomness is its own.
        target: A backend of qiskit that circuits are transpiled for; None where the sampler takes them as they are.
        default_shots: For means where no number is named.
    """

    exact = False

    def __init__(
        self, circuit: Circuit, sampler: BaseSamplerV2, *, target: Any = None, default_shots: int = SHOTS
    ) -> None:
        self.circuit, self.sampler, self.target, self.default_shots = circuit, sampler, target, default_shots
        self._templates: dict[tuple[bytes, bool], tuple[Any, list[int], bool]] = {}
        room = getattr(target, "num_qubits", None)
        if room is not None and room < circuit.qubits:
            raise ConfigurationError(
                f"backend {target.name!r}: has {room} qubits, and the circuit {circuit.qubits}: choose a larger one"
            )

    def sample_bits(self, angles: Array, pairs: Array | None, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One shot of each circuit: (B, bits) uint8."""
        return cast(NDArray[np.uint8], self.shots(angles, pairs, 1, rng)[:, 0])

    def shots(self, inputs: Array, pairs: Array | None, shots: int, rng: np.random.Generator) -> Array:
        """See `Backend`."""
        return cast(Array, self._run(inputs, pairs, shots, rng, rotations=False))

    def rotation_means(
        self, rotations: Array, pairs: Array | None, shots: int | None, rng: np.random.Generator
    ) -> Array:
        """See `Backend`."""
        bits = self._run(rotations, pairs, shots or self.default_shots, rng, rotations=True)
        return cast(Array, bits.mean(1, dtype=np.float32))

    def marginals(self, angles: Array, pairs: Array | None = None) -> Array:
        """Means of `default_shots` shots."""
        bits = self.shots(angles, pairs, self.default_shots, np.random.default_rng())
        return cast(Array, bits.mean(1, dtype=np.float32))

    def marginals_vjp(self, angles: Array, pairs: Array | None, cotangent: Array) -> Array:
        """Raises `ConfigurationError`."""
        raise ConfigurationError(
            "gradient `exact`: this backend only samples: choose `parameter_shift`, `spsa` or `tangential`, or the "
            "backend `numba`"
        )

    def seeded(self, rng: np.random.Generator) -> BaseSamplerV2:
        """The sampler for one job."""
        return self.sampler

    def _run(self, values: Array, pairs: Array | None, shots: int, rng: np.random.Generator, *, rotations: bool) -> Any:
        if not np.isfinite(values).all():
            row, at = np.argwhere(~np.isfinite(values))[0].tolist()
            raise ConfigurationError(
                f"angles: got {values[row, at]} in row {row}, column {at}, expected finite numbers: see what computes "
                "them"
            )
        groups: dict[bytes, list[int]] = {}
        for row in range(len(values)):
            groups.setdefault(b"" if pairs is None else pairs[row].tobytes(), []).append(row)
        pubs: list[Any] = []
        rows_of: list[Any] = []
        for pattern, rows in groups.items():
            template, columns, binds = self._template(pattern, None if pairs is None else pairs[rows[0]], rotations)
            given = values[rows][:, columns].astype(np.float64)
            if binds:
                pubs.append((template, given))
                rows_of.append(rows)
            else:
                pubs += [(template.assign_parameters(row),) for row in given]
                rows_of += rows
        try:
            result = self.seeded(rng).run(pubs, shots=shots).result()
        except Exception as error:
            raise InfrastructureError(
                f"sampler {type(self.sampler).__name__}: a job of {len(pubs)} circuits failed: {one_line(error, 300)}"
            ) from error
        out = np.empty((len(values), shots, self.circuit.bits), np.uint8)
        for rows, each in zip(rows_of, result, strict=True):
            out[rows] = each.join_data().to_bool_array(order="little")
        return out

    def binds(self, circuit: QuantumCircuit) -> bool:
        """Whether the sampler can be trusted to bind the parameters of this circuit."""
        return True

    def _template(self, pattern: bytes, pairs: Array | None, rotations: bool) -> tuple[Any, list[int], bool]:
        """The circuit of a pattern, in which order its parameters are bound, and whether the sampler does that."""
        key = (pattern, rotations)
        if key not in self._templates:
            circuit, parameters = self.circuit.template(pairs, rotations=rotations)
            if self.target is not None:
                from qiskit.transpiler import generate_preset_pass_manager

                circuit = generate_preset_pass_manager(1, backend=self.target, seed_transpiler=0).run(circuit)
            where = {parameter: at for at, parameter in enumerate(parameters)}
            if len(self._templates) > 4096:
                self._templates.clear()
            self._templates[key] = circuit, [where[each] for each in circuit.parameters], self.binds(circuit)
        return self._templates[key]


class AerBackend(SamplerBackend):
    """qiskit-aer, seeded from the layer's generator.

    Args:
        noise: A noise model of Aer; None for none.
        target: A backend of qiskit, such as a fake one, that is imitated: its gates, its connections, its noise.
    """

    def __init__(self, circuit: Circuit, *, noise: Any = None, target: Any = None, default_shots: int = SHOTS) -> None:
        self.noise = noise
        needed, there = 16 << circuit.qubits, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > there:
            raise ConfigurationError(
                f"backend `aer`: a state of {circuit.qubits} qubits takes {needed:,} bytes, and this machine has "
                f"{there:,}: choose fewer qubits, or a sampler of a device"
            )
        super().__init__(circuit, self._sampler(target, 0), target=target, default_shots=default_shots)

    def seeded(self, rng: np.random.Generator) -> BaseSamplerV2:
        """A sampler with a seed that is drawn."""
        return self._sampler(self.target, int(rng.integers(2**31)))

    def binds(self, circuit: QuantumCircuit) -> bool:
        """Not where a controlled gate has a parameter, for Aer 0.18 samples another distribution then, or where an
        angle is a sum, of which it refuses some."""
        from qiskit.circuit import Parameter

        for each in circuit.data:
            bare = [isinstance(value, Parameter) for value in each.operation.params]
            sums = [hasattr(value, "parameters") for value in each.operation.params]
            if sums != bare or (any(bare) and hasattr(each.operation, "num_ctrl_qubits")):
                return False
        return True

    def _sampler(self, target: Any, seed: int) -> Any:
        from qiskit_aer.primitives import SamplerV2

        if target is not None:
            return SamplerV2.from_backend(target, seed=seed)
        options = {} if self.noise is None else {"noise_model": self.noise}
        return SamplerV2(seed=seed, options={"backend_options": options})


def make_backend(backend: Any, circuit: Circuit) -> Any:
    """The backend for a circuit.

    Args:
        backend: "numba" (or "exact"), "aer", {"fake": NAME}, {"depolarizing": p} (after every gate, qubit by qubit),
            a noise model of Aer, a `SamplerV2` of qiskit, or a backend already.

    Raises:
        ConfigurationError: It is none of them; more qubits than it has; no such fake backend.
    """
    if isinstance(backend, str):
        if backend in {"numba", "exact"}:
            return NumbaBackend(circuit)
        if backend == "aer":
            return AerBackend(circuit)
    elif isinstance(backend, Mapping) and set(backend) == {"fake"}:
        from qecforge_td3.quantum.devices import fake_backend

        return AerBackend(circuit, target=fake_backend(backend["fake"], circuit.qubits))
    elif isinstance(backend, Mapping) and set(backend) == {"depolarizing"}:
        from qecforge_td3.quantum.devices import depolarizing

        return AerBackend(circuit, noise=depolarizing(backend["depolarizing"]))
    elif hasattr(backend, "marginals_vjp"):
        return backend
    elif hasattr(backend, "add_quantum_error"):
        return AerBackend(circuit, noise=backend)
    elif hasattr(backend, "run") and not hasattr(backend, "target"):
        return SamplerBackend(circuit, backend)
    elif hasattr(backend, "target"):
        return AerBackend(circuit, target=backend)
    got = repr(backend) if isinstance(backend, str | Mapping) else type(backend).__name__
    raise ConfigurationError(
        f"backend: got {got}, expected 'numba', 'aer', {{'fake': NAME}}, {{'depolarizing': p}}, a noise model of Aer, "
        "or a SamplerV2 or backend of qiskit"
    )
