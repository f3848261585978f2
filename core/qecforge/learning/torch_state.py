"""What agents on torch share: generators with seeds of their own, devices, copies of state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qecforge.errors import ConfigurationError

__all__ = ["copied", "seeded_generator", "torch_device"]


def seeded_generator(seed: int, stream: int = 0) -> torch.Generator:
    """A generator on the CPU for stream `stream` of a seed: streams of one seed are independent."""
    state = np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def torch_device(name: str) -> torch.device:
    """The device of `auto` (CUDA where there is one), `cpu` or `cuda`. Raises `ConfigurationError` for `cuda` without
    one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("agent.device: got cuda, and torch sees no CUDA device: set device to auto or cpu")
    return torch.device(name)


def copied(value: Any) -> Any:
    """A deep copy of nested dicts and lists whose tensors go to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value
