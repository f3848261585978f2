"""Forward and backward passes without autograd: matrix products into arrays that are made once, and what lies between
them in one pass over memory each.

A pass keeps what its backward pass needs until the next one, and reads the parameters where they are: they may change,
not move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge_td3 import _elementwise as elementwise
from qecforge_td3.actors import HybridActor, PlainActor
from qecforge_td3.critics import TwinCritic

__all__ = ["ActorPass", "CriticPass", "PerceptronPass"]


class CriticPass:
    """Of plain twin critics, B samples.

    Args:
        shared: Another's arrays are taken, whose backward pass is over when this one begins.
    """

    def __init__(self, critic: TwinCritic, samples: int, shared: CriticPass | None = None) -> None:
        h1, (joined, h2) = critic.bias_1.shape[-1], critic.weight_2.shape[1:]
        self.h1, self.s = h1, torch.empty(0)
        self.weight_1, self.weight_2 = critic.weight_1.detach(), critic.weight_2.detach()
        self.bias_1, self.bias_2 = _numbers(critic.bias_1).reshape(-1), _numbers(critic.bias_2)[:, 0]
        self.weight_3, self.bias_3 = _numbers(critic.weight_3)[..., 0], _numbers(critic.bias_3)[:, 0, 0]
        if shared is None:
            self.first, self.joined = torch.empty(samples, 2 * h1), torch.empty(2, samples, joined)
            self.second, self.hidden = torch.empty(2, samples, h2), torch.empty(2, samples, h1)
            self.q = torch.empty(2, samples)
        else:
            self.first, self.joined, self.second = shared.first, shared.joined, shared.second
            self.hidden, self.q = shared.hidden, shared.q
        self.gradients = {parameter: torch.zeros_like(parameter) for parameter in critic.parameters()}
        self.by_weight_1, self.by_weight_2, self.by_weight_3 = (
            self.gradients[each] for each in (critic.weight_1, critic.weight_2, critic.weight_3)
        )
        self.by_bias_1, self.by_bias_2, self.by_bias_3 = (
            self.gradients[each] for each in (critic.bias_1, critic.bias_2, critic.bias_3)
        )

    def values(self, s: Tensor, a: Tensor) -> Tensor:
        """Q (2, B), which the next pass overwrites."""
        self.s = s
        torch.mm(s, self.weight_1.t(), out=self.first)
        elementwise.activate_and_join(self.first.numpy(), self.bias_1, a.numpy(), self.joined.numpy())
        torch.bmm(self.joined, self.weight_2, out=self.second)
        elementwise.activate_and_weigh(self.second.numpy(), self.bias_2, self.weight_3, self.bias_3, self.q.numpy())
        return self.q

    def backward(self, by_q: Tensor) -> None:
        """Leave the parameters' derivatives in `grad`, for derivatives (2, B) by the latest values."""
        elementwise.by_value(
            by_q.numpy(), self.second.numpy(), self.weight_3, self.by_weight_3.numpy()[..., 0],
            self.by_bias_2.numpy()[:, 0],
        )  # fmt: skip
        torch.sum(by_q, 1, out=self.by_bias_3.view(-1))
        torch.bmm(self.joined.transpose(1, 2), self.second, out=self.by_weight_2)
        torch.bmm(self.second, self.weight_2[:, : self.h1].transpose(1, 2), out=self.hidden)
        elementwise.by_joined(
            self.hidden.numpy(), self.joined.numpy(), self.first.numpy(), self.by_bias_1.numpy().reshape(-1)
        )  # fmt: skip
        torch.mm(self.first.t(), self.s, out=self.by_weight_1)
        _leave(self.gradients)

    def first_by_action(self, s: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Q_1 (B,) and the derivative of its sum by the action, (B, A). Overwrites what `values` gave."""
        h1, first, joined, second = self.h1, self.hidden[0], self.joined[:1], self.second[:1]
        torch.mm(s, self.weight_1[:h1].t(), out=first)
        elementwise.activate_and_join(first.numpy(), self.bias_1[:h1], a.numpy(), joined.numpy())
        torch.mm(joined[0], self.weight_2[0], out=second[0])
        q = self.q[:1]
        elementwise.activate_and_weigh(second.numpy(), self.bias_2, self.weight_3, self.bias_3, q.numpy())
        elementwise.by_sum(second[0].numpy(), self.weight_3[0])
        return q[0], torch.mm(second[0], self.weight_2[0, h1:].t())


class PerceptronPass:
    """Of linear layers with leaky ReLUs between them, B samples."""

    def __init__(self, layers: Sequence[nn.Linear], samples: int) -> None:
        self.weights = [layer.weight.detach() for layer in layers]
        self.biases = [layer.bias.detach() for layer in layers]
        self.outputs = [torch.empty(samples, layer.out_features) for layer in layers]
        self.by_outputs = [torch.empty_like(each) for each in self.outputs[:-1]]
        self.gradients = {each: torch.zeros_like(each) for layer in layers for each in (layer.weight, layer.bias)}
        self.by_weights, self.by_biases = (
            [self.gradients[getattr(layer, name)] for layer in layers] for name in ("weight", "bias")
        )
        self.x = torch.empty(0)

    def values(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O), which the next pass overwrites."""
        self.x = x
        for weight, bias, out in zip(self.weights[:-1], self.biases[:-1], self.outputs[:-1], strict=True):
            x = torch.mm(x, weight.t(), out=out)
            elementwise.activate(x.numpy(), bias.numpy())
        return torch.addmm(self.biases[-1], x, self.weights[-1].t(), out=self.outputs[-1])

    def backward(self, by_output: Tensor, inputs: int = 0) -> Tensor:
        """Leave the parameters' derivatives in `grad`; returns those by the first `inputs` inputs, (B, inputs)."""
        torch.sum(by_output, 0, out=self.by_biases[-1])
        for number in range(len(self.weights) - 1, 0, -1):
            x = self.outputs[number - 1]
            torch.mm(by_output.t(), x, out=self.by_weights[number])
            by_output = torch.mm(by_output, self.weights[number], out=self.by_outputs[number - 1])
            elementwise.by_activation(by_output.numpy(), x.numpy(), self.by_biases[number - 1].numpy())
        torch.mm(by_output.t(), self.x, out=self.by_weights[0])
        _leave(self.gradients)
        return torch.mm(by_output, self.weights[0][:, :inputs])


class ActorPass:
    """Of an actor with what stands for its block, which itself is differentiated by autograd."""

    def __init__(self, actor: HybridActor | PlainActor, samples: int) -> None:
        self.block, self.q_in, self.q_out, self.a = None, torch.empty(0), torch.empty(0), torch.empty(0)
        if isinstance(actor, PlainActor):
            self.post = PerceptronPass([actor.layer_1, actor.layer_2, actor.layer_3], samples)
        else:
            self.block, self.width = actor.block, actor.width
            self.pre = PerceptronPass([actor.pre_1, actor.pre_2], samples)
            self.post = PerceptronPass([actor.post_1, actor.post_2], samples)
        self.parameters: list[nn.Parameter] = list(self.block.parameters()) if isinstance(self.block, nn.Module) else []

    def actions(self, s: Tensor, rng: np.random.Generator, *, differentiate: bool = False) -> Tensor:
        """Actions (B, A), a new tensor; with `differentiate` a backward pass may follow."""
        x = s
        if self.block is not None:
            out = self.pre.values(s)
            with torch.set_grad_enabled(differentiate):
                self.q_in = out[:, : self.width].detach().requires_grad_(differentiate)
                self.q_out = self.block.mean(self.q_in, rng)
            x = torch.cat([self.q_out.detach(), out[:, self.width :]], 1)
        self.a = torch.tanh(self.post.values(x))
        return self.a

    def backward(self, by_action: Tensor) -> None:
        """Leave the parameters' derivatives in `grad`."""
        by_output = by_action * (1 - self.a.square())
        if self.block is None:
            self.post.backward(by_output)
            return
        bits = self.q_out.shape[1]
        by_x = self.post.backward(by_output, self.post.x.shape[1])
        by_pre = torch.zeros_like(self.pre.outputs[-1])
        by_pre[:, self.width :] = by_x[:, bits:]
        if self.q_out.requires_grad:
            given = [self.q_in, *self.parameters]
            by_pre[:, : self.width], *by_parameters = torch.autograd.grad(self.q_out, given, by_x[:, :bits])
            _leave(dict(zip(self.parameters, by_parameters, strict=True)))
        self.pre.backward(by_pre)


def _numbers(parameter: Tensor) -> NDArray[np.float32]:
    """The parameter's own memory."""
    array: NDArray[np.float32] = parameter.detach().numpy()
    return array


def _leave(gradients: Mapping[Any, Tensor]) -> None:
    for parameter, gradient in gradients.items():
        parameter.grad = gradient
