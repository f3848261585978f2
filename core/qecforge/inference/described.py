"""Policies that say in their file what their networks are made of, so that they outlast the agent that built them.

The metadata of the safetensors file holds, under `qecforge.network`, JSON: `format`; `start`, the first action's
number; and the layers of the networks `policy` and `value`, first to last: `"flatten"`, `["linear", inputs, outputs,
bias]`, or the name of an activation.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from torch import nn

from qecforge.errors import CheckpointError, one_line
from qecforge.inference.module_policy import ModulePolicy
from qecforge.inference.network import NETWORK
from qecforge.learning.activations import activation_module

__all__ = ["described_policy"]

_LARGEST_HEADER = 1 << 20
_MOST_LAYERS = 1000


def described_policy(content: bytes) -> ModulePolicy | None:
    """The policy that a file of weights holds, built by its own description; None where it has none.

    Args:
        content: Of `policy.safetensors`.

    Raises:
        CheckpointError: the file is damaged, or its weights are not of the network that it describes.
    """
    description = _metadata(content).get(NETWORK)
    if description is None:
        return None
    try:
        parts = json.loads(description)
        if parts["format"] != 1:
            return None
        value = None if parts["value"] is None else _module(parts["value"])
        policy = ModulePolicy(_module(parts["policy"]), value, start=int(parts["start"]))
    except (LookupError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise CheckpointError(
            f"policy weights: the description of the network is damaged ({one_line(error, 100)}): run its manifest anew"
        ) from error
    policy.load_files({"policy.safetensors": content})
    return policy


def _metadata(content: bytes) -> dict[str, Any]:
    """Of a safetensors file; empty where there is none, or it is no such file."""
    if len(content) < 8:
        return {}
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(_LARGEST_HEADER, len(content) - 8):
        return {}
    try:
        found = json.loads(content[8 : 8 + length])["__metadata__"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _module(layers: list[Any]) -> nn.Sequential:
    if not isinstance(layers, list) or not 0 < len(layers) <= _MOST_LAYERS:
        raise ValueError("layers")
    return nn.Sequential(*map(_layer, layers))


def _layer(layer: Any) -> nn.Module:
    if layer == "flatten":
        return nn.Flatten()
    if isinstance(layer, str):
        return activation_module(layer)
    kind, inputs, outputs, bias = layer
    if kind != "linear" or type(inputs) is not int or type(outputs) is not int or not 0 < inputs * outputs < 2**31:
        raise ValueError(f"a layer is {layer}")
    return nn.Linear(inputs, outputs, bias=bool(bias), device="cpu")
