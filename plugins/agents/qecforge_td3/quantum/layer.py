"""The layer: a module of torch from angles to measured bits, with a choice of backend, readout and gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.errors import ConfigurationError, did_you_mean
from qecforge.learning.generators import generator_state, restored_generator
from qecforge_td3.quantum.backends import make_backend
from qecforge_td3.quantum.circuits import Circuit
from qecforge_td3.quantum.gradients import GRADIENTS, parameter_shift, spsa
from qecforge_td3.quantum.qiskit_circuits import as_circuit

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

__all__ = ["READOUTS", "QuantumLayer"]

Array = NDArray[Any]
Random = np.random.Generator | torch.Generator | int

READOUTS = ("sample", "most_probable", "marginals")


class QuantumLayer(nn.Module):
    """Angles to bits: a circuit that is measured, and can be learned through. It has no weights of its own.

        layer = QuantumLayer(PaperCircuit(qubits=10, layers=10))
        bits = layer(angles, pairs)         # (B, 200) float32 and (B, 10, 2) int64 -> (B, 10) float32, 0 or 1

        layer = QuantumLayer(circuit, backend="aer", readout="marginals", gradient="parameter_shift", shots=200)
        means = layer(inputs)               # a circuit of qiskit with P parameters: (B, P) -> (B, bits) in [0, 1]

    Whatever is read out, what comes back is taken for the derivative by the *mean* bits, and multiplied by theirs: for
    a sample, and for the most probable string, that is a stand-in (straight-through), which leaves out how what is
    behind the layer curves between 0 and 1.

    Args:
        circuit: A `PaperCircuit`, or any parametrised circuit of qiskit, whose inputs are its parameters in the order
            of `circuit.parameters` and whose bits are its classical bits, bit 0 first.
        backend: What carries it out: "numba" (exact simulation, up to 16 qubits), "aer", {"fake": NAME},
            {"depolarizing": p}, a noise model of Aer, a backend of qiskit, or a `SamplerV2` of qiskit.
        readout: "sample", one shot's bits; "most_probable", the string that most shots gave, or the most probable one;
            "marginals", the mean of each bit over the shots, or the exact one.
        gradient: "exact" (`numba` alone), "parameter_shift", "spsa" or "tangential".
        shots: For the two last readouts, and for the shifted circuits of `parameter_shift` and `spsa`. None: exact with
            `numba`, 1,024 with the others.
        generator: What is drawn from: a generator of numpy or of torch (on the CPU), or a seed. It is part of
            `state_dict()`; one of torch as the state of the generator that it was made a seed of.
        tangential: For that gradient: a differentiable map from (B, A + 2 L) angles and CZ outputs to the mean bits,
            such as a `TangentialNetwork`, fitted by who uses the layer.
        spsa_step: Radians by which `spsa` moves each input.
        spsa_repeats: Random directions that it averages.

    Raises:
        ConfigurationError: A name that there is not, a circuit that cannot be used, a backend that cannot give what is
            wanted of it.
    """

    def __init__(
        self,
        circuit: Circuit | QuantumCircuit,
        backend: Any = "numba",
        readout: str = "sample",
        gradient: str = "exact",
        *,
        shots: int | None = None,
        generator: Random = 0,
        tangential: Callable[[Tensor], Tensor] | None = None,
        spsa_step: float = 0.1,
        spsa_repeats: int = 1,
    ) -> None:
        super().__init__()
        _check_name("readout", readout, READOUTS)
        _check_name("gradient", gradient, GRADIENTS)
        self.circuit = as_circuit(circuit)
        self.backend = make_backend(backend, self.circuit)
        self.readout, self.gradient, self.shots = readout, gradient, shots
        self.tangential, self.spsa_step, self.spsa_repeats = tangential, spsa_step, spsa_repeats
        self.rng = _generator(generator)
        if shots is not None and (isinstance(shots, bool) or not isinstance(shots, int) or shots < 1):
            raise ConfigurationError(f"shots: got {shots!r}, expected a whole number from 1, or None")
        if gradient == "exact" and not self.backend.exact:
            raise ConfigurationError(
                "gradient `exact`: this backend only samples: choose `parameter_shift`, `spsa` or `tangential`, or the "
                "backend `numba`"
            )
        if gradient == "tangential" and tangential is None:
            raise ConfigurationError("gradient `tangential`: give the layer a fitted network as `tangential`")
        if gradient == "parameter_shift" and not self.circuit.shift_rules:
            raise ConfigurationError(f"gradient `parameter_shift`: {self.circuit} has no rotation with a parameter")
        if not spsa_step > 0 or spsa_repeats < 1:
            raise ConfigurationError("spsa: expected a step above 0 and at least 1 repeat")

    @property
    def inputs(self) -> int:
        """Columns of `joined`: A + 2 L."""
        return self.circuit.angles + 2 * self.circuit.pairs

    def forward(self, angles: Tensor, pairs: Tensor | None = None, rng: np.random.Generator | None = None) -> Tensor:
        """Carry out one circuit for each row.

        Args:
            angles: (B, A) float, radians; in the order layer, qubit, theta before phi for a `PaperCircuit`.
            pairs: (B, L, 2), the qubits of each CZ, equal ones for no gate; None where the circuit has none as inputs.
                Floats are rounded and clipped to the qubits there are; only `tangential` has a gradient for them.
            rng: Draws in the place of the layer's own generator.

        Returns:
            (B, bits) in the dtype and on the device of `angles`: bits, or means in [0, 1].

        Raises:
            ConfigurationError: Shapes that are not the circuit's, an angle that is not finite, a qubit that is not
                there.
        """
        if angles.ndim != 2 or angles.shape[1] != self.circuit.angles:
            raise ConfigurationError(
                f"layer: got inputs of shape {tuple(angles.shape)}, expected (B, {self.circuit.angles}), a column for "
                "each angle of its circuit"
            )
        count = self.circuit.pairs
        if (pairs is None) != (count == 0) or (pairs is not None and pairs.shape != (len(angles), count, 2)):
            got = None if pairs is None else tuple(pairs.shape)
            wanted = f"({len(angles)}, {count}, 2)" if count else "none: its circuit has no CZs as inputs"
            raise ConfigurationError(f"layer: got pairs of shape {got}, expected {wanted}")
        bits: Tensor = _Measured.apply(angles, pairs, self, rng or self.rng)  # type: ignore[no-untyped-call]
        return bits

    def rounded(self, pairs: Tensor | None) -> Array | None:
        """The qubits of each CZ, (B, L, 2) int64: floats rounded and clipped, integers as they are."""
        if pairs is None:
            return None
        found = pairs.detach().cpu()
        if found.is_floating_point():
            found = found.round().clamp(0, self.circuit.qubits - 1)
        return found.to(torch.int64).numpy()

    def joined(self, angles: Tensor, pairs: Tensor | None) -> Tensor:
        """(B, A + 2 L): what a tangential network is given and fitted to."""
        return angles if pairs is None else torch.cat([angles, pairs.flatten(1).to(angles.dtype)], 1)

    def read(self, inputs: Array, pairs: Array | None, rng: np.random.Generator) -> Array:
        """What `forward` gives, on arrays of numpy: (B, bits)."""
        if self.readout == "sample":
            bits: Array = self.backend.shots(inputs, pairs, 1, rng)[:, 0]
            return bits
        if self.shots is None and self.backend.exact:
            exact = self.backend.marginals if self.readout == "marginals" else self.backend.most_probable
            return np.asarray(exact(inputs, pairs))
        bits = self.backend.shots(inputs, pairs, self._shots(), rng)
        return bits.mean(1, dtype=np.float32) if self.readout == "marginals" else _modes(bits)

    def vjp(self, angles: Tensor, pairs: Tensor | None, cotangent: Tensor, rng: np.random.Generator) -> Any:
        """Derivatives by angles and by pairs (None: there is none) of the mean bits times `cotangent` (B, bits)."""
        if self.gradient == "tangential":
            return self._tangential_vjp(angles, pairs, cotangent)
        inputs, qubits = _array(angles), self.rounded(pairs)
        weights = _array(cotangent)
        shots = None if self.backend.exact and self.shots is None else self._shots()
        if self.gradient == "exact":
            found = self.backend.marginals_vjp(inputs, qubits, weights)
        elif self.gradient == "parameter_shift":
            found = parameter_shift(self.circuit, self.backend, inputs, qubits, weights, shots, rng)
        else:
            found = spsa(self.backend, inputs, qubits, weights, shots, rng, self.spsa_step, self.spsa_repeats)
        return torch.from_numpy(np.ascontiguousarray(found)).to(angles), None

    def get_extra_state(self) -> dict[str, Any]:
        """The state of the generator, in numbers and strings."""
        return generator_state(self.rng)

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_extra_state`. Raises `CheckpointError` where it is none."""
        self.rng = restored_generator(state)

    def extra_repr(self) -> str:
        """What it is, for people."""
        return f"{self.circuit}, readout={self.readout!r}, gradient={self.gradient!r}, shots={self.shots}"

    def _shots(self) -> int:
        return self.shots if self.shots is not None else getattr(self.backend, "default_shots", 1024)

    def _tangential_vjp(self, angles: Tensor, pairs: Tensor | None, cotangent: Tensor) -> Any:
        if self.tangential is None:
            raise ConfigurationError("gradient `tangential`: give the layer a fitted network as `tangential`")
        with torch.enable_grad():
            inputs = self.joined(angles, pairs).detach().requires_grad_()
            means = self.tangential(inputs)
        (gradient,) = torch.autograd.grad(means, inputs, cotangent.to(means))
        by_angles, by_pairs = gradient[:, : self.circuit.angles], gradient[:, self.circuit.angles :]
        of_floats = pairs is not None and pairs.is_floating_point()
        return by_angles.to(angles), by_pairs.reshape(pairs.shape) if pairs is not None and of_floats else None


class _Measured(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, angles: Tensor, pairs: Tensor | None, layer: QuantumLayer, rng: np.random.Generator
    ) -> Tensor:
        ctx.save_for_backward(angles, *([] if pairs is None else [pairs]))
        ctx.layer, ctx.rng = layer, rng
        return torch.from_numpy(layer.read(_array(angles), layer.rounded(pairs), rng)).to(angles)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        angles, *pairs = ctx.saved_tensors
        return (*ctx.layer.vjp(angles, pairs[0] if pairs else None, cotangents[0], ctx.rng), None, None)


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)


def _modes(bits: Array) -> Array:
    """The string that most of the shots gave, of (B, S, bits); of several the lowest as a number, bit 0 lowest."""
    keys = bits.astype(np.int64) @ (1 << np.arange(bits.shape[2], dtype=np.int64))
    found = np.empty((len(bits), bits.shape[2]), np.uint8)
    for row, strings in enumerate(keys):
        values, counts = np.unique(strings, return_counts=True)
        found[row] = values[counts.argmax()] >> np.arange(bits.shape[2]) & 1
    return found


def _generator(generator: Random) -> np.random.Generator:
    if isinstance(generator, torch.Generator):
        return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return np.random.default_rng(generator)


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigurationError(
            f"{what}: got {name!r}, expected one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
