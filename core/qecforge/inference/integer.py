"""A perceptron in integers: what every INT8 runtime computes, and the reference that computes it in numpy.

A tensor x is held as levels q, integers 0..2^bits - 1, with x = scale (q - zero_point). A layer takes levels, sums
products in int32, and either rescales the sum to the levels of its pre-activation and maps these through a table to
the levels that the next layer takes, or, as the last one, turns the sum into float logits.

All that is rounded is rounded half to even, in float32, so that runtimes can agree to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CheckpointError, ConfigurationError

__all__ = ["IntegerLayer", "IntegerMlp", "Levels", "run_reference"]

FORMAT = "qecforge.integer_mlp.1"
"""Of the tensors that `IntegerMlp.tensors` gives; a file without it is not ours."""


@dataclass(frozen=True)
class Levels:
    """How a tensor of real numbers is held in integers: x = scale (q - zero_point), 0 <= q <= 2^bits - 1.

    Attributes:
        scale: Step size, positive; exactly a float32.
        zero_point: The level of x = 0.
        bits: 2..8.
    """

    scale: float
    zero_point: int
    bits: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.float32(self.scale)))
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ConfigurationError(f"levels: got a step of {self.scale}, expected a positive number")
        if not 2 <= self.bits <= 8:
            raise ConfigurationError(f"levels: got {self.bits} bits, expected 2 to 8: set bits to 8")
        if not 0 <= self.zero_point <= self.highest:
            raise ConfigurationError(f"levels: got zero point {self.zero_point}, expected 0 to {self.highest}")

    @property
    def highest(self) -> int:
        """The highest level, 2^bits - 1."""
        return (1 << self.bits) - 1

    def quantize(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        """clip(round(x / scale) + zero_point, 0, 2^bits - 1), of x's shape."""
        levels = np.rint(np.asarray(x, np.float32) / np.float32(self.scale)) + np.float32(self.zero_point)
        clipped: NDArray[np.uint8] = np.clip(levels, 0, self.highest).astype(np.uint8)
        return clipped

    def dequantize(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The real numbers, scale (q - zero_point), float32 of the levels' shape."""
        values: NDArray[np.float32] = (levels.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        return values


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One layer: levels (B, I) uint8 -> levels (B, O) uint8, or logits (B, O) float32 where it is the last.

    Attributes:
        weight: (O, I) int8, symmetric: real weights are weight_scale[o] weight[o, i].
        weight_scale: (O,) float32, positive.
        bias: (O,) int32, in units of inputs.scale weight_scale[o].
        inputs: Levels of what comes in.
        outputs: Levels of the pre-activation; None for the last layer.
        table: (256,) or, one for each output, (O, 256) uint8: from a level of the pre-activation to the level that the
            next layer takes. Entries past `outputs.highest` are never used. None for the last layer.
        activation: Name of the function in the table, "gelu" say; "none" for the last layer.
    """

    weight: NDArray[np.int8]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.int32]
    inputs: Levels
    outputs: Levels | None = None
    table: NDArray[np.uint8] | None = None
    activation: str = "none"

    @cached_property
    def sum_scale(self) -> NDArray[np.float32]:
        """(O,) float32: what one unit of the integer sum is worth, inputs.scale weight_scale."""
        return np.float32(self.inputs.scale) * self.weight_scale

    @cached_property
    def multiplier(self) -> NDArray[np.float32]:
        """(O,) float32: from the integer sum to levels of the pre-activation, sum_scale / outputs.scale."""
        if self.outputs is None:
            raise ConfigurationError("the last layer has no levels of a pre-activation: use sum_scale")
        return self.sum_scale / np.float32(self.outputs.scale)

    @cached_property
    def offset(self) -> NDArray[np.int32]:
        """(O,) int32: bias minus zero_point times the row sums, so that the sum over raw levels comes out right."""
        rows = self.weight.astype(np.int64).sum(axis=1)
        offset: NDArray[np.int32] = (self.bias.astype(np.int64) - self.inputs.zero_point * rows).astype(np.int32)
        return offset


@dataclass(frozen=True, eq=False)
class IntegerMlp:
    """A whole policy network in integers.

    Attributes:
        layers: First to last; only the last has no `outputs`.
        bits: Of weights and activations.
        method: The quantizer that made it.
    """

    layers: tuple[IntegerLayer, ...]
    bits: int
    method: str

    def __post_init__(self) -> None:
        if not self.layers:
            raise ConfigurationError("an integer policy has at least one layer, got none")
        if not 2 <= self.bits <= 8:
            raise ConfigurationError(f"an integer policy has 2 to 8 bits, got {self.bits}")
        for number, (layer, following) in enumerate(zip(self.layers, (*self.layers[1:], None), strict=True)):
            _check_layer(f"layer {number}", layer, following)

    @property
    def num_inputs(self) -> int:
        """D, the elements of an observation."""
        return int(self.layers[0].weight.shape[1])

    @property
    def num_outputs(self) -> int:
        """N, the logits."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def takes_bits(self) -> bool:
        """Whether uint8 observations are themselves the levels of the first layer (step 1, zero point 0)."""
        return self.layers[0].inputs.scale == 1.0 and self.layers[0].inputs.zero_point == 0

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All of it as named arrays, for safetensors: `from_tensors` gives an equal one back."""
        found: dict[str, NDArray[Any]] = {"format": np.frombuffer(FORMAT.encode(), np.uint8).copy()}
        found["method"] = np.frombuffer(self.method.encode(), np.uint8).copy()
        found["bits"] = np.array([self.bits], np.int64)
        for number, layer in enumerate(self.layers):
            at = f"layers.{number}"
            found[f"{at}.weight"] = layer.weight
            found[f"{at}.weight_scale"] = layer.weight_scale
            found[f"{at}.bias"] = layer.bias
            found[f"{at}.activation"] = np.frombuffer(layer.activation.encode(), np.uint8).copy()
            for name, levels in (("inputs", layer.inputs), ("outputs", layer.outputs)):
                if levels is not None:
                    found[f"{at}.{name}"] = np.array([levels.scale, levels.zero_point, levels.bits], np.float64)
            if layer.table is not None:
                found[f"{at}.table"] = layer.table
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> IntegerMlp:
        """What `tensors` wrote.

        Raises:
            CheckpointError: They are not of an integer policy of ours, or damaged.
        """
        if "format" not in tensors or bytes(np.asarray(tensors["format"], np.uint8)) != FORMAT.encode():
            raise CheckpointError(
                f"this file holds no integer policy of qecforge (expected the mark {FORMAT!r}): "
                "give one that a run with a quantizer left"
            )

        def levels(name: str) -> Levels | None:
            if name not in tensors:
                return None
            scale, zero_point, bits = np.asarray(tensors[name]).tolist()
            if int(zero_point) != zero_point or int(bits) != bits:
                raise ValueError(f"{name}: got zero point {zero_point} and {bits} bits, expected whole numbers")
            return Levels(scale, int(zero_point), int(bits))

        def text(name: str) -> str:
            return bytes(np.asarray(tensors[name], np.uint8)).decode()

        try:
            layers: list[IntegerLayer] = []
            while (at := f"layers.{len(layers)}") and f"{at}.weight" in tensors:
                inputs = levels(f"{at}.inputs")
                if inputs is None:
                    raise KeyError(f"{at}.inputs")
                layers.append(
                    IntegerLayer(
                        weight=np.asarray(tensors[f"{at}.weight"]),
                        weight_scale=np.asarray(tensors[f"{at}.weight_scale"]),
                        bias=np.asarray(tensors[f"{at}.bias"]),
                        inputs=inputs,
                        outputs=levels(f"{at}.outputs"),
                        table=np.asarray(tensors[f"{at}.table"]) if f"{at}.table" in tensors else None,
                        activation=text(f"{at}.activation"),
                    )
                )
            return cls(tuple(layers), int(np.asarray(tensors["bits"]).item()), text("method"))
        except (KeyError, ValueError, OverflowError, TypeError, ConfigurationError) as error:
            raise CheckpointError(f"this integer policy is damaged ({error}): quantize the policy anew") from error


def _check_layer(where: str, layer: IntegerLayer, following: IntegerLayer | None) -> None:
    """Refuse what runtimes could not compute, or not alike. `following` is the next layer, None for the last."""
    if layer.weight.dtype != np.int8 or layer.bias.dtype != np.int32 or layer.weight_scale.dtype != np.float32:
        raise ConfigurationError(f"{where}: expected int8 weights, int32 biases and float32 scales")
    if layer.weight.ndim != 2 or not layer.weight.size:
        raise ConfigurationError(
            f"{where}: got weights of shape {layer.weight.shape}, expected (O, I), at least one of each"
        )
    outputs, inputs = layer.weight.shape
    if layer.bias.shape != (outputs,) or layer.weight_scale.shape != (outputs,):
        raise ConfigurationError(f"{where}: biases and scales do not fit weights of shape {layer.weight.shape}")
    positive = np.isfinite(layer.weight_scale) & (layer.weight_scale > 0)
    if not positive.all():
        got = layer.weight_scale[~positive][0]
        raise ConfigurationError(f"{where}: got a weight scale of {got}, expected positive numbers")
    # one product is at most 255 * 128; the sum must stay an int32
    if inputs * 255 * 128 + np.abs(layer.bias.astype(np.int64)).max() >= 2**31:
        raise ConfigurationError(f"{where}: {inputs} inputs and its biases could overflow 32 bits: use fewer")
    if following is None or layer.outputs is None or layer.table is None:
        if not (following is None and layer.outputs is None and layer.table is None):
            raise ConfigurationError(f"{where}: exactly the last layer goes without levels and table")
        return
    if following.weight.shape[1:] != (outputs,):
        raise ConfigurationError(f"{where}: {outputs} outputs, but the next layer takes {following.weight.shape}")
    if layer.table.shape not in ((256,), (outputs, 256)) or layer.table.dtype != np.uint8:
        raise ConfigurationError(
            f"{where}: got a table of {layer.table.dtype} and shape {layer.table.shape}, expected uint8 and (256,) or "
            f"({outputs}, 256)"
        )
    greatest = int(layer.table[..., : layer.outputs.highest + 1].max())
    if greatest > following.inputs.highest:
        raise ConfigurationError(
            f"{where}: its table gives level {greatest}, expected at most {following.inputs.highest}, the highest that "
            "the next layer takes"
        )


def run_reference(mlp: IntegerMlp, observations: NDArray[Any]) -> NDArray[np.float32]:
    """The logits, computed plainly in int32: what every runtime must match.

    Args:
        observations: (B, *shape), flattened to (B, D); any numeric dtype.

    Returns:
        (B, N) float32.
    """
    x = np.asarray(observations).reshape(len(observations), mlp.num_inputs)
    levels = mlp.layers[0].inputs.quantize(x)
    for layer in mlp.layers:
        total = levels.astype(np.int32) @ layer.weight.T.astype(np.int32) + layer.offset
        if layer.outputs is None:
            logits: NDArray[np.float32] = total.astype(np.float32) * layer.sum_scale
            return logits
        scaled = np.rint(total.astype(np.float32) * layer.multiplier) + np.float32(layer.outputs.zero_point)
        before = np.clip(scaled, 0, layer.outputs.highest).astype(np.uint8)
        table = layer.table
        assert table is not None
        levels = table[before] if table.ndim == 1 else table[np.arange(len(table)), before]
    raise AssertionError("the last layer returns")
