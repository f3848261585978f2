"""One batch's gradients through the quantum layer of a `td3` actor, by each way, as numbers beside the exact ones.

All are derivatives of the actor's loss, minus the first critic's mean value, by q_in: what PreDNN gives to the circuit,
200 angles and 20 CZ outputs. Of the latter there is no exact derivative, for they are rounded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _gradient_cases import Batch
from numpy.typing import NDArray
from torch import Tensor

from qecforge_td3.blocks import angles_and_pairs
from qecforge_td3.networks import Networks
from qecforge_td3.quantum import PaperCircuit, QuantumLayer, TangentialNetwork, agreement, expectation_gradient
from qecforge_td3.quantum import amplitudes as states

__all__ = ["Found", "Reference", "estimated", "exact", "over_strings", "tangential"]

Array = NDArray[Any]


@dataclass
class Found:
    """Derivatives by q_in (B, I) and by the links that pass by the circuit (B, l), and the CPU seconds they took."""

    by_q_in: Array
    by_links: Array
    seconds: float


class Reference(Found):
    """The exact gradient, and what others need to be compared with it."""

    def __init__(self, networks: Networks, batch: Batch) -> None:
        self.actor: Any = networks.actor
        self.circuit: PaperCircuit = self.actor.block.paper_circuit
        self.parameters = [*self.actor.pre_1.parameters(), *self.actor.pre_2.parameters()]
        networks.critic.eval()
        self.q_in, self.links = self.actor.pre(batch.s)
        given = self.q_in.detach().numpy()
        self.angles, self.pairs = angles_and_pairs(given, self.circuit.qubits, self.circuit.layers)
        started = time.process_time()
        self.means = torch.from_numpy(self.actor.block.simulator.marginals(self.angles, self.pairs))
        self.cotangent, by_links = behind(networks, batch.s, self.means, self.links)
        by_q_in = np.zeros(given.shape, np.float32)
        by_q_in[:, : self.circuit.angles] = self.actor.block.simulator.marginals_vjp(
            self.angles, self.pairs, self.cotangent.numpy()
        )
        super().__init__(by_q_in, by_links.numpy(), time.process_time() - started)

    def reaching(self, by_q_in: Array, by_links: Array | None) -> Array:
        """The same as derivatives by all of PreDNN's weights, (P,); without those through the links if None."""
        outputs, gradients = [self.q_in], [torch.from_numpy(np.ascontiguousarray(by_q_in, np.float32))]
        if by_links is not None:
            outputs.append(self.links)
            gradients.append(torch.from_numpy(by_links))
        found = torch.autograd.grad(outputs, self.parameters, gradients, retain_graph=True)
        return torch.cat([each.flatten() for each in found]).numpy()

    def compared(self, found: Found, reference: Found | None = None) -> dict[str, float]:
        """Of `found` beside the exact gradient, or beside another reference.

        cosine, norm_ratio: for each sample, by the angles. pre_cosine, pre_norm_ratio: the same at PreDNN's weights.
        pre_cosine_with_cz: with what the estimate has on the CZ outputs. whole_cosine: with the links as well, which is
        all that PreDNN learns from. cz_share: norm on the CZ outputs over the norm on all of q_in.
        """
        wanted = reference or self
        angles = self.circuit.angles
        without = found.by_q_in.copy()
        without[:, angles:] = 0
        alone = self.reaching(wanted.by_q_in, None)
        rows = agreement(found.by_q_in[:, :angles], wanted.by_q_in[:, :angles])
        pre = agreement(self.reaching(without, None), alone)
        with_cz = agreement(self.reaching(found.by_q_in, None), alone)
        whole = agreement(self.reaching(found.by_q_in, found.by_links), self.reaching(wanted.by_q_in, wanted.by_links))
        share = np.linalg.norm(found.by_q_in[:, angles:]) / np.linalg.norm(found.by_q_in)
        return {
            "cosine": rows.cosine,
            "norm_ratio": rows.norm_ratio,
            "pre_cosine": pre.cosine,
            "pre_norm_ratio": pre.norm_ratio,
            "pre_cosine_with_cz": with_cz.cosine,
            "whole_cosine": whole.cosine,
            "cz_share": float(share),
        }


def exact(networks: Networks, batch: Batch) -> Reference:
    """By the adjoint method, PostDNN and critic differentiated at the exact mean bits."""
    return Reference(networks, batch)


def behind(networks: Networks, s: Tensor, q_out: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the loss by q_out (B, n) and by the links (B, l)."""
    actor: Any = networks.actor
    q_out, links = q_out.detach().requires_grad_(), links.detach().requires_grad_()
    loss = -networks.critic.first(s, actor.post(q_out, links)).mean()
    by_bits, by_links = torch.autograd.grad(loss, [q_out, links])
    return by_bits, by_links


def tangential(
    networks: Networks, batch: Batch, network: TangentialNetwork, reference: Reference
) -> tuple[Found, dict[str, float]]:
    """As the agent has it: the loss at qtDNN's own means, back through qtDNN.

    Returns:
        It, and beside it `layer_cosine`, by the angles, if the loss's derivative by the bits were the exact one's; and
        `means_r2`, the share of the exact means' variance over the batch that qtDNN's means explain.
    """
    started = time.process_time()
    q_in = reference.q_in.detach().requires_grad_()
    means = network(q_in)
    cotangent, by_links = behind(networks, batch.s, means, reference.links)
    (by_q_in,) = torch.autograd.grad(means, q_in, cotangent, retain_graph=True)
    seconds = time.process_time() - started
    (same,) = torch.autograd.grad(means, q_in, reference.cotangent)
    angles = reference.circuit.angles
    layer = agreement(same.numpy()[:, :angles], reference.by_q_in[:, :angles])
    left = float(((means.detach() - reference.means) ** 2).sum())
    variance = float(((reference.means - reference.means.mean(0)) ** 2).sum())
    beside = {"layer_cosine": layer.cosine, "means_r2": 1 - left / variance}
    return Found(by_q_in.numpy(), by_links.numpy(), seconds), beside


def estimated(reference: Reference, rng: np.random.Generator, **options: Any) -> Found:
    """By shifts or SPSA: `options` of `QuantumLayer`. The loss's derivative by the bits is the exact one's."""
    layer = QuantumLayer(reference.circuit, readout="marginals", **options)
    pairs, started = torch.from_numpy(reference.pairs), time.process_time()
    by_angles, _ = layer.vjp(torch.from_numpy(reference.angles), pairs, reference.cotangent, rng)
    by_q_in = np.zeros_like(reference.by_q_in)
    by_q_in[:, : reference.circuit.angles] = by_angles.numpy()
    return Found(by_q_in, reference.by_links, time.process_time() - started)


def over_strings(networks: Networks, batch: Batch, reference: Reference) -> Found:
    """The exact derivative of the mean of the loss over the bits, not of the loss at the mean bits: every one of the
    2^n strings is put through PostDNN and critic."""
    actor: Any = networks.actor
    circuit, rows, started = reference.circuit, len(batch), time.process_time()
    index = torch.arange(1 << circuit.qubits)
    strings = (index[:, None] >> torch.arange(circuit.qubits) & 1).float()
    chances = torch.from_numpy(np.abs(states(reference.angles, reference.pairs, circuit.rotation)) ** 2)
    values, by_links = np.empty(chances.shape), np.empty(reference.by_links.shape, np.float32)
    for row in range(rows):
        links = reference.links[row : row + 1].detach().requires_grad_()
        s = batch.s[row : row + 1].expand(len(strings), -1)
        losses = -networks.critic.first(s, actor.post(strings, links.expand(len(strings), -1))) / rows
        (slope,) = torch.autograd.grad((losses * chances[row]).sum(), links)
        by_links[row], values[row] = slope.numpy()[0], losses.detach().numpy()
    values -= values.mean(1, keepdims=True)
    by_q_in = np.zeros_like(reference.by_q_in)
    by_q_in[:, : circuit.angles] = expectation_gradient(circuit, reference.angles, reference.pairs, values)
    return Found(by_q_in, by_links, time.process_time() - started)
