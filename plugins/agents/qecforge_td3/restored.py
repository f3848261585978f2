"""What a checkpoint holds of networks and optimizers, checked against those that take it over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts

__all__ = ["check_networks", "checked_optimizer"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


def check_networks(state: object, networks: torch.nn.Module) -> None:
    """Raise `CheckpointError` where the state of all networks has other names, shapes or types, or no numbers."""
    own = networks.state_dict()
    given = restored_parts(state, tuple(own), "td3: networks")
    for name, tensor in own.items():
        array = tensor.detach().cpu().numpy()
        restored_array(given[name], array.dtype, array.shape, f"td3: networks: {name}")


def checked_optimizer(state: object, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A state for `Optimizer.load_state_dict`: the checkpoint's moments, the configuration's settings. Compiled
    optimizers compare no shapes. Raises `CheckpointError` where it is another's."""
    what = "td3: optimizer"
    moments: Mapping[Any, Any] = restored_parts(restored_parts(state, ("state",), what)["state"], (), what)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, of_one in moments.items():
        place = restored_int(number, f"{what}: parameter", high=len(parameters) - 1)
        given = restored_parts(of_one, ("step", *_MOMENTS), f"{what}: parameter {place}")
        array = parameters[place].detach().cpu().numpy()
        restored_array(given["step"], np.float32, (), f"{what}: step", low=0)
        for name in _MOMENTS:
            low = 0.0 if name == "exp_avg_sq" else None
            restored_array(given[name], array.dtype, array.shape, f"{what}: {name} of parameter {place}", low=low)
    if len(moments) > len(parameters):
        raise CheckpointError(
            f"{what}: the optimizer has moments of {len(moments)} of {len(parameters)} parameters: "
            "restore another checkpoint"
        )
    return {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
