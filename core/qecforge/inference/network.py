"""What a policy network is made of, read from its module: linear layers and the activations between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from qecforge.contracts.policy import Policy
from qecforge.errors import ConfigurationError
from qecforge.learning.activations import activation_function

__all__ = [
    "NETWORK",
    "LinearSpec",
    "MlpSpec",
    "describe_layers",
    "read_mlp",
    "read_policy",
]

NETWORK = "qecforge.network"
"""Key under which a file of weights describes its network."""

_FORM = "a torch.nn.Sequential of an optional Flatten, then Linear layers with one activation between each two"


@dataclass(frozen=True, eq=False)
class LinearSpec:
    """One linear layer, y = weight x + bias.

    Attributes:
        weight: (O, I) float32, on the CPU, a copy without gradient.
        bias: (O,) float32 likewise; zeros where the layer has none.
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, eq=False)
class MlpSpec:
    """A perceptron: L linear layers, and the activation after each but the last.

    Attributes:
        layers: First to last, at least one.
        activations: L - 1 names out of `ACTIVATIONS`.
    """

    layers: tuple[LinearSpec, ...]
    activations: tuple[str, ...]

    @property
    def num_inputs(self) -> int:
        """D, the elements of an observation."""
        return int(self.layers[0].weight.shape[1])

    @property
    def num_outputs(self) -> int:
        """N, the logits."""
        return int(self.layers[-1].weight.shape[0])

    def hidden(self, observations: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each layer takes and gives, in float: (B, I) and (B, O), before its activation.

        Args:
            observations: (B, *shape), flattened here.
        """
        x = observations.flatten(1).to(torch.float32)
        found = []
        for number, layer in enumerate(self.layers):
            y = functional.linear(x, layer.weight, layer.bias)
            found.append((x, y))
            if number < len(self.activations):
                x = activation_function(self.activations[number])(y)
        return found


def describe_layers(module: nn.Module) -> list[object] | None:
    """The layers of a plain perceptron, as `qecforge.inference.described` reads them; None for another module."""
    if not isinstance(module, nn.Sequential):
        return None
    layers: list[object] = []
    for part in module:
        if type(part) is nn.Linear:
            layers.append(["linear", part.in_features, part.out_features, part.bias is not None])
        elif isinstance(part, nn.Flatten) and part.start_dim == 1 and part.end_dim == -1:
            layers.append("flatten")
        elif (name := _name_of(part)) is not None:
            layers.append(name)
        else:
            return None
    return layers or None


def read_mlp(module: nn.Module) -> MlpSpec:
    """The layers of a policy network, copied.

    Raises:
        ConfigurationError: It has no linear layer, is not a plain perceptron, or holds numbers that are not finite.
    """
    if not any(isinstance(part, nn.Linear) for part in module.modules()):
        raise ConfigurationError(
            f"quantizer: the policy network ({type(module).__name__}) has no linear layer to quantize, expected {_FORM}"
        )
    if not isinstance(module, nn.Sequential):
        raise ConfigurationError(f"quantizer: the policy network is a {type(module).__name__}, expected {_FORM}")
    layers: list[LinearSpec] = []
    activations: list[str] = []
    for place, part in enumerate(module):
        if isinstance(part, nn.Linear) and len(layers) == len(activations):
            layers.append(_read_linear(place, part))
        elif isinstance(part, nn.Flatten) and not layers and part.start_dim == 1 and part.end_dim == -1:
            continue
        elif len(layers) == len(activations) + 1 and (name := _name_of(part)) is not None:
            activations.append(name)
        else:
            raise ConfigurationError(f"quantizer: part {place} of the policy network is {part}, expected {_FORM}")
    if len(layers) != len(activations) + 1:
        raise ConfigurationError(f"quantizer: the policy network ends with {module[-1]}, expected a Linear: {_FORM}")
    return MlpSpec(tuple(layers), tuple(activations))


def read_policy(policy: Policy) -> MlpSpec:
    """The layers of a policy's network, copied; of continuous actions (`Policy.head`) those before its last tanh.

    Raises:
        ConfigurationError: As `read_mlp`; the network of a policy with a head does not end with tanh.
    """
    module = policy.module
    if policy.head is None:
        return read_mlp(module)
    if not (isinstance(module, nn.Sequential) and len(module) and isinstance(module[-1], nn.Tanh)):
        raise ConfigurationError(
            f"quantizer: the network of continuous actions is a {type(module).__name__} that does not end with Tanh, "
            f"expected {_FORM}, then Tanh"
        )
    return read_mlp(module[:-1])


def _read_linear(place: int, linear: nn.Linear) -> LinearSpec:
    weight = linear.weight.detach().to("cpu", torch.float32, copy=True)
    bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().to("cpu", torch.float32, copy=True)
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ConfigurationError(
            f"quantizer: part {place} of the policy network holds NaN or infinite weights: train the policy anew"
        )
    return LinearSpec(weight, bias)


def _name_of(part: nn.Module) -> str | None:
    """The activation's name; None for another module or for other parameters than torch's defaults."""
    match part:
        case nn.Tanh():
            return "tanh"
        case nn.ReLU():
            return "relu"
        case nn.GELU(approximate="none"):
            return "gelu"
        case nn.SiLU():
            return "silu"
        case nn.ELU(alpha=1.0):
            return "elu"
        case nn.LeakyReLU(negative_slope=0.01):
            return "leaky_relu"
    return None
