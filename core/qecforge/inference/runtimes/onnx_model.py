"""Policies as ONNX models: integer ones with QuantizeLinear and DequantizeLinear (QDQ), float ones plainly.

    observations --Q--> levels --DQ--> Gemm --Q--> levels of the pre-activation --activation--> levels --DQ--> Gemm ...

A runtime that fuses DQ, Gemm and Q computes in integers: ONNX Runtime turns each layer into one `QGemm`, biases in
int32, which requantises as `run_reference` does, to the bit. What stands between two layers is either

- *real*: DQ, the activation in float32, Q; or
- *a look-up*: Cast and Gather from the layer's table; with a table for each output, Add offsets before the Gather.

The first is about twice as fast in ONNX Runtime, whose Gather copies byte by byte. It is used exactly where it cannot
differ from the table: eight bits, one table for all outputs, and every entry further from a rounding boundary than an
error of float32 reaches. Other runtimes may compute the float form: within a step of it, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qecforge.inference.integer import FORMAT, IntegerLayer, IntegerMlp, Levels

if TYPE_CHECKING:
    from torch import nn

__all__ = ["float_model", "qdq_model", "real_activation_is_exact"]

_OPSET, _IR_VERSION = 20, 9
"""The first opset with Gelu, and the format version of its time, so that older runtimes load the models too."""

_CLEARANCE = 1e-4
"""Distance from a rounding boundary, in levels, that no float32 activation crosses: a relative error of about 2^-23
times at most 255 levels is 3e-5, and ONNX Runtime's are within 4e-5 (its Sigmoid, 4e-4, is not: SiLU is looked up)."""


def qdq_model(mlp: IntegerMlp) -> onnx.ModelProto:
    """An integer policy as an ONNX model: `observations` (batch, D) -> `logits` (batch, N) float32.

    Observations are uint8 where `mlp.takes_bits` (they are the levels), else float32. The model's metadata say
    `qecforge.format`, `.version`, `.method`, `.bits`.
    """
    graph = _Graph()
    first = mlp.layers[0].inputs
    if mlp.takes_bits:
        levels = graph.limit("observations", first)
    else:
        levels = graph.limit(graph.quantize("observations", first, "inputs"), first)
    for number, layer in enumerate(mlp.layers):
        if layer.outputs is None:
            graph.gemm(levels, layer, f"layer_{number}", to="logits")
            break
        following = mlp.layers[number + 1].inputs
        name = f"layer_{number}"
        before = graph.quantize(graph.gemm(levels, layer, name), layer.outputs, f"{name}.before")
        if real_activation_is_exact(layer, following):
            real = graph.activation(layer.activation, graph.dequantize(before, layer.outputs, f"{name}.before"), name)
            levels = graph.quantize(real, following, f"{name}.after")
        else:
            levels = graph.look_up(before, layer, name)
    metadata = {"format": FORMAT, "method": mlp.method, "bits": str(mlp.bits)}
    kind = TensorProto.UINT8 if mlp.takes_bits else TensorProto.FLOAT
    return graph.model(kind, mlp.num_inputs, mlp.num_outputs, metadata)


def float_model(module: nn.Module) -> onnx.ModelProto:
    """A float policy as an ONNX model: `observations` (batch, D) float32 -> `logits` (batch, N) float32.

    Args:
        module: As `qecforge.inference.network.read_mlp` reads it: linear layers and activations in sequence.

    Raises:
        ConfigurationError: The module is of another form.
    """
    from qecforge.inference.network import read_mlp

    spec = read_mlp(module)
    graph = _Graph()
    x = "observations"
    for number, layer in enumerate(spec.layers):
        name, last = f"layer_{number}", number == len(spec.layers) - 1
        weight, bias = graph.constant(f"{name}.weight", layer.weight), graph.constant(f"{name}.bias", layer.bias)
        x = graph.node("Gemm", [x, weight, bias], "logits" if last else f"{name}.sum", transB=1)
        if not last:
            x = graph.activation(spec.activations[number], x, name)
    return graph.model(TensorProto.FLOAT, spec.num_inputs, spec.num_outputs, {"format": "qecforge.float_mlp.1"})


def real_activation_is_exact(layer: IntegerLayer, following: Levels) -> bool:
    """Whether the activation in float32 gives, at each level of the pre-activation, the entry of the layer's table.

    Args:
        layer: Not the last one.
        following: Levels that the next layer takes.
    """
    table, outputs = layer.table, layer.outputs
    if table is None or outputs is None or table.ndim != 1 or layer.activation not in _ACTIVATIONS:
        return False
    if outputs.bits != 8 or following.bits != 8:  # Q would saturate at 255, not at the highest level
        return False
    x = outputs.scale * (np.arange(256, dtype=np.float64) - outputs.zero_point)
    real = _ACTIVATIONS[layer.activation](x) / following.scale + following.zero_point
    levels = np.clip(np.rint(real), 0, 255)
    from_boundary = np.abs(np.abs(real - np.rint(real)) - 0.5)
    clipped = (real < -0.5 - _CLEARANCE) | (real > 255.5 + _CLEARANCE)
    return bool(np.all((from_boundary > _CLEARANCE) | clipped) and np.array_equal(levels, table))


class _Graph:
    """Nodes and constants in the making. Each method that adds a node gives the name of what the node puts out."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def levels(self, levels: Levels, name: str) -> list[str]:
        return [
            self.constant(f"{name}.scale", np.float32(levels.scale)),
            self.constant(f"{name}.zero_point", np.uint8(levels.zero_point)),
        ]

    def quantize(self, x: str, levels: Levels, name: str) -> str:
        return self.node("QuantizeLinear", [x, *self.levels(levels, name)], f"{name}.levels")

    def dequantize(self, x: str, levels: Levels, name: str) -> str:
        return self.node("DequantizeLinear", [x, *self.levels(levels, name)], f"{name}.real")

    def limit(self, x: str, levels: Levels) -> str:
        """No more than the highest level; bytes need no limit."""
        if levels.bits == 8:
            return x
        highest = self.constant(f"{x}.highest", np.uint8(levels.highest))
        return self.node("Clip", [x, "", highest], f"{x}.limited")

    def gemm(self, levels: str, layer: IntegerLayer, name: str, *, to: str | None = None) -> str:
        x = self.dequantize(levels, layer.inputs, f"{name}.inputs")
        parts = [x]
        for part, integers, scale in (
            ("weight", layer.weight, layer.weight_scale),
            ("bias", layer.bias, layer.sum_scale),
        ):
            held = [
                self.constant(f"{name}.{part}", integers),
                self.constant(f"{name}.{part}.scale", scale),
                # may be left out by the standard; ONNX Runtime then fills in one that it refuses
                self.constant(f"{name}.{part}.zero_point", np.zeros(len(scale), integers.dtype)),
            ]
            parts.append(self.node("DequantizeLinear", held, f"{name}.{part}.real", axis=0))
        return self.node("Gemm", parts, to or f"{name}.sum", transB=1)

    def look_up(self, before: str, layer: IntegerLayer, name: str) -> str:
        table, outputs = layer.table, layer.outputs
        assert table is not None
        assert outputs is not None
        # Q saturates at 255: entries past the highest level must say what the highest one says
        table = np.where(np.arange(256) <= outputs.highest, table, table[..., outputs.highest, None])
        at = self.node("Cast", [before], f"{name}.at", to=TensorProto.INT32)
        if table.ndim == 2:
            rows = self.constant(f"{name}.rows", 256 * np.arange(len(table), dtype=np.int32))
            at = self.node("Add", [at, rows], f"{name}.at_row")
        return self.node("Gather", [self.constant(f"{name}.table", table.ravel()), at], f"{name}.after.levels")

    def activation(self, activation: str, x: str, name: str) -> str:
        output = f"{name}.activated"
        if activation == "silu":
            return self.node("Mul", [x, self.node("Sigmoid", [x], f"{name}.sigmoid")], output)
        return self.node(_OPERATORS[activation], [x], output)

    def model(self, kind: int, inputs: int, outputs: int, metadata: dict[str, str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "policy",
            [helper.make_tensor_value_info("observations", kind, ["batch", inputs])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", outputs])],
            list(self.constants.values()),
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="qecforge",
            producer_version=version("qecforge"),
        )
        said = {"version": version("qecforge"), **metadata}
        helper.set_model_props(made, {f"qecforge.{name}": value for name, value in said.items()})
        return made


def _gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    return x * np.asarray(ndtr(x), np.float64)


_ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": _gelu,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
}
"""In float64, elementwise, those that float32 computes exactly enough."""

_OPERATORS = {"tanh": "Tanh", "relu": "Relu", "gelu": "Gelu", "elu": "Elu", "leaky_relu": "LeakyRelu"}
"""Their names in ONNX, whose defaults (exact Gelu, alpha 1 and 0.01) are torch's."""
