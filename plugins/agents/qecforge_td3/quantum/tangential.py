"""The tangential network: what stands for a sampled layer where it has to be differentiated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import _tangential_fit

__all__ = ["TangentialNetwork"]


class TangentialNetwork(nn.Module):
    """A perceptron of one hidden layer that learns the mean of the bits that a sampler gave for its inputs, close to
    the latest batch: qtDNN. Its derivative stands for the sampler's.

        network = TangentialNetwork(220, 10)
        network.fit(inputs, bits, rng)      # bits as any sampler, or a device, gave them
        means = network(inputs)             # differentiable by the inputs; its own weights take no part

    Args:
        inputs: I.
        outputs: O bits.
        hidden: H, leaky ReLU (paper: 2048).
        learning_rate: Adam's.
        generator: For the initial weights, which are `torch.nn.Linear`'s; None for torch's own.
        threads: Threads of `fit` on the CPU. Changes nothing but the time.

    Source: arXiv:2503.09119, section 2 and algorithm 1 (B1).
    """

    updates: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: int = 2048,
        learning_rate: float = 3e-4,
        generator: torch.Generator | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.hidden = inputs, outputs, hidden
        self.learning_rate, self.threads = learning_rate, threads
        shapes = {
            "weight": (hidden, inputs),
            "bias": (hidden,),
            "out_weight": (outputs, hidden),
            "out_bias": (outputs,),
        }
        bounds = {"weight": inputs, "bias": inputs, "out_weight": hidden, "out_bias": hidden}
        blocks = (-(-hidden // _tangential_fit.LANES), inputs, _tangential_fit.LANES)
        for name, shape in shapes.items():
            bound = 1.0 / math.sqrt(bounds[name])
            self.register_buffer(name, torch.empty(shape).uniform_(-bound, bound, generator=generator))
            moments = blocks if name == "weight" else shape  # as the compiled fit reads them
            self.register_buffer(f"first_{name}", torch.zeros(moments))
            self.register_buffer(f"second_{name}", torch.zeros(moments))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def logits(self, inputs: Tensor) -> Tensor:
        """(B, I) float32 -> log odds of each bit, (B, O)."""
        hidden = functional.leaky_relu(functional.linear(inputs, self._of("weight"), self._of("bias")))
        return functional.linear(hidden, self._of("out_weight"), self._of("out_bias"))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, I) float32 -> mean of each bit, (B, O) in 0..1."""
        return torch.sigmoid(self.logits(inputs))

    def fit(
        self, inputs: Tensor, bits: Tensor, rng: np.random.Generator, *, fits: int = 32, tiny_batch: int = 8
    ) -> float:
        """Updates by Adam of the mean binary cross entropy, each on one tiny batch.

        Tiny batches are a random partition of the batch; once it is used up another one is drawn. What a partition
        leaves over takes no part.

        Args:
            inputs: (B, I) float32.
            bits: (B, O), 0 or 1, or means between.
            rng: Draws the partitions.
            fits: N_qt, how many updates.
            tiny_batch: Samples of each.

        Returns:
            Binary cross entropy of the tiny batches before their updates, in nats, averaged.

        Raises:
            ConfigurationError: Arrays of another shape, or a batch smaller than a tiny batch.
        """
        if inputs.shape != (len(inputs), self.inputs) or bits.shape != (len(inputs), self.outputs):
            raise ConfigurationError(
                f"tangential network: got inputs {tuple(inputs.shape)} and bits {tuple(bits.shape)}, expected "
                f"(B, {self.inputs}) and (B, {self.outputs})"
            )
        if fits < 1 or not 1 <= tiny_batch <= len(inputs):
            raise ConfigurationError(
                f"tangential network: {fits} tiny batches of {tiny_batch} of {len(inputs)} samples: give 1 or more "
                "of both, and no larger ones than there are samples"
            )
        chosen = _tiny_batches(len(inputs), fits, tiny_batch, rng)
        if inputs.device.type == "cpu":
            return self._fit_compiled(inputs.detach(), bits.detach(), chosen)
        return self._fit_torch(inputs.detach(), bits.detach(), torch.from_numpy(chosen).to(inputs.device))

    def _fit_compiled(self, inputs: Tensor, bits: Tensor, chosen: NDArray[np.int64]) -> float:
        samples = inputs.numpy().astype(np.float32, copy=False)
        fits, tiny_batch = chosen.shape
        x = np.zeros((fits, self.inputs, max(tiny_batch, _tangential_fit.TINY)), np.float32)
        x[:, :, :tiny_batch] = samples[chosen].transpose(0, 2, 1)
        y = bits.numpy().astype(np.float32, copy=False)[chosen]
        arrays = {name: tensor.numpy() for name, tensor in self.named_buffers()}
        moments = tuple(
            arrays[f"{which}_{name}"] for name in ("weight", "bias", "out_weight") for which in ("first", "second")
        )
        fit = _tangential_fit.fit if self.threads == 1 else _tangential_fit.fit_on_threads
        loss = fit(
            arrays["weight"], arrays["bias"], arrays["out_weight"], arrays["out_bias"], moments,
            (arrays["first_out_bias"], arrays["second_out_bias"]), x, y, int(self.updates), self.learning_rate,
        )  # fmt: skip
        self.updates += len(chosen)
        return float(loss)

    def _fit_torch(self, inputs: Tensor, bits: Tensor, chosen: Tensor) -> float:
        """The same by torch, on other devices than the CPU."""
        names = ("weight", "bias", "out_weight", "out_bias")
        weights = [self._of(name).requires_grad_() for name in names]
        firsts, seconds = ([self._of(f"{which}_{name}") for name in names] for which in ("first", "second"))
        blocked = firsts[0], seconds[0]
        firsts[0], seconds[0] = (each.transpose(1, 2).reshape(-1, self.inputs)[: self.hidden] for each in blocked)
        steps = [self.updates.to(torch.float32).clone() for _ in names]
        total = torch.zeros((), device=inputs.device)
        for tiny in chosen:
            loss = functional.binary_cross_entropy_with_logits(self.logits(inputs[tiny]), bits[tiny].float())
            gradients = list(torch.autograd.grad(loss, weights))
            total += loss.detach()
            torch._foreach_add_(steps, 1)
            with torch.no_grad():
                torch._fused_adam_(
                    weights, gradients, firsts, seconds, [], steps, lr=self.learning_rate, beta1=0.9, beta2=0.999,
                    weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
                )  # fmt: skip
        for weight in weights:
            weight.requires_grad_(False)
        for blocks, rows in zip(blocked, (firsts[0], seconds[0]), strict=True):
            padded = functional.pad(rows, (0, 0, 0, blocks.shape[0] * blocks.shape[2] - self.hidden))
            blocks.copy_(padded.view(blocks.shape[0], blocks.shape[2], -1).transpose(1, 2))
        self.updates += len(chosen)
        return float(total) / len(chosen)

    def _of(self, name: str) -> Tensor:
        tensor: Any = getattr(self, name)
        assert isinstance(tensor, Tensor)
        return tensor


def _tiny_batches(samples: int, fits: int, tiny_batch: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(fits, tiny_batch) numbers of samples: rows of as many random partitions as are needed."""
    each = samples // tiny_batch
    partitions = [rng.permutation(samples)[: each * tiny_batch] for _ in range(-(-fits // each))]
    return np.concatenate(partitions).reshape(-1, tiny_batch)[:fits]
