"""What may lie between PreDNN and PostDNN: the quantum circuit, and what it is compared with.

A block gives n bits, or numbers in their place, for I inputs: L x n x 2 angles, then L x 2 CZ outputs, which name the
qubits of each layer's CZ when they are rounded.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.errors import ConfigurationError
from qecforge_td3.config import TD3Config
from qecforge_td3.quantum import PaperCircuit, make_backend
from qecforge_td3.quantum.tangential import TangentialNetwork

__all__ = ["Block", "Fc", "Pqc", "RandomBits", "Zeros", "angles_and_pairs", "make_block"]


class Block(Protocol):
    """From q_in (B, I) to q_out (B, n)."""

    def sample(self, q_in: Tensor, rng: np.random.Generator | None) -> Tensor:
        """q_out as PostDNN gets it while acting. Raises `ConfigurationError` where `rng` is None and needed."""
        ...

    def mean(self, q_in: Tensor, rng: np.random.Generator) -> Tensor:
        """What stands for it where the actor is differentiated, with its gradient by q_in."""
        ...


class Fc(nn.Module):
    """A fully connected linear map, I to n."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound, generator=generator))

    def sample(self, q_in: Tensor, rng: np.random.Generator | None) -> Tensor:
        """See `Block.sample`."""
        return nn.functional.linear(q_in, self.weight, self.bias)

    def mean(self, q_in: Tensor, rng: np.random.Generator) -> Tensor:
        """The same."""
        return self.sample(q_in, rng)


class RandomBits:
    """Uniform random bits, whatever the inputs: no gradient."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def sample(self, q_in: Tensor, rng: np.random.Generator | None) -> Tensor:
        """See `Block.sample`."""
        bits = needed(rng, "random bits").integers(0, 2, (len(q_in), self.outputs), dtype=np.uint8)
        return torch.from_numpy(bits).to(q_in)

    def mean(self, q_in: Tensor, rng: np.random.Generator) -> Tensor:
        """Bits too, drawn anew: the paper replaces no block but the circuit where it differentiates."""
        return self.sample(q_in, rng)


class Zeros:
    """Zeros, whatever the inputs."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def sample(self, q_in: Tensor, rng: np.random.Generator | None) -> Tensor:
        """See `Block.sample`."""
        return q_in.new_zeros(len(q_in), self.outputs)

    def mean(self, q_in: Tensor, rng: np.random.Generator) -> Tensor:
        """The same."""
        return self.sample(q_in, rng)


class Pqc:
    """The parametrised quantum circuit.

    Attributes:
        paper_circuit: Its qubits, layers and rotations.
        circuit: The backend that runs it while acting; may be replaced.
        simulator: The backend that gives exact means and their derivatives.
        tangential: What stands for it where it is differentiated; None: its exact means.
    """

    def __init__(
        self, paper_circuit: PaperCircuit, *, tangential: TangentialNetwork | None, marginals: bool = False
    ) -> None:
        self.paper_circuit, self.tangential, self.marginals = paper_circuit, tangential, marginals
        self.qubits, self.layers = paper_circuit.qubits, paper_circuit.layers
        self.simulator = make_backend("numba", paper_circuit)
        self.circuit = self.simulator

    def sample(self, q_in: Tensor, rng: np.random.Generator | None) -> Tensor:
        """See `Block.sample`. No gradient."""
        angles, pairs = angles_and_pairs(q_in.detach().cpu().numpy(), self.qubits, self.layers)
        if self.marginals:
            q_out: NDArray[Any] = self.circuit.marginals(angles, pairs)
        else:
            q_out = self.circuit.sample_bits(angles, pairs, needed(rng, "bits of a quantum circuit"))
        return torch.from_numpy(q_out).to(q_in)

    def mean(self, q_in: Tensor, rng: np.random.Generator) -> Tensor:
        """What qtDNN gives, with its gradient by angles and CZ outputs; or the exact means, whose gradient is by the
        angles alone: rounded CZ outputs have none."""
        if self.tangential is not None:
            means: Tensor = self.tangential(q_in)
            return means
        exact = _ExactMeans.apply(q_in, self)  # type: ignore[no-untyped-call]
        assert isinstance(exact, Tensor)
        return exact


class _ExactMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_in: Tensor, block: Pqc) -> Tensor:
        angles, pairs = angles_and_pairs(q_in.detach().cpu().numpy(), block.qubits, block.layers)
        ctx.block, ctx.given, ctx.width = block, (angles, pairs), q_in.shape[1]
        return torch.from_numpy(block.simulator.marginals(angles, pairs)).to(q_in)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        (cotangent,) = cotangents
        by_angles = ctx.block.simulator.marginals_vjp(*ctx.given, np.ascontiguousarray(cotangent.cpu().numpy()))
        gradient = cotangent.new_zeros(len(cotangent), ctx.width)
        gradient[:, : by_angles.shape[1]] = torch.from_numpy(by_angles).to(cotangent)
        return gradient, None


def angles_and_pairs(q_in: NDArray[Any], qubits: int, layers: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """PreDNN's outputs (B, I) as the circuit takes them: angles (B, L n 2) in radians, and the qubits of each layer's
    CZ, (B, L, 2), rounded and held within 0..n - 1; equal ones are no gate."""
    width = 2 * qubits * layers
    angles = np.ascontiguousarray(q_in[:, :width], np.float32)
    pairs = np.clip(np.rint(q_in[:, width:]), 0, qubits - 1).astype(np.int64)
    return angles, pairs.reshape(len(q_in), layers, 2)


def make_block(config: TD3Config, generator: torch.Generator) -> Block:
    """The block that `config` describes."""
    if config.block == "fc":
        return Fc(config.circuit_inputs, config.qubits, generator)
    if config.block == "rbg":
        return RandomBits(config.qubits)
    if config.block == "zeros":
        return Zeros(config.qubits)
    tangential = None
    if config.gradient == "tangential":
        tangential = TangentialNetwork(
            config.circuit_inputs,
            config.qubits,
            hidden=config.tangential_hidden,
            learning_rate=config.tangential_learning_rate,
            generator=generator,
            threads=config.threads,
        )
    circuit = PaperCircuit(config.qubits, config.layers, config.rotation)
    return Pqc(circuit, tangential=tangential, marginals=config.readout == "marginals")


def needed(rng: np.random.Generator | None, what: str) -> np.random.Generator:
    """`rng`. Raises `ConfigurationError` where there is none."""
    if rng is None:
        raise ConfigurationError(f"td3: {what} are sampled, but rng is missing: give a numpy.random.Generator")
    return rng
